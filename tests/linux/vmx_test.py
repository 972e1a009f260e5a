# SPDX-License-Identifier: Apache-2.0
"""mayfly on an Intel host with APICv: that interrupts are posted is a test, twice, with APICv off as the control.
What takes longer is in vmx_matrix.py."""
import json
import os
import pathlib
import re

from harness import OK, build_directory, case, check, check_status, kernel, linux_host, main
from guests import busybox_initramfs

POSTING = os.path.join(build_directory, "tests", "kvm", "doctor", "posting")
# Exits of a read of 4 KiB, eight at a time: the greatest of the first three runs and 5 %.
with open(pathlib.Path(__file__).parents[2] / "perf" / "baselines" / "vmx.json", encoding="utf-8") as _file:
    BASELINE = json.load(_file)["exits a request"]
DISK_BYTES = 16 << 20
REQUESTS, MORE_REQUESTS = 2000, 20_000
# Of 1,000 interrupts: the host's own ticks cost some exits.
EXITS_POSTED_MAX = 50
# Seconds of the lab's time, of which each takes a minute of ours where nothing halts.
LIMIT = ("--timeout", "8")
MODERN, LEGACY = ("--profile", "modern"), ("--profile", "legacy")
INIT = """#!/bin/sh
mounts
grep -c ^processor /proc/cpuinfo; grep -o -m1 x2apic /proc/cpuinfo; cat /sys/devices/system/clocksource/*/current_clocksource
poweroff -f
"""


def started(apicv):
    files = {"/work/registers": os.path.join(build_directory, "firmware", "guests", "registers.elf")}
    if apicv:
        files["/work/initrd"] = busybox_initramfs(INIT, {}, kernel("6.12"), [])
    return linux_host(kernels=["6.12/bzImage"] if apicv else [], files=files, needs_lab=True, host="vmx",
                      apicv=apicv, cpus=2, tools=[POSTING], memory="1536M")  # fmt: skip


hosts = {True: started(True), False: started(False)}
on = hosts[True]


def boot(host, guest, *options):
    outcome = host.mayfly("boot", f"builtin:{guest}", *LIMIT, *options)
    where = f"{guest} {' '.join(options)}"
    check(outcome.status == OK, f"{where}: status {outcome.status}", outcome)
    check(outcome.err == "", f"{where}: {outcome.err!r}", outcome)
    return outcome


def passes(host, guest, *options):
    outcome = boot(host, guest, *options)
    check(b"FAIL" not in outcome.out, f"{guest}: it found something", outcome)
    check(b"ok " in outcome.out or b"All passed" in outcome.out, f"{guest}: it proved nothing", outcome)
    return outcome.out.decode()


@case
def the_doctor_says_that_interrupts_are_posted_and_that_they_are_not():
    for apicv, host in hosts.items():
        outcome = host.mayfly("doctor", "--json")
        check_status(outcome, OK)
        measured = json.loads(outcome.out)["measured"]
        check(measured["failure"] is None and measured["early_end"] is None, "the probe guest", outcome)
        check(measured["interrupts_received"] == 64, "interrupts", outcome)
        check(measured["irq_injections"] == (0 if apicv else 64), "injections", outcome)
        check(f"posted interrupts   {'yes' if apicv else 'no'}" in host.mayfly("doctor").out.decode(), "its words")


@case
def a_thousand_posted_interrupts_take_no_exits_and_no_injections():
    for apicv, host in hosts.items():
        outcome = host.run(["posting"])
        check_status(outcome, OK)
        found = re.fullmatch(rb"interrupts (\d+) exits (\d+) injections (\d+)\n", outcome.out)
        count, exits, injections = map(int, found.groups())
        print(f"APICv {'on' if apicv else 'off'}: {outcome.out.decode().strip()}", flush=True)
        if apicv:
            check(exits <= EXITS_POSTED_MAX and injections == 0, "they are not posted", outcome)
        else:
            check(exits >= count and injections >= count, "the control has none either", outcome)


def disk_counts(host, io, requests=REQUESTS):
    """KVM's counters of a guest whose disk answers requests by interrupts: (interrupts, injections, exits)."""
    words = f"dev=blk op=read size=4096 depth=8 count={requests} irq=1"
    outcome = boot(host, "iobench", "--disk", "/work/disk", "--io", io, "--append", words, "--stats-json", "/tmp/s")
    check(b"errors=0" in outcome.out, "requests failed", outcome)
    interrupts = int(re.search(rb"interrupts=(\d+)", outcome.out)[1])
    stats = json.loads(host.get("/tmp/s"))
    counters = stats["kvm"]["vcpus"][0]
    return interrupts, counters["irq_injections"], counters["exits"]


