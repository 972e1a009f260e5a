#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guests that make requests without end cost only their own vCPU's time and no memory, and end on request."""
import os
import re
import signal
import subprocess
import time

import flat_kernel
from harness import HANG_SECONDS, case, check, finish, guest, main, popen, shell_status
from harness import temporary_directory, write_file

SERIAL, DEBUG = 0x3F8, 0xE9
# Bytes after which a flood has filled all buffers, bytes that follow, and the growth that these may cause.
WARM_BYTES, FLOOD_BYTES, GROWTH_MAX = 160 << 10, 160 << 10, 96 << 10
# Other threads wake up now and then. A busy one would get as much time as the vCPU's, on any host.
OTHERS_SHARE_MAX, OTHERS_SECONDS_MAX = 0.2, 0.1


def memory_bytes(process):
    """The peak of its memory so far."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1)) << 10


def check_threads(process):
    """Checks that one thread, the vCPU's, does the work."""
    seconds = []
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{thread}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        seconds.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    seconds.sort()
    others = sum(seconds[:-1])
    check(others <= OTHERS_SHARE_MAX * seconds[-1] + OTHERS_SECONDS_MAX, f"seconds of its threads: {seconds}")


def interrupt(process):
    """Ends it as Ctrl-C does."""
    process.send_signal(signal.SIGINT)
    outcome = finish(process, time.monotonic())
    check(outcome.status == 128 + signal.SIGINT, f"status {outcome.status}", outcome)


def flat(directory, code):
    return write_file(directory, "kernel", flat_kernel.multiboot(code))


def flood_of(text):
    """Writes `text` to the debug console, again and again, by string instructions."""
    # call over the text; pop ebx; cld; mov dx, 0xe9; again: mov esi, ebx; mov ecx, size; rep outsb; jmp again
    size = len(text).to_bytes(4, "little")
    return b"\xe8" + size + text + b"\x5b\xfc\x66\xba\xe9\x00\x89\xde\xb9" + size + b"\xf3\x6e\xeb\xf5"


def read_bytes(process, count):
    while count > 0:
        got = len(os.read(process.stdout.fileno(), min(count, 1 << 16)))
        check(got > 0, "the console ended early")
        count -= got


@case
def a_flood_of_the_debug_console_takes_no_memory():
    for text in (b"x" * 1024, (b"y" * 63 + b"\n") * 16):
        with temporary_directory() as directory:
            process = popen(("boot", flat(directory, flood_of(text))))
            read_bytes(process, WARM_BYTES)
            before = memory_bytes(process)
            read_bytes(process, FLOOD_BYTES)
            grown = memory_bytes(process) - before
            check_threads(process)
            interrupt(process)
        check(grown <= GROWTH_MAX, f"{FLOOD_BYTES} bytes on, it has {grown} bytes more")


@case
def a_flood_that_nobody_reads_ends_in_time():
    for where in ("auto", "stdout", "stderr"):
        with temporary_directory() as directory:
            kernel = flat(directory, flood_of(b"z" * 1024))
            process = popen(("boot", kernel, "--debugcon", where, "--timeout", 1))
            status = shell_status(process.wait(HANG_SECONDS))
            process.stdout.close()
            process.stderr.close()
            check(status == 124, f"{where}: status {status}")


@case
def a_debug_console_that_never_agrees_with_the_serial_port_costs_the_vcpu_only():
    # mov ecx, 32768; mov dx, 0x3f8; again: mov al, 'b'; out dx, al; mov al, '\n'; out dx, al; loop again
    fill = b"\xb9\x00\x80\x00\x00\x66\xba\xf8\x03\xb0b\xee\xb0\n\xee\xe2\xf8"
    # Then, forever, the start of another line here, for which all held lines are searched, and a line's end
    # there.
    differ = flat_kernel.out8(DEBUG, ord("a")) + flat_kernel.out8(SERIAL, ord("\n"))
    code = fill + differ + b"\xeb" + bytes([256 - len(differ) - 2])
    with temporary_directory() as directory:
        process = popen(("boot", flat(directory, code)), stdout=subprocess.DEVNULL)
        time.sleep(3)
        check_threads(process)
        interrupt(process)


@case
def a_timer_that_is_set_to_its_shortest_period_over_and_over_ends_in_time():
    for mode in ("reinject", "discard"):
        arguments = ("boot", guest("pit"), "--profile", "legacy", "--append", "storm", "--pit", mode)
        outcome = finish(popen((*arguments, "--timeout", 1)), time.monotonic())
        check(outcome.status == 124, f"{mode}: status {outcome.status}", outcome)
        process = popen(arguments)
        time.sleep(1)
        before = memory_bytes(process)
        time.sleep(1)
        check_threads(process)
        grown = memory_bytes(process) - before
        interrupt(process)
        check(grown <= GROWTH_MAX, f"{mode}: it has {grown} bytes more")


main()
