# SPDX-License-Identifier: Apache-2.0
"""Guest RAM of every size, its content at the start, and files that do not fit."""
import os

import bzimage
import flat_kernel
from harness import FAILED, boot, case, check, check_match, check_refused, check_silent, check_status, guest
from harness import guest_bytes, main, skip, skip_if_sanitized, temporary_directory, write_file

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
RESERVED_KIB = 385  # 0x9fc00 to 1 MiB
HOST_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def walks(size, text=None, *options):
    """Skips the case where this host lacks the memory, so the largest sizes come last."""
    if size > HOST_BYTES:
        skip(f"a guest of {size / GIB:.1f} GiB on a host of {HOST_BYTES / GIB:.1f} GiB; smaller ones passed")
    outcome = boot(guest("memory"), "--memory", text or size, "--timeout", 30, *options)
    check_status(outcome, 0)
    check_silent(outcome)
    check(b"FAIL" not in outcome.out, "the guest says FAIL", outcome)
    expected = b"total %d KiB\n" % (size // KIB - RESERVED_KIB)
    check(outcome.out.endswith(expected), f"the guest does not say {expected!r}", outcome)
    return outcome


@case
def the_guest_sees_and_reaches_all_its_memory():
    for size, text in (
        (2 * MIB, "2M"),
        (2 * MIB + 4 * KIB, "2052K"),
        (64 * MIB, "64M"),
        (100 * MIB + 4096, None),
        (GIB + GIB // 2, "1.5G"),
        (3 * GIB, "3G"),
        (3 * GIB + 4096, None),
        (4 * GIB, "4G"),
        (8 * GIB, "8G"),
    ):
        walks(size, text)


@case
def memory_in_every_profile_and_with_processors():
    walks(4 * GIB, "4G", "--irqchip", "none")
    walks(8 * GIB, "8G", "--profile", "legacy", "--cpus", 4)
    walks(8 * GIB, "8G", "--cpus", 4)


@case
def memory_by_every_protocol():
    for protocol in ("pvh", "linux", "multiboot", "multiboot2"):
        walks(4 * GIB + 64 * MIB, None, "--protocol", protocol)


@case
def memory_above_4_gib_is_usable():
    outcome = walks(8 * GIB, "8G")
    check(b"ram 0x100000000 0x140000000\n" in outcome.out, "no 5 GiB at 4 GiB", outcome)


@case
def as_much_memory_as_the_host_has_is_accepted_and_more_than_kvm_takes_is_refused():
    check_silent(boot(guest("hello"), "--memory", HOST_BYTES, "--timeout", 60))
    outcome = boot(guest("hello"), "--memory", "64T", "--timeout", 20)
    check_status(outcome, FAILED)
    check_match(outcome, r"(?m)^mayfly: KVM_SET_USER_MEMORY_REGION --memory 64 TiB: .* \(KVM takes no slot")


def shows(outcome, *lines):
    check_status(outcome, 0)
    for line in lines:
        check(line in outcome.out.splitlines(), f"the guest does not say {line!r}", outcome)


INITRD = b"initrd\x00\x01\x02" + bytes(range(200)) * 50


def module_line(index, data):
    return b"module %d size %d bytes %s" % (index, len(data), data[:16].hex().encode())


@case
def a_kernel_that_is_not_linux_gets_the_users_words_alone():
    for protocol in ("pvh", "linux"):
        outcome = boot(
            guest("bootinfo"), "--protocol", protocol, "--append", "app --verbose", "--timeout", 20
        )
        shows(outcome, b"cmdline app --verbose")


@case
def more_memory_than_the_host_has_is_a_warning():
    host_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    outcome = boot(guest("hello"), "--memory", f"{host_gib + 2}G", "--timeout", 60)
    check_status(outcome, 0)
    check_match(outcome, rf"^mayfly: warning: --memory {host_gib + 2} GiB is more than this host has, \d+ M")


@case
def more_memory_than_the_limit_allows_is_refused():
    skip_if_sanitized()
    host_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    outcome = boot(guest("hello"), "--memory", f"{host_gib + 2}G", wrapper=("prlimit", f"--as={4 << 30}"))
    check_status(outcome, FAILED)
    check_match(outcome, rf"(?m)^mayfly: mmap --memory {host_gib + 2} GiB: .*ulimit -v")


@case
def an_initrd_arrives_by_every_protocol():
    with temporary_directory() as directory:
        path = write_file(directory, "initrd", INITRD)
        for protocol in ("pvh", "linux", "multiboot", "multiboot2"):
            shows(
                boot(guest("bootinfo"), "--initrd", path, "--protocol", protocol, "--timeout", 20),
                module_line(0, INITRD),
                b"modules 1",
            )
        kernel = write_file(
            directory, "bzImage", bzimage.image(bzimage.payload("gzip", guest_bytes("bootinfo")))
        )
        shows(
            boot(kernel, "--initrd", path, "--append", "console=ttyS0", "--no-default-append", "--timeout", 20),
            b"protocol linux",
            b"cmdline console=ttyS0",
            module_line(0, INITRD),
        )


@case
def modules_arrive_in_order_with_their_words():
    with temporary_directory() as directory:
        first, second = write_file(directory, "one", b"first" * 100), write_file(
            directory, "two", b"2" * 5000
        )
        for protocol in ("pvh", "multiboot", "multiboot2"):
            outcome = boot(
                guest("bootinfo"),
                "--module",
                first + " with words",
                "--module",
                second,
                "--protocol",
                protocol,
                "--timeout",
                20,
            )
            shows(outcome, module_line(0, b"first" * 100), module_line(1, b"2" * 5000), b"modules 2")
            check(b"module 0 text" in outcome.out and b"with words" in outcome.out, "no words", outcome)


@case
def the_command_line_arrives():
    for protocol in ("pvh", "linux", "multiboot", "multiboot2"):
        outcome = boot(guest("bootinfo"), "--append", "one two=3", "--protocol", protocol, "--timeout", 20)
        check_status(outcome, 0)
        check(b"one two=3" in outcome.out, "no command line", outcome)


@case
def a_command_line_that_is_too_long_is_refused():
    for protocol in ("pvh", "linux", "multiboot", "multiboot2"):
        outcome = boot(guest("bootinfo"), "--append", "x" * 70000, "--protocol", protocol)
        check_refused(outcome, "command line", "70")
    with temporary_directory() as directory:
        kernel = write_file(
            directory, "bzImage", bzimage.image(bzimage.payload("gzip", guest_bytes("bootinfo")))
        )
        check_refused(boot(kernel, "--append", "x" * 2048), "command line", "2047")
        check_status(boot(kernel, "--append", "x" * 2047, "--timeout", 20), 0)


@case
def companions_that_do_not_fit_are_refused():
    with temporary_directory() as directory:
        path = os.path.join(directory, "large")
        with open(path, "wb") as file:
            file.truncate(200 * MIB)
        for protocol in ("pvh", "linux", "multiboot", "multiboot2"):
            check_refused(boot(guest("bootinfo"), "--initrd", path, "--protocol", protocol), path)
        check_refused(boot(guest("bootinfo"), "--module", path), path)
        with open(path, "wb") as file:
            file.truncate(64 * GIB)
        check_refused(boot(guest("bootinfo"), "--initrd", path, "--memory", "1G"), path)
        small = write_file(directory, "small", bytes(1 * MIB))
        check_refused(boot(guest("bootinfo"), "--initrd", small, "--memory", "2M"), small)


CODE = flat_kernel.out8(0xF4, 3)


def segment_kernel(directory, *segments, entry=None):
    address = segments[0][0] if entry is None else entry
    return write_file(directory, "kernel", flat_kernel.elf64(address, segments))


@case
def kernels_at_forbidden_addresses_are_refused():
    with temporary_directory() as directory:
        kernel = segment_kernel(directory, (MIB, CODE, 4096))
        check_status(boot(kernel, "--timeout", 10), 3)
        for address in (0x500, 0x7000, 0x9000, 0x20000):  # ours give way
            kernel = segment_kernel(directory, (MIB, CODE, 4096), (address, b"x" * 100, 4096))
            check_status(boot(kernel, "--timeout", 10), 3)
        for address in (0x9FC00, 0xE0000, 0xF0000):
            kernel = segment_kernel(directory, (MIB, CODE, 4096), (address, b"x" * 100, 1024))
            check_refused(boot(kernel, "--timeout", 10), kernel)
        for address in (128 * MIB, 3 * GIB, 4 * GIB, 0xFEE00000, 1 << 40, (1 << 64) - 4096):
            kernel = segment_kernel(directory, (MIB, CODE, 4096), (address, b"x" * 100, 4096))
            check_refused(boot(kernel, "--timeout", 10), kernel)


@case
def kernels_that_contradict_themselves_are_refused():
    with temporary_directory() as directory:
        for segments in (
            ((MIB, CODE, 4096), (MIB + 2, b"x" * 100, 4096)),  # overlapping
            ((MIB, CODE, 1 << 40),),
            ((MIB, CODE, (1 << 64) - MIB),),
            ((MIB, CODE, 2),),
        ):  # less memory than file
            kernel = segment_kernel(directory, *segments)
            check_refused(boot(kernel, "--timeout", 10), kernel)
        kernel = segment_kernel(directory, (MIB, CODE, 4096), entry=MIB - 4096)
        check_refused(boot(kernel, "--timeout", 10), kernel)


@case
def wrong_multiboot_address_fields_are_refused():
    with temporary_directory() as directory:
        for fields in (
            {"base": 0xE0000},
            {"base": 256 * MIB},
            {"base": 0xC0000000},
            {"load_end": 0xF0000000},
            {"load_end": 1},
            {"bss_end": 0xFFFFFFFF},
            {"entry": 0x200000},
        ):
            kernel = write_file(directory, "kernel", flat_kernel.multiboot(CODE, **fields))
            check_refused(boot(kernel, "--timeout", 10), kernel)


main()
