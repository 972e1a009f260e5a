# SPDX-License-Identifier: Apache-2.0
"""The whole matrix of the lab's Intel hosts: with APICv and, as the control, without; with each parameter of
kvm_intel that changes how guests run; with a newer kernel. On each run every probe, disks and networks
with interrupts, Linux with its root on a disk, machines that pause, machines that are taken apart. A table
comes last. vmx_test.py has what is short; ./check --long runs this.
"""
import collections
import json
import os
import tempfile

from harness import OK, build_directory, case, check, check_status, main
from device_guest import check_guest, initramfs, virtio_interrupts
from guests import busybox_ext4
from vmx_hosts import (GUESTS, LEGACY, MODERN, POSTING, PROBES, WITHOUT_IRQCHIP, boot, check_doctor,
                       check_posted, check_posting, check_processor, counters, disk_counts, io_counts,
                       make_disk, passes, vmx_host)  # fmt: skip

PAUSING = os.path.join(build_directory, "tests", "kvm", "pause", "mayfly_pausing")
CARRYING = os.path.join(build_directory, "tests", "kvm", "carry", "carrying")
KERNELS = ("6.12", "6.1")
FRAMES = 5000
GUEST_SECONDS = 900
CASE_SECONDS = 3600
# Parameters of kvm_intel, each switched off alone.
PARAMETERS = ("unrestricted_guest", "ept", "flexpriority", "preemption_timer", "nested")
# Interrupts of these come from an 8254 or 8259, which KVM injects itself even with APICv.
BY_8259 = ("pic", "pit", "ioapic", "irqwindow", "demo")
ROOT_INIT = """#!/bin/sh
mounts
echo "== found"; (cd /kept; ls)
dd if=/dev/zero of=/kept/$guest_step bs=64k count=4 2>/dev/null
echo "== cpus"; grep -c ^processor /proc/cpuinfo
echo "== root"; grep ' / ' /proc/mounts
sync
echo "== interrupts"; cat /proc/interrupts
echo "== end"
mount -o remount,ro /
poweroff -f
"""


class Setting(collections.namedtuple("Setting", "name apicv is_whole options")):
    """A host: whether KVM posts interrupts in it; whether all is run on it, or what a parameter of KVM may
    change; Lab's options."""


SETTINGS = [
    Setting("apicv_on", True, True, {"apicv": True}),
    Setting("apicv_off", False, True, {"apicv": False}),
    *(Setting(f"without_{name}", True, False, {"append": f"kvm_intel.{name}=0"}) for name in PARAMETERS),
    Setting("kernel_6_12", True, False, {"kernel": "6.12"}),
]


class Table:
    """What was counted, by host and by what ran there."""

    HEAD = ("host", "what", "guests", "interrupts", "injected", "exits")

    def __init__(self):
        self._rows = []

    def add(self, setting, what, guests, interrupts, injected, exits):
        self._rows.append((setting.name, what, guests, interrupts, injected, exits))
        print("  " + ", ".join(f"{k} {v}" for k, v in zip(self.HEAD[1:], self._rows[-1][1:])), flush=True)

    def print(self):
        rows = [tuple(map(str, row)) for row in (self.HEAD, *self._rows)]
        widths = [max(map(len, column)) for column in zip(*rows)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip(), flush=True)


table = Table()


class Hosts:
    """One at a time, for each takes a processor of this machine all the while."""

    def __init__(self):
        # pylint: disable-next=consider-using-with
        self._directory = tempfile.TemporaryDirectory(prefix="mayfly-vmx-")
        place = os.path.join(self._directory.name, "root")
        root = busybox_ext4(place, ROOT_INIT, {"kept/first": "\n"}, size="24M")
        self._files = {"/work/root": root, **{f"/work/initrd-{v}": initramfs(v) for v in KERNELS}}
        for name in ("cpuid", "registers"):
            self._files[f"/work/{name}"] = os.path.join(GUESTS, f"{name}.elf")
        self._setting, self._host = None, None

    def of(self, setting):
        if setting is not self._setting:
            if self._host is not None:
                self._host.close()
            self._setting = None
            self._host = vmx_host(kernels=[f"{v}/bzImage" for v in KERNELS], files=self._files, memory="2G",
                                  tools=[POSTING, PAUSING, CARRYING], **setting.options)  # fmt: skip
            make_disk(self._host)
            self._setting = setting
        return self._host


hosts = Hosts()


def the_parameter_is_off_and_the_doctor_finds_nothing_missing(setting):
    host = hosts.of(setting)
    said = check_doctor(host, setting.apicv)
    for name in PARAMETERS:
        value = host.run(["cat", f"/sys/module/kvm_intel/parameters/{name}"]).out
        # Guests that are entered in real mode need EPT.
        needed = ("ept", "unrestricted_guest") if name == "unrestricted_guest" else (name,)
        is_off = setting.name in [f"without_{one}" for one in needed]
        check(value == (b"N\n" if is_off else b"Y\n"), f"{name} is {value!r}")
        # Without nested=1 a guest cannot be a hypervisor, which costs others nothing.
        is_told = is_off and name != "nested"
        check((f"kvm_intel.{name}:" in said) == is_told, f"what the doctor says of {name}: {said}")
    check(("0 problems" in said) == setting.apicv, said)
    check(setting.apicv or "1 problem," in said, said)


