# SPDX-License-Identifier: Apache-2.0
"""Timelines and statistics: complete, in order, and in agreement with what the guest did."""
import json
import os
import re

import flat_kernel
from harness import boot, case, check, check_out, check_silent, check_status, guest, main, temporary_directory
from harness import write_file

PHASES = [
    "main",
    "kvm_opened",
    "vm_created",
    "memory_mapped",
    "kernel_loaded",
    "irqchip",
    "vcpus",
    "first_kvm_run",
    "first_exit",
    "exit",
]


def reports(*arguments, status=0):
    with temporary_directory() as directory:
        timeline, stats = os.path.join(directory, "timeline"), os.path.join(directory, "stats")
        outcome = boot(*arguments, "--timeline-json", timeline, "--stats-json", stats, "--timeout", 20)
        check_status(outcome, status)
        with open(timeline, encoding="utf-8") as file:
            timeline = json.load(file)
        with open(stats, encoding="utf-8") as file:
            return outcome, timeline, json.load(file)


def returns_at(stats, space, address):
    rows = [row for row in stats["by_address"] if (row["space"], row["address"]) == (space, address)]
    check(len(rows) == 1, f"{len(rows)} rows for {space} {address:#x}: {stats}")
    return rows[0]["returns"], rows[0]["bytes"]


@case
def every_phase_in_order():
    for options in ((), ("--cpus", 4), ("--profile", "legacy"), ("--irqchip", "none")):
        outcome, timeline, _ = reports(guest("hello"), *options)
        check_silent(outcome)
        phases = timeline["phases"]
        check(sorted(phases) == sorted(PHASES), f"phases {sorted(phases)}")
        times = [
            phases[name]
            for name in (
                "main",
                "kvm_opened",
                "vm_created",
                "irqchip",
                "vcpus",
                "first_kvm_run",
                "first_exit",
                "exit",
            )
        ]
        check(times == sorted(times) and times[0] > 0, f"not in order: {phases}")
        for name in ("memory_mapped", "kernel_loaded"):
            check(phases["main"] < phases[name] < phases["first_kvm_run"], f"{name} out of place: {phases}")
        check(phases["exit"] < outcome.seconds * 1e9 + 1e8, f"later than it can be: {phases}")


@case
def guest_marks_are_on_the_timeline():
    marks = [1, 2, 0x55, 255]
    code = (
        b"".join(flat_kernel.out8(0x80, mark) for mark in marks)
        + flat_kernel.out8(0xF4, 6)
        + flat_kernel.HALT
    )
    with temporary_directory() as directory:
        kernel = write_file(directory, "kernel", flat_kernel.multiboot(code))
        _, timeline, stats = reports(kernel, status=6)
    check([mark["value"] for mark in timeline["guest_marks"]] == marks, f"marks {timeline['guest_marks']}")
    times = [mark["at"] for mark in timeline["guest_marks"]]
    check(timeline["phases"]["first_kvm_run"] < times[0] and times == sorted(times), f"marks {timeline}")
    check(times[-1] < timeline["phases"]["exit"], f"a mark after the end: {timeline}")
    check(timeline["exit_status"] == 6 and timeline["guest_marks_dropped"] == 0, f"{timeline}")
    check(returns_at(stats, "port out", 0x80) == (4, 4), f"{stats}")


@case
def a_mark_at_firecrackers_boot_timer():
    code = b"\xb0\x7b\xa2\x00\x00\x00\xc0" + flat_kernel.out8(0xF4, 0)  # mov al, 123; mov [0xc0000000], al
    with temporary_directory() as directory:
        _, timeline, stats = reports(write_file(directory, "kernel", flat_kernel.multiboot(code)))
    check(len(timeline["guest_marks"]) == 1, f"{timeline}")
    check(returns_at(stats, "mmio write", 0xC0000000) == (1, 1), f"{stats}")


