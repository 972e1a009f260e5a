# SPDX-License-Identifier: Apache-2.0
"""hello boots by every protocol, on every machine; -v says which and why."""
import gzip

import bzimage
from harness import boot, case, check, check_match, check_out, check_refused, check_silent, check_status
from harness import guest, guest_bytes, guest_file, main, skip, temporary_directory, write_file

HELLO = b"Hello from mayfly\n"
MACHINES = [("--profile", profile, "--cpus", cpus) for profile in ("modern", "legacy") for cpus in (1, 4)]


def says_hello(*arguments):
    outcome = boot(*arguments, "--timeout", 20)
    check_status(outcome, 0)
    check_out(outcome, HELLO)
    return outcome


def on_every_machine(*arguments):
    for machine in MACHINES:
        check_silent(says_hello(*arguments, *machine))


@case
def hello_from_the_binary():
    on_every_machine(guest("hello"))


@case
def hello_by_pvh():
    on_every_machine(guest_file("hello"), "--protocol", "pvh")


@case
def hello_by_linux_64():
    on_every_machine(guest_file("hello"), "--protocol", "linux")


@case
def hello_by_multiboot():
    on_every_machine(guest_file("hello"), "--protocol", "multiboot")


@case
def hello_by_multiboot_2():
    on_every_machine(guest_file("hello"), "--protocol", "multiboot2")


@case
def hello_without_irqchip():
    says_hello(guest_file("hello"), "--irqchip", "none")


def as_payload(packing, machines):
    if bzimage.PACKERS[packing] is None:
        skip(f"{packing} is not installed")
    with temporary_directory() as directory:
        kernel = write_file(
            directory, "bzImage", bzimage.image(bzimage.payload(packing, guest_bytes("hello")))
        )
        for machine in machines:
            outcome = says_hello(kernel, "-v", *machine)
            check_match(outcome, "bzImage")


@case
def hello_as_gzip_payload_on_every_machine():
    as_payload("gzip", MACHINES)


@case
def hello_as_xz_payload():
    as_payload("xz", MACHINES[:1])


@case
def hello_as_xz_payload_with_the_other_checksum():
    as_payload("xz-crc64", MACHINES[:1])


@case
def hello_as_lzma_payload():
    as_payload("lzma", MACHINES[:1])


@case
def hello_as_lz4_payload_on_every_machine():
    as_payload("lz4", MACHINES)


@case
def hello_as_zstd_payload_on_every_machine():
    as_payload("zstd", MACHINES)


