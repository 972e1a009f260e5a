# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels as shipped come up on every machine that mayfly makes, see what it promises, and complain
of nothing that they do not complain of under QEMU as well.

Every pair of kernel, file with protocol, profile and number of CPUs is in one of the boots."""
import functools
import os
import re

from harness import OK, case, check, check_status, linux_host, main, skip
from jobs import FACTS, Facts, jobs_initramfs

BOOT_SECONDS = 300
# Debian's 6.12 does not fit into 64 MiB: its last segment ends at 66. 6.1 does, and has no room to run in. In 72
# both run out of memory now and then, on a machine that has other work.
LEAST_MEMORY = "80M"
SIZES = {"80M": 80 << 20, "512M": 512 << 20, "8G": 8 << 30}
# What firmware and tables take below 1 MiB.
HOLES_MAX = 512 << 10
# The kernel and its initramfs; and of each 32 bytes one, for struct pages (1/64), hash tables, and the buffer of
# 64 MiB that a machine with memory above 4 GiB has for devices that cannot reach it.
KERNEL_BYTES_MAX = 64 << 20

# mayfly gives no guest more than the host has: 8 GiB need a lab of 9, and that a host with some more.
HOST_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
HAS_8G = HOST_BYTES >= 10 << 30

# What says only that time has passed, as it does on a busy host: no sign of what the machine is. The report
# of a stall ends with registers and stacks; so does that of anything worse, which has a first line of its own.
ALLOWED = (
    r"hrtimer: interrupt took N ns",
    r"clocksource: Long readout interval, skipping watchdog check: cs_nsec: N wd_nsec: N",
    r"clocksource: timekeeping watchdog on CPUN: \S+ retried N times before success",
    r"watchdog: BUG: soft lockup - CPU#N stuck for Ns! \[.*\]",
    r"rcu: INFO: rcu_\w+ self-detected stall on CPU",
    r"rcu: INFO: rcu_\w+ detected (?:expedited )?stalls on CPUs/tasks:.*",
    r"rcu: \t.*",
    r"(?:Sending NMI from CPU N to CPUs|NMI backtrace for cpu|Task dump for CPU) N.*",
    r"Modules linked in:.*|CPU: N .*|Hardware name: .*|Call Trace:|task:.*",
)

host = linux_host(
    kernels=[f"{version}/{file}" for version in ("6.1", "6.12") for file in ("bzImage", "vmlinux")],
    files={"/work/initrd": jobs_initramfs({"facts": FACTS})},
    tools=["qemu-system-x86_64"],
    memory="9G" if HAS_8G else "2G",
)


def read_facts(outcome):
    check_status(outcome, OK)
    facts = Facts(outcome.out)
    check(facts.is_whole, "the facts are cut short", outcome)
    return facts


@functools.cache
def qemu_warnings(version):
    """What this kernel complains of in a microvm of QEMU's, on this host."""
    outcome = host.run(
        [
            "qemu-system-x86_64",
            "-M",
            "microvm,pit=off,pic=off,rtc=off,isa-serial=on",
            "-accel",
            "kvm",
            "-cpu",
            "host",
        ]
        + [
            "-m",
            "256",
            "-kernel",
            host.path(f"/kernels/{version}/vmlinux"),
            "-initrd",
            host.path("/work/initrd"),
        ]
        + ["-nodefaults", "-no-user-config", "-nographic", "-serial", "stdio", "-no-reboot"]
        + ["-append", "console=ttyS0 panic=-1 quiet job=facts"],
        timeout=BOOT_SECONDS,
    )
    return set(read_facts(outcome).warnings)


def check_said(facts, pattern, outcome):
    check(re.search(pattern, facts.said) is not None, f"Linux did not say {pattern!r}", outcome)


def check_not_said(facts, pattern, outcome):
    found = re.search(f"(?m)^.*(?:{pattern}).*$", facts.said)
    check(found is None, f"Linux said {found and found.group()!r}", outcome)


