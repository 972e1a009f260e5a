# SPDX-License-Identifier: Apache-2.0
"""Guests and files that misbehave while the guest runs: mayfly ends in time, with a status, not by a
signal."""
import os
import subprocess
import time

import flat_kernel
from harness import FAILED, boot, case, check, check_one_line, check_status, finish, guest, main, popen
from harness import temporary_directory, write_file

SEEDS = range(1, 9)


def storm(*options):
    for seed in SEEDS:
        outcome = boot(guest("hostile"), "--append", f"seed={seed} count=400", "--timeout", 20, *options)
        check_status(outcome, 0)
        check(b"ok hostile\n" in outcome.out, f"seed {seed}: the guest did not come through", outcome)
        check(outcome.seconds < 15, f"seed {seed}: took too long", outcome)


@case
def random_accesses_to_the_modern_machine():
    storm("--profile", "modern")


@case
def random_accesses_to_the_legacy_machine():
    storm("--profile", "legacy")


@case
def random_accesses_without_irqchip():
    storm("--irqchip", "none")


@case
def random_accesses_with_several_processors_and_much_memory():
    storm("--cpus", 4, "--memory", "4G")


def sweep(width_code, base_options):
    # mov edx, 0; mov eax, pattern; <in; out> dx; inc dx; cmp dx, 2048; jne
    body = b"\x66\x42\x66\x81\xfa\x00\x08"
    code = b"\x31\xd2" + width_code + body
    code += b"\x75" + bytes([256 - (len(width_code) + len(body) + 2)]) + flat_kernel.out8(0xF4, 0)
    with temporary_directory() as directory:
        kernel = write_file(directory, "kernel", flat_kernel.multiboot(code + flat_kernel.HALT))
        return boot(kernel, "--timeout", 20, "--console", "null", *base_options)


@case
def reading_every_low_port_at_every_width():
    for width_code in (b"\xec", b"\x66\xed", b"\xed"):
        for options in (("--profile", "modern"), ("--profile", "legacy"), ("--irqchip", "none")):
            check_status(sweep(width_code, options), 0)


@case
def writing_every_low_port_at_every_width():
    # Some port ends the guest; which one depends on the width and the value.
    for write in (b"\xee", b"\x66\xef", b"\xef"):
        for value in (0, 0xFF, 0x34):
            for options in (("--profile", "modern"), ("--profile", "legacy"), ("--irqchip", "none")):
                outcome = sweep(bytes([0xB8, value, value, value, value]) + write, options)
                check(outcome.status <= 126, "an odd status", outcome)
                check(outcome.status not in (124, FAILED), "no verdict of the guest's", outcome)


@case
def string_instructions_on_every_kind_of_port():
    # mov edi, 2 MiB; mov esi, edi; mov ecx, 3000; mov dx, port; rep ins/outs
    for port in (0x3F8, 0x70, 0xE9, 0x1234):
        for code in (b"\xf3\x6c", b"\xf3\x66\x6d", b"\xf3\x6d", b"\xf3\x6e", b"\xf3\x66\x6f", b"\xf3\x6f"):
            program = b"\xfc\xbf\x00\x00\x20\x00\x89\xfe\xb9\xb8\x0b\x00\x00\x66\xba" + port.to_bytes(
                2, "little"
            )
            program += code + flat_kernel.out8(0xF4, 0) + flat_kernel.HALT
            with temporary_directory() as directory:
                kernel = write_file(directory, "kernel", flat_kernel.multiboot(program))
                check_status(boot(kernel, "--timeout", 20, "--console", "null"), 0)


WAIT_FOR_INPUT = b"\x66\xba\xfd\x03\xec\xa8\x01\x74\xfb"  # mov dx, 0x3fd; in al, dx; test al, 1; jz


@case
def a_kernel_file_that_shrinks_while_it_runs_is_125():
    far = 2 << 20
    code = flat_kernel.out8(0x3F8, ord("R")) + WAIT_FOR_INPUT
    code += b"\xa0" + (flat_kernel.BASE + far).to_bytes(4, "little")  # mov al, [far]
    code += flat_kernel.out8(0xF4, 5) + flat_kernel.HALT
    for shrinks in (False, True):
        with temporary_directory() as directory:
            kernel = write_file(directory, "kernel", flat_kernel.multiboot(code.ljust(4 << 20, b"\x90")))
            process = popen(("boot", kernel, "--timeout", "20"), stdin=subprocess.PIPE)
            check(process.stdout.read(1) == b"R", "the guest did not start")
            if shrinks:
                os.truncate(kernel, 4096)
            time.sleep(0.05)
            outcome = finish(process, time.monotonic(), b"x")
            if shrinks:
                check_status(outcome, FAILED)
                check_one_line(outcome, "shrank")
            else:
                check_status(outcome, 5)


@case
def a_kernel_that_overwrites_itself_leaves_its_file_alone():
    # Fills its own second page, a mapping of the file, then ends.
    code = (
        b"\xfc\xbf"
        + (flat_kernel.BASE + 4096).to_bytes(4, "little")
        + b"\xb9\x00\x04\x00\x00\x31\xc0\xf3\xab"
    )
    code += flat_kernel.out8(0xF4, 0) + flat_kernel.HALT
    image = flat_kernel.multiboot(code.ljust(1 << 20, b"\x90"))
    with temporary_directory() as directory:
        kernel = write_file(directory, "kernel", image)
        os.chmod(kernel, 0o444)
        check_status(boot(kernel, "--timeout", 20), 0)
        with open(kernel, "rb") as file:
            check(file.read() == image, "the guest wrote to its kernel's file")


main()