@case
def a_gzipped_kernel_is_unpacked_as_grub_does():
    with temporary_directory() as directory:
        packed = gzip.compress(guest_bytes("hello"))
        for protocol in ("auto", "multiboot", "multiboot2"):
            says_hello(write_file(directory, "kernel.gz", packed), "--protocol", protocol)
        name = write_file(directory, "short.gz", packed[:-4] + b"\x01\0\0\0")
        check_refused(boot(name), name, "more than the 1 bytes that it claims")
        name = write_file(directory, "large.gz", packed[:-4] + b"\xff\xff\xff\xff")
        check_refused(boot(name), name, "claims to unpack to 4294967295, the limit is 128 MiB")
        name = write_file(directory, "cut.gz", packed[: len(packed) // 2])
        check_refused(boot(name), name)


@case
def a_payload_behind_decompressor_code():
    with temporary_directory() as directory:
        packed = bzimage.payload("gzip", guest_bytes("hello"))
        says_hello(write_file(directory, "bzImage", bzimage.image(packed, kernel_prefix=b"\x0f\x0b" * 512)))


@case
def a_bzimage_without_payload_is_entered_at_its_32_bit_entry():
    # mov $7, %al; out %al, $0xf4; hlt, alike in both modes
    with temporary_directory() as directory:
        kernel = write_file(
            directory, "bzImage", bzimage.image(b"", b"\xb0\x07\xe6\xf4\xf4" + bytes(0x300), xloadflags=0)
        )
        check_status(boot(kernel, "--timeout", 10), 7)


@case
def a_bzimage_without_payload_is_entered_at_its_64_bit_entry():
    code = b"\x0f\x0b".ljust(0x200, b"\x90") + b"\xb0\x09\xe6\xf4\xf4" + bytes(0x100)
    with temporary_directory() as directory:
        check_status(boot(write_file(directory, "bzImage", bzimage.image(b"", code)), "--timeout", 10), 9)


@case
def packings_that_have_no_decoder_are_refused_by_name():
    for packing in ("bzip2", "lzo"):
        with temporary_directory() as directory:
            kernel = write_file(
                directory, "bzImage", bzimage.image(bzimage.payload(packing, guest_bytes("hello")))
            )
            outcome = boot(kernel)
            check_refused(outcome)
            check(packing in outcome.err.lower(), f"{packing} is not named", outcome)


def refused_payload(packing, data, *parts, **lies):
    with temporary_directory() as directory:
        kernel = write_file(directory, "bzImage", bzimage.image(bzimage.payload(packing, data, **lies)))
        outcome = boot(kernel)
        check_refused(outcome, kernel, *parts)
        check(outcome.seconds < 10, "took too long", outcome)


@case
def payloads_with_a_wrong_size_are_refused():
    hello = guest_bytes("hello")
    for packing, packer in bzimage.PACKERS.items():
        if packer is None or packing in ("bzip2", "lzo"):
            continue
        refused_payload(packing, hello, claimed_bytes=len(hello) - 1)
        refused_payload(packing, hello, claimed_bytes=len(hello) + 1)
        refused_payload(packing, hello, claimed_bytes=0)
        refused_payload(packing, hello, "4294967295", claimed_bytes=0xFFFFFFFF)


@case
def a_payload_that_expands_without_end_is_refused():
    for packing in ("gzip", "xz"):
        refused_payload(packing, bytes(40 << 20), claimed_bytes=1 << 20)


@case
def a_payload_that_is_not_an_elf_is_refused():
    refused_payload("gzip", b"not an ELF at all" * 100, "ELF")


@case
def truncated_bzimages_are_refused():
    whole = bzimage.image(bzimage.payload("gzip", guest_bytes("hello")))
    with temporary_directory() as directory:
        for size in (0x1F1, 0x202, 0x250, 512, 2048, 2560, 2561, len(whole) // 2, len(whole) - 64):
            check_refused(boot(write_file(directory, "bzImage", whole[:size]), "--timeout", 10))


@case
def truncated_elves_are_refused():
    whole = guest_bytes("bootinfo")
    with temporary_directory() as directory:
        for size in (1, 3, 4, 16, 52, 63, 64, 100, 200):
            kernel = write_file(directory, "kernel", whole[:size])
            outcome = boot(kernel, "--timeout", 10)
            check_refused(outcome, kernel)


@case
def auto_says_which_protocol_and_which_profile_and_why():
    outcome = boot(guest_file("hello"), "-v", "--timeout", 10)
    check_status(outcome, 0)
    check_out(outcome, HELLO)
    check_match(outcome, r"(?m)^mayfly: kernel .*hello\.elf: (PVH|pvh).*\(.+\)$")
    check_match(outcome, r"(?m)^mayfly: profile modern, irqchip split: .+$")
    outcome = boot(guest_file("hello"), "-v", "--protocol", "multiboot", "--timeout", 10)
    check_match(outcome, r"(?mi)^mayfly: kernel .*hello\.elf: multiboot.*\(.+\)$")
    check_match(outcome, r"(?m)^mayfly: profile legacy, irqchip full: .*Multiboot.*$")
    outcome = boot(guest_file("hello"), "-v", "--profile", "legacy", "--timeout", 10)
    check_match(outcome, r"(?m)^mayfly: profile legacy, irqchip full: as requested$")


@case
def the_guest_sees_the_requested_protocol():
    for protocol, word in (
        ("pvh", b"pvh"),
        ("linux", b"linux"),
        ("multiboot", b"multiboot"),
        ("multiboot2", b"multiboot2"),
    ):
        outcome = boot(guest_file("bootinfo"), "--protocol", protocol, "--timeout", 10)
        check_status(outcome, 0)
        said = outcome.out.splitlines()[0].lower().replace(b" ", b"").replace(b"-64", b"")
        check(said == b"protocol" + word, f"not {word!r}", outcome)


main()