def interrupts_are_posted_or_not_at_all(setting):
    # Without it an EOI is a write to the APIC's page, which KVM emulates.
    are_eois_exits = setting.name == "without_flexpriority"
    exits, injections = check_posting(hosts.of(setting), setting.apicv, are_eois_exits)
    table.add(setting, "irqfd, vCPU busy", 1, 1000, injections, exits)


def every_probe_passes(setting):
    host = hosts.of(setting)
    for cpus in (1, 2, 4) if setting.is_whole else (2,):
        guests, injected, exits, by_8259 = 0, 0, 0, 0
        for guest, options, profiles in PROBES:
            for profile in profiles:
                count = 1 if profile == WITHOUT_IRQCHIP else cpus
                passes(host, guest, *options, *profile, "--cpus", str(count), "--stats-json", "/tmp/s")
                injections, more = counters(host)
                guests, exits = guests + 1, exits + more
                injected += injections
                by_8259 += injections if guest in BY_8259 else 0
                if setting.apicv and guest not in BY_8259:
                    check(injections == 0, f"{guest}, {cpus} vCPUs, {profile}: {injections} injections")
        told = f"{injected}, 8259 and 8254 {by_8259}"
        table.add(setting, f"probes, {cpus} vCPUs", guests, "-", told, exits)


def the_processor_is_told_of_as_it_is(setting):
    check_processor(hosts.of(setting))


def processors_start_up_to_the_number_asked_for(setting):
    for cpus in (16, 64):
        outcome = boot(hosts.of(setting), "smp", "--cpus", str(cpus))
        check(b"processors %d\n" % cpus in outcome.out, f"not {cpus} processors", outcome)
    # They start in real mode, for which a KVM without unrestricted guests wants pages; else it warns, once.
    said = hosts.of(setting).run("dmesg")
    check(b"KVM_SET_TSS_ADDR" not in said.out, "KVM lacks its pages for real mode", said)


def late_ticks_of_the_8254_come_where_that_is_asked_for(setting):
    passes(hosts.of(setting), "pit", "--append", "every", "--pit", "reinject")


def interrupts_of_disks_are_posted_or_injected(setting):
    for profile in (MODERN, LEGACY):
        for io in ("inline", "thread"):
            interrupts, injections, exits = disk_counts(hosts.of(setting), io, profile=profile)
            check(interrupts >= 200, f"{interrupts} interrupts")
            check_posted(setting.apicv, interrupts, injections, f"{io}, {profile}")
            table.add(setting, f"disk, {io}, {profile[1]}", 1, interrupts, injections, exits)


def interrupts_of_networks_are_posted_or_injected(setting):
    host = hosts.of(setting)
    outcome = host.run("ip tuntap add dev t0 mode tap 2>/dev/null || tunctl -t t0; ip link set t0 up")
    check_status(outcome, OK)
    try:
        for profile in (MODERN, LEGACY):
            words = f"dev=net op=send size=1460 depth=64 count={FRAMES}"
            interrupts, injections, exits = io_counts(host, words, "--net", "tap=t0", *profile)
            check(interrupts >= 50, f"{interrupts} interrupts")
            check_posted(setting.apicv, interrupts, injections, f"network, {profile}")
            table.add(setting, f"network, {profile[1]}", 1, interrupts, injections, exits)
    finally:
        host.run("tunctl -d t0 || ip link del t0")


def boot_linux(host, version, step, *options, program="mayfly", env=None):
    """The guest's Parts: it had its root on a disk, and two processors."""
    outcome = host.run(
        [program, "boot", f"/kernels/{version}/bzImage", "--initrd", f"/work/initrd-{version}", "--cpus", "2",
         "--memory", "256M", "--disk", "/work/root", "--append", f"quiet guest_root=vda guest_step={step}",
         *options], env=env, timeout=GUEST_SECONDS)  # fmt: skip
    parts = check_guest(outcome)
    check(parts["cpus"] == "2\n" and " / ext4 rw" in parts["root"], "not as asked for", outcome)
    check("first" in parts["found"].split(), "the image's file is missing", outcome)
    return parts


