# SPDX-License-Identifier: Apache-2.0
"""Guests that forge the log that mayfly reads in their memory: none keeps mayfly from its end, and the first
words of a panic are reported."""
import signal
import struct
import time

import flat_kernel
import harness
from harness import CRASHED, boot, case, check, check_status, finish, popen, temporary_directory, write_file

COUNT_BITS, TEXT_BITS = 19, 24
RECORDS = 1 << COUNT_BITS
STEP = (1 << TEXT_BITS) // RECORDS
DESCRIPTOR_BYTES, INFO_BYTES = 24, 88
FINALIZED = 2 << 62
# How long an end may take on a busy machine. Without a bound it took 47 s.
END_SECONDS = 20


def printk_ring(layout, count_bits, text_bits):
    """A fresh ring, as in a kernel's file: sizes, places and counters."""
    first_id = (-(1 << count_bits) - 1) & 0xFFFFFFFF
    position = -(1 << text_bits) & 0xFFFFFFFFFFFFFFFF
    return struct.pack("<10Q", count_bits, layout["descriptors"], layout["infos"], first_id, first_id, 0, text_bits,
                       layout["text"], position, position)


def records_of(texts, count_bits, text_bits):
    """Descriptors, infos and text of records that begin with the first id; a text as (bytes, length that the
    record claims), each in a block of its own that the next record's may overlap."""
    count = 1 << count_bits
    descriptors, infos = bytearray(count * DESCRIPTOR_BYTES), bytearray(count * INFO_BYTES)
    text = bytearray(b"\n" * (1 << text_bits))
    first_id = -count & 0xFFFFFFFF
    step = (1 << text_bits) // len(texts)
    for index, (words, claimed) in enumerate(texts):
        record_id = first_id + index
        slot, begin = record_id % count, index * step
        end = min(begin + 8 + claimed, (1 << text_bits) - 8)
        struct.pack_into("<QQQ", descriptors, slot * DESCRIPTOR_BYTES, FINALIZED | record_id, begin, end)
        struct.pack_into("<QQH", infos, slot * INFO_BYTES, index, 0, claimed)
        struct.pack_into("<Q", text, begin, record_id)
        text[begin + 8 : begin + 8 + len(words)] = words
    return bytes(descriptors), bytes(infos), bytes(text), first_id + len(texts) - 1


def kernel_with_log(texts, code_of, count_bits=COUNT_BITS, text_bits=TEXT_BITS):
    """A Linux, by its note and driver, whose log has records from the start but says so only once `code_of`'s code
    has run: it is given (where the newest record's id goes, that id)."""
    base, code_at = 0x1000000, 0x1000
    descriptors, infos, text, newest = records_of(texts, count_bits, text_bits)
    layout = {"ring": base}
    layout["infos"] = base + 0x2000
    layout["descriptors"] = layout["infos"] + len(infos)
    layout["text"] = layout["descriptors"] + len(descriptors)
    ring = printk_ring(layout, count_bits, text_bits)
    code = code_of(base + 24, newest)
    image = bytearray(0x2000)
    image[: len(ring)] = ring
    image[code_at : code_at + len(code)] = code
    image += infos + descriptors + text
    note = struct.pack("<3I", 6, 4, 0x100) + b"Linux\0\0\0" + bytes(4)
    constants, names = b"\0virtio_console\0virtio-mmio\0", b"\0.rodata\0.data\0.shstrtab\0"
    image_at = 0x1000
    note_at = image_at + len(image)
    constants_at = note_at + len(note)
    names_at = constants_at + len(constants)
    sections_at = names_at + len(names)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, base + code_at, 64, sections_at, 0, 64, 56, 2, 64, 4, 3
    )
    segments = struct.pack("<IIQQQQQQ", 1, 7, image_at, base, base, len(image), len(image), 4096)
    segments += struct.pack("<IIQQQQQQ", 4, 4, note_at, 0, 0, len(note), len(note), 4)
    sections = bytes(64)
    sections += struct.pack("<IIQQQQIIQQ", 1, 1, 2, 0, constants_at, len(constants), 0, 0, 1, 0)
    sections += struct.pack("<IIQQQQIIQQ", 9, 1, 3, base, image_at, 0x1000, 0, 0, 8, 0)
    sections += struct.pack("<IIQQQQIIQQ", 15, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    start = (ident + header + segments).ljust(image_at, b"\0")
    return start + bytes(image) + note + constants + names + sections


def set_newest(at, newest):
    """mov edi, at; mov rax, newest; mov [rdi], rax"""
    return b"\xbf" + struct.pack("<I", at) + b"\x48\xb8" + struct.pack("<Q", newest) + b"\x48\x89\x07"


HANG = b"\xeb\xfe"
# mov word [0x472], 0x1234, which says that it was a panic; then the reset register: mov dx, 0xcf9; mov al, 6; out
PANIC = b"\x66\xc7\x04\x25\x72\x04\0\0\x34\x12" + flat_kernel.out8(0xCF9, 6) + HANG


def forged(directory, code):
    lines = [(b"", 2048)] * RECORDS
    return write_file(directory, "forged", kernel_with_log(lines, lambda at, newest: set_newest(at, newest) + code))


@case
def half_a_million_records_of_line_feeds_do_not_outlast_the_timeout_or_a_signal():
    with temporary_directory() as directory:
        kernel = forged(directory, HANG)
        with open("/dev/null", "wb") as nowhere:
            outcome = boot("--timeout", 3, kernel, stdout=nowhere)
            check_status(outcome, harness.TIMEOUT)
            check(outcome.seconds < 3 + END_SECONDS, "it ended late", outcome)
            process = popen(["boot", "--expect", "never", kernel], stdout=nowhere)
            time.sleep(1)
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            outcome = finish(process, started)
            check_status(outcome, 128 + signal.SIGTERM)
            check(outcome.seconds < END_SECONDS, "it ended late", outcome)


@case
def a_panic_is_told_in_the_guests_own_words():
    words = b"Kernel panic - not syncing: \x1b[31mVFS: Unable to mount root fs on unknown-block(0,0)"
    texts = [(b"Linux version 6.12", 18), (words, len(words)), (b"Call Trace:", 11)]
    with temporary_directory() as directory:
        content = kernel_with_log(texts, lambda at, newest: set_newest(at, newest) + PANIC, 12, 17)
        kernel = write_file(directory, "kernel", content)
        said = "mayfly: the guest panicked: Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"
        hint = " (it has no root: neither --initrd, --disk nor --exec was given)"
        for options, told in (([], said + hint), (["--console", "null"], said + hint), (["--initrd", kernel], said)):
            outcome = boot("--timeout", 30, *options, kernel)
            check_status(outcome, CRASHED)
            check(outcome.err == told + "\n", "not told so", outcome)


@case
def a_guest_that_panicked_and_stays_is_told_at_the_timeout():
    texts = [(b"Kernel panic - not syncing: stays", 33)]
    with temporary_directory() as directory:
        content = kernel_with_log(texts, lambda at, newest: set_newest(at, newest) + HANG, 12, 17)
        outcome = boot("--timeout", 1, write_file(directory, "kernel", content))
        check_status(outcome, harness.TIMEOUT)
        check(outcome.err.endswith("within 1 s; it has panicked: Kernel panic - not syncing: stays\n"), "told", outcome)


if __name__ == "__main__":
    harness.main()