def check_machine(facts, version, is_modern, cpus, outcome):
    check(facts.values["online"] == ("0" if cpus == 1 else f"0-{cpus - 1}"), "CPUs online", outcome)
    for pattern in (
        f"Linux version {re.escape(version)}\\.",
        "Hypervisor detected: KVM",
        "x2apic enabled",
        "kvm-clock: Using msrs",
        "TSC deadline timer available",
    ):
        check_said(facts, pattern, outcome)
    if version == "6.12":  # 6.1 uses it and does not say so
        check_said(facts, r"kvm-guest: APIC: eoi\(\) replaced", outcome)
    check_said(facts, r"Calibrating delay loop \(skipped\)", outcome)
    check_not_said(
        facts,
        r"alibrating delay loop\.\.\.|alibrating delay using|using PIT|via PIT|PIT calibration",
        outcome,
    )
    if is_modern:
        check_not_said(facts, r"\b8254\b|i8253|\bPIT\b", outcome)
        check(
            not any(
                "XT-PIC" in line or "timer" in line.split("-")[-1]
                for line in facts.interrupts
                if "LOC" not in line
            ),
            "a legacy interrupt",
            outcome,
        )


def check_memory(facts, memory, outcome):
    size, usable, total = SIZES[memory], facts.usable_bytes(), int(facts.values["MemTotal"]) << 10
    check(size - HOLES_MAX <= usable <= size, f"{usable} bytes of {size} in the memory map", outcome)
    least = usable - usable // 32 - KERNEL_BYTES_MAX
    check(least <= total < usable, f"MemTotal is {total} of {usable} usable bytes", outcome)


def check_warnings(facts, version, outcome):
    new = {
        text: line
        for text, line in facts.warnings.items()
        if text not in qemu_warnings(version) and not any(re.fullmatch(allowed, text) for allowed in ALLOWED)
    }
    check(not new, f"warnings that QEMU's guest does not have: {list(new.values())}", outcome)


def comes_up(version, file, protocol, profile, cpus, memory):
    if memory == "8G" and not HAS_8G:
        skip(f"a guest of 8 GiB on a host of {HOST_BYTES / (1 << 30):.1f} GiB")
    # By PVH mayfly adds nothing to the user's words.
    words = "console=ttyS0 panic=-1 quiet job=facts" if protocol == "pvh" else "quiet job=facts"
    outcome = host.mayfly(
        "boot",
        host.path(f"/kernels/{version}/{file}"),
        "--initrd",
        host.path("/work/initrd"),
        "--append",
        words,
        "--protocol",
        protocol,
        "--profile",
        profile,
        "--cpus",
        cpus,
        "--memory",
        memory,
        timeout=BOOT_SECONDS,
    )
    facts = read_facts(outcome)
    check_machine(facts, version, profile == "modern", cpus, outcome)
    check_memory(facts, memory, outcome)
    check_warnings(facts, version, outcome)
    check(outcome.err == "", "stderr is not empty", outcome)


@case
def linux_6_12_vmlinux_with_4_cpus_in_512_mib():
    comes_up("6.12", "vmlinux", "linux", "modern", 4, "512M")


@case
def linux_6_12_bzimage_on_a_pc_with_4_cpus_and_8_gib():
    comes_up("6.12", "bzImage", "linux", "legacy", 4, "8G")


@case
def linux_6_12_vmlinux_by_pvh_in_the_least_memory():
    comes_up("6.12", "vmlinux", "pvh", "modern", 1, LEAST_MEMORY)


@case
def linux_6_1_vmlinux_by_pvh_on_a_pc_with_4_cpus():
    comes_up("6.1", "vmlinux", "pvh", "legacy", 4, "512M")


@case
def linux_6_1_vmlinux_on_a_pc_in_the_least_memory():
    comes_up("6.1", "vmlinux", "linux", "legacy", 1, LEAST_MEMORY)


@case
def linux_6_1_bzimage_in_8_gib():
    comes_up("6.1", "bzImage", "linux", "modern", 1, "8G")


@case
def less_memory_than_the_kernel_takes_is_refused():
    for file in ("6.12/bzImage", "6.12/vmlinux"):
        outcome = host.mayfly("boot", host.path(f"/kernels/{file}"), "--memory", "64M", timeout=300)
        check_status(outcome, 125)
        check(re.search(r"outside guest RAM of 64 MiB \(see --memory\)$", outcome.err), "the reason", outcome)


main()