@case
def no_interrupt_of_a_disk_is_injected_by_ioctl_or_by_irqfd():
    for apicv, host in hosts.items():
        check_status(host.run(f"truncate -s {DISK_BYTES} /work/disk"), OK)
        for io in ("inline", "thread"):
            interrupts, injections, exits = disk_counts(host, io)
            print(f"APICv {'on' if apicv else 'off'}, {io}: {interrupts} interrupts, {injections} injected,"
                  f" {exits} exits", flush=True)  # fmt: skip
            check(interrupts >= REQUESTS // 10, f"{interrupts} interrupts")
            if apicv:
                check(injections == 0, f"{io}: {injections} injections of {interrupts}")
            else:
                check(injections >= interrupts, f"{io}: {injections} injections of {interrupts}")


@case
def a_request_takes_as_many_exits_as_it_did():
    for name, bound in BASELINE.items():
        apicv, io = name.split(", ")
        host = hosts[apicv == "APICv on"]
        few, many = (disk_counts(host, io, requests)[2] for requests in (REQUESTS, MORE_REQUESTS))
        exits = (many - few) / (MORE_REQUESTS - REQUESTS)
        print(f"{name}: {exits:.4f} exits a request, bound {bound}", flush=True)
        check(exits <= bound, f"{name}: {exits:.4f} exits a request")


@case
def what_a_guest_does_to_its_apic_switches_apicv_off_and_mayfly_never_does():
    # Linux 6.1, arch/x86/kvm/lapic.c: APICV_INHIBIT_REASON_APIC_BASE_MODIFIED, _APIC_ID_MODIFIED.
    for word, is_off in (("self", False), ("base", True), ("id", True)):
        outcome = on.mayfly("boot", "/work/registers", *LIMIT, "--append", word, "--stats-json", "/tmp/s")
        check_status(outcome, OK)
        check(b"ok self ipis" in outcome.out, word, outcome)
        kvm = json.loads(on.get("/tmp/s"))["kvm"]
        injections = kvm["vcpus"][0]["irq_injections"]
        check(injections >= 100 if is_off else injections == 0, f"{word}: {injections} injections", outcome)
        check(kvm["injected_without_apicv"] == injections, "what --stats-json says", outcome)
        told = on.mayfly("boot", "/work/registers", *LIMIT, "--append", word, "--stats")
        check(("the guest switched that off" in told.err.replace("\n", " ")) == is_off, "what --stats says", told)


# The guest, its options, and the profiles that have the hardware that it checks.
PROBES = (
    ("apic", (), (MODERN, LEGACY)), ("timer", (), (MODERN, LEGACY)), ("ipi", (), (MODERN, LEGACY)),
    ("smp", (), (MODERN, LEGACY)), ("msi", ("--testdev",), (MODERN, LEGACY)),
    ("doorbell", ("--testdev",), (MODERN, LEGACY)), ("pveoi", (), (MODERN, LEGACY)),
    ("kvmclock", (), (MODERN, LEGACY)), ("steal", (), (MODERN, LEGACY)), ("demo", (), (MODERN, LEGACY)),
    ("ioapic", ("--testdev",), (LEGACY,)), ("pic", ("--testdev",), (LEGACY,)), ("pit", (), (LEGACY,)),
    ("irqwindow", ("--testdev",), (("--irqchip", "none", *LEGACY),)),
)  # fmt: skip


@case
def every_probe_passes():
    for guest, options, profiles in PROBES:
        cpus = () if "none" in profiles[0] else ("--cpus", "2")
        for profile in profiles:
            passes(on, guest, *options, *cpus, *profile)


@case
def why_pv_eoi_is_not_armed_is_told():
    for guest in ("pveoi", "demo"):
        said = passes(on, guest)
        check("not armed: an EOI costs no exit here (APICv)" in said, f"{guest} says: {said}")
        said = passes(hosts[False], guest)
        check("not armed" not in said and "without" in said, f"{guest} says: {said}")


@case
def linux_boots_on_two_processors_and_none_of_its_interrupts_is_injected():
    outcome = on.mayfly("boot", "/kernels/6.12/bzImage", "--initrd", "/work/initrd", "--cpus", "2", "--memory",
                        "256M", "--stats-json", "/tmp/s", timeout=600)  # fmt: skip
    check_status(outcome, OK)
    check(outcome.out.split()[-3:-1] == [b"2", b"x2apic"], "the guest's words", outcome)
    counters = json.loads(on.get("/tmp/s"))["kvm"]["vcpus"]
    injected = [vcpu["irq_injections"] for vcpu in counters]
    check(len(injected) == 2 and sum(injected) == 0, f"injections {injected}", outcome)


if __name__ == "__main__":
    main()
