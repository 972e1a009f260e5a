#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The debug console at port 0xe9: shown once on the console where the serial port says the same, or elsewhere
on request."""
import os

import flat_kernel
from harness import boot, case, check, check_out, check_refused, check_silent, check_status, main
from harness import temporary_directory, write_file

SERIAL, DEBUG = 0x3F8, 0xE9
LIMIT = ("--timeout", 30)


def said(port, text):
    return b"".join(flat_kernel.out8(port, byte) for byte in text)


EXIT = flat_kernel.out8(0xF4, 0)


def boots(code, *options):
    with temporary_directory() as directory:
        return boot(write_file(directory, "kernel", flat_kernel.multiboot(code)), *LIMIT, *options)


def prints(expected, code, *options):
    outcome = boots(code + EXIT, *options)
    check_status(outcome, 0)
    check_out(outcome, expected)
    check_silent(outcome)


@case
def text_written_to_both_is_on_stdout_once():
    text = b"SOT\nlogin: "
    prints(text, b"".join(said(SERIAL, bytes([c])) + said(DEBUG, bytes([c])) for c in text))
    prints(text, b"".join(said(DEBUG, bytes([c])) + said(SERIAL, bytes([c])) for c in text))
    prints(b"a\r\nb\r\n", said(DEBUG, b"a\nb\n") + said(SERIAL, b"a\r\nb\r\n"))
    prints(b"a\r\nb\r\n", said(SERIAL, b"a\r\nb\r\n") + said(DEBUG, b"a\nb\n"))


@case
def text_written_there_alone_is_in_its_place():
    prints(b"early\n", said(DEBUG, b"early\n"))
    prints(b"a\nb\nc\nd", said(DEBUG, b"a\n") + said(SERIAL, b"b\n") + said(DEBUG, b"c\n") + said(SERIAL, b"d"))


@case
def a_guest_that_stays_is_seen_and_watched():
    for irqchip in ("full", "none"):
        for stay in (b"\xfb\xf4\xeb\xfd" if irqchip == "none" else flat_kernel.HALT, b"\xeb\xfe"):
            outcome = boots(said(DEBUG, b"early\n") + stay, "--irqchip", irqchip, "--expect", "early")
            check_status(outcome, 0)
            check_out(outcome, b"early\n")


@case
def what_is_shown_at_the_end_is_watched_too():
    check_status(boots(said(DEBUG, b"early") + EXIT, "--expect", "early"), 0)
    check_status(boots(said(DEBUG, b"early") + EXIT, "--expect", "late"), 1)


@case
def a_flood_is_bounded_and_arrives_whole():
    count = 150_000
    # mov ecx, count; mov dx, port; mov al, 'x'; again: out dx, al; loop again
    code = b"\xb9" + count.to_bytes(4, "little") + b"\x66\xba" + DEBUG.to_bytes(2, "little") + b"\xb0x\xee\xe2\xfd"
    prints(b"x" * count, code)


@case
def both_are_shown_when_asked_for():
    prints(b"SSOO", said(SERIAL, b"S") + said(DEBUG, b"S") + said(DEBUG, b"O") + said(SERIAL, b"O"),
           "--debugcon", "stdout")


@case
def it_goes_where_the_user_says():
    both = said(SERIAL, b"serial\n") + said(DEBUG, b"debug\n")
    with temporary_directory() as directory:
        file = os.path.join(directory, "debug")
        for _ in range(2):
            prints(b"serial\n", both, "--debugcon", file)
        with open(file, "rb") as written:
            check(written.read() == b"debug\n" * 2, "the file lacks the appended bytes")
        prints(b"debug\n", both, "--console", "null", "--debugcon", "stdout")
        prints(b"debug\n", both, "--console", os.path.join(directory, "console"), "--debugcon", "-")
        prints(b"", both, "--console", "null")
    prints(b"serial\n", both, "--debugcon", "off")
    outcome = boots(both + EXIT, "--debugcon", "stderr")
    check_out(outcome, b"serial\n")
    check(outcome.err == "debug\n", "stderr lacks the debug console", outcome)


@case
def a_read_says_that_it_is_there():
    # mov dx, port; in al, dx; sub al, 0xe9; mov dx, 0xf4; out dx, al
    code = b"\x66\xba\xe9\x00\xec\x2c\xe9\x66\xba\xf4\x00\xee"
    for where, status in (("auto", 0), ("stdout", 0), ("stderr", 0), ("off", 0xFF - 0xE9)):
        check_status(boots(code, "--debugcon", where), status)


@case
def the_debug_consoles_file_is_not_another_options():
    with temporary_directory() as directory:
        file = os.path.join(directory, "file")
        for option in ("--log", "--junit", "--console"):
            check_refused(boots(EXIT, "--debugcon", file, option, file), "--debugcon", option)
        check(not os.path.exists(file), "a refused boot made the file")
        check_refused(boots(EXIT, "--debugcon", os.path.join(directory, "none", "file")), "--debugcon")
    check_refused(boots(EXIT, "--console", "null", "--debugcon", "stdout", "--stats-json", "-"), "--debugcon FILE")
    check_refused(boots(EXIT, "--debugcon", "/dev/stdout"), "--debugcon", "/dev/stdout")


main()