def linux_has_its_root_on_a_disk_and_powers_off(setting):
    host = hosts.of(setting)
    before = []
    for version in KERNELS if setting.is_whole else KERNELS[:1]:
        for profile in (MODERN, LEGACY) if setting.is_whole else (MODERN,):
            step = f"{version}-{profile[1]}"
            parts = boot_linux(host, version, step, *profile, "--stats-json", "/tmp/s")
            check(set(before) <= set(parts["found"].split()), f"{before} were left", parts.outcome)
            before.append(step)
            interrupts = sum(count for count, _ in virtio_interrupts(parts["interrupts"]).values())
            injections, exits = counters(host)
            table.add(setting, f"Linux {step}", 1, interrupts, injections, exits)
            check(interrupts >= 20, f"{interrupts} interrupts of the disk", parts.outcome)
            # With page tables that KVM shadows, a delivery may meet a page fault: KVM injects that one again.
            most = interrupts // 8 if setting.name == "without_ept" else 0
            check_posted(setting.apicv, interrupts, injections, f"Linux {step}", most)


def write_disk(host, io, *options, **more):
    words = "dev=blk op=write size=4096 depth=8 count=2000 irq=1"
    disk = ("--disk", "/work/disk", "--io", io)
    outcome = boot(host, "iobench", *disk, *options, "--append", words, **more)
    check(b"requests=2000" in outcome.out and b"errors=0" in outcome.out, "a request was lost", outcome)


def machines_pause_and_lose_nothing(setting):
    host = hosts.of(setting)
    env = {"MAYFLY_PAUSES_LOG": "/tmp/pauses"}
    check_status(host.run("rm -f /tmp/pauses"), OK)
    more = {"program": "mayfly_pausing", "env": env}
    for profile in (MODERN, LEGACY):
        env["MAYFLY_PAUSES"] = "3:50:50"
        passes(host, "demo", "--cpus", "2", *profile, **more)
        passes(host, "ipi", "--cpus", "2", *profile, **more)
        env["MAYFLY_PAUSES"] = "3:400:50"
        for io in ("inline", "thread"):
            write_disk(host, io, *profile, **more)
    env["MAYFLY_PAUSES"] = "5:20000:100"
    boot_linux(host, "6.12", "paused", **more)
    lines = [json.loads(line) for line in host.get("/tmp/pauses").splitlines()]
    pauses = [len(line["pause_ns"]) for line in lines]
    check(len(pauses) == 9 and min(pauses) > 0, f"pauses of the guests: {pauses}")
    check(sum(line["failed"] for line in lines) == 0, f"some failed: {lines}")
    table.add(setting, f"{sum(pauses)} pauses", len(pauses), "-", "-", "-")


def machines_that_are_taken_apart_go_on_as_others(setting):
    """What KVM tells of a vCPU is all of it, by the list of MSRs that it has on such a processor."""
    host = hosts.of(setting)
    env = {"MAYFLY_CARRIES": "1:1000:20", "MAYFLY_CARRIES_LOG": "/tmp/carried"}
    check_status(host.run("rm -f /tmp/carried"), OK)
    registers = [("/work/registers", ("--append", f"{word} ms=50"), MODERN)
                 for word in ("", "vector", "deadline")]
    guests = [("demo", (), MODERN), ("demo", (), LEGACY), ("ipi", ("--cpus", "2"), MODERN), *registers,
              ("/work/registers", ("--append", "ms=50"), LEGACY)]  # fmt: skip
    for guest, options, profile in guests:
        passes(host, guest, *options, *profile, program="carrying", env=env)
    for io in ("inline", "thread"):
        write_disk(host, io, program="carrying", env=env)
    machines = [int(line) for line in host.get("/tmp/carried").split()]
    # Some guests may end before the first moment; those that look at registers take longer.
    is_enough = len(machines) == len(guests) + 2 and min(machines[3:7]) >= 1 and sum(machines) >= len(machines)
    check(is_enough, f"machines left behind: {machines}")
    table.add(setting, f"{sum(machines)} machines left behind", len(machines), "-", "-", "-")


# Those of the second list take long, and no parameter of KVM makes a difference to them.
PARTS = (
    the_parameter_is_off_and_the_doctor_finds_nothing_missing, interrupts_are_posted_or_not_at_all,
    every_probe_passes, the_processor_is_told_of_as_it_is, processors_start_up_to_the_number_asked_for,
    interrupts_of_disks_are_posted_or_injected, linux_has_its_root_on_a_disk_and_powers_off,
    machines_that_are_taken_apart_go_on_as_others,
)  # fmt: skip
MORE_PARTS = (
    late_ticks_of_the_8254_come_where_that_is_asked_for, interrupts_of_networks_are_posted_or_injected,
    machines_pause_and_lose_nothing,
)  # fmt: skip


def add_cases():
    for setting in SETTINGS:
        for part in (*PARTS, *(MORE_PARTS if setting.is_whole else ())):

            def run(setting=setting, part=part):
                part(setting)

            run.__name__ = f"{setting.name}_{part.__name__}"
            case(run)


if __name__ == "__main__":
    add_cases()
    try:
        main(case_seconds=CASE_SECONDS)
    finally:
        table.print()