@case
def marks_beyond_the_limit_are_counted():
    # mov ecx, 300; mov al, 1; out 0x80, al; loop
    code = b"\xb9\x2c\x01\x00\x00\xb0\x01\xe6\x80\xe2\xfc" + flat_kernel.out8(0xF4, 0)
    with temporary_directory() as directory:
        _, timeline, _ = reports(write_file(directory, "kernel", flat_kernel.multiboot(code)))
    kept, dropped = len(timeline["guest_marks"]), timeline["guest_marks_dropped"]
    check(kept + dropped == 300 and kept == 256, f"{kept} kept, {dropped} dropped")


@case
def hello_returns_to_user_space_for_what_it_does_and_nothing_else():
    for options in ((), ("--profile", "legacy"), ("--cpus", 4)):
        _, _, stats = reports(guest("hello"), *options)
        check(returns_at(stats, "port out", 0x80) == (1, 1), f"{stats}")
        check(returns_at(stats, "port out", 0xF4) == (1, 1), f"{stats}")
        returns, size = returns_at(stats, "port out", 0x3F8)
        check(size == len("Hello from mayfly\n") and 1 <= returns <= size, f"{stats}")
        check(stats["returns_to_user_space"] == returns + 2, f"{stats}")
        check(stats["by_reason"] == {"KVM_EXIT_IO": returns + 2}, f"{stats}")
        check(stats["at_other_addresses"] == 0, f"{stats}")


@case
def kvms_own_counters_are_reported():
    _, _, stats = reports(guest("hello"), "--cpus", 2)
    if "missing" in stats["kvm"]:
        check(stats["kvm"]["missing"] != "", "no reason why they are missing")
        return
    check(len(stats["kvm"]["vcpus"]) == 2, f"{stats['kvm']}")
    check(stats["kvm"]["vcpus"][0].get("exits", 0) > 0, f"no exits counted: {stats['kvm']}")


@case
def a_sweep_of_all_ports_is_counted_whole():
    # xor edx, edx; in al, dx; inc dx; cmp dx, 512; jne: 512 ports, more than the table has rows
    code = b"\x31\xd2\xec\x66\x42\x66\x81\xfa\x00\x02\x75\xf6" + flat_kernel.out8(0xF4, 0)
    with temporary_directory() as directory:
        _, _, stats = reports(write_file(directory, "kernel", flat_kernel.multiboot(code)))
    total = sum(row["returns"] for row in stats["by_address"]) + stats["at_other_addresses"]
    check(total == stats["by_reason"]["KVM_EXIT_IO"] == stats["returns_to_user_space"], f"{stats}")
    check(stats["at_other_addresses"] > 0, "the table was large enough: the test proves nothing")


@case
def the_tables_say_the_same():
    outcome = boot(guest("hello"), "--timeline", "--stats", "--timeout", 20)
    check_status(outcome, 0)
    check_out(outcome, b"Hello from mayfly\n")
    lines = outcome.err.splitlines()
    rows = [found for line in lines if (found := re.match(r"(\w[\w ]*?) +([0-9.]+) (us|ms|s) ", line))]
    names = [row[1] for row in rows]
    for phase in PHASES:
        check(phase in names, f"no {phase}", outcome)
    check("guest mark 0x1" in outcome.err, "no guest mark", outcome)
    times = [float(row[2]) * {"us": 1, "ms": 1000, "s": 1_000_000}[row[3]] for row in rows]
    check(times == sorted(times), "not in order", outcome)
    check(re.search(r"port out\s+0x0*f4\s+1 bytes\s+1\n", outcome.err) is not None, "no exit port", outcome)
    check(re.search(r"returns to user space\s+\d+\n", outcome.err) is not None, "no total", outcome)


@case
def reports_are_written_whatever_the_guests_end():
    for words, status in (("exit=9", 9), ("triple", 126), ("reset", 0)):
        _, timeline, stats = reports(guest("exits"), "--append", words, status=status)
        check(timeline["exit_status"] == status, f"{timeline}")
        check(stats["returns_to_user_space"] > 0, f"{stats}")


main()
