# SPDX-License-Identifier: Apache-2.0
"""The console on pipes and files: no byte is lost or invented, and a closed pipe is an error, not a
signal."""
import os
import select
import signal
import subprocess
import time

import flat_kernel
from harness import FAILED, boot, case, check, check_one_line, check_out, check_silent, check_status, finish
from harness import guest, guest_file, main, popen, temporary_directory, write_file


def pattern(size):
    """The output of the flood guest."""
    return bytes(10 if i % 64 == 63 else 0x21 + i % 94 for i in range(size))


@case
def a_flood_by_bytes_arrives_whole():
    for options in (("--profile", "modern"), ("--profile", "legacy"), ("--irqchip", "none")):
        outcome = boot(guest("flood"), "--append", "bytes=3000", "--timeout", 30, *options)
        check_status(outcome, 0)
        check(outcome.out == pattern(3000), f"{len(outcome.out)} bytes, and not the pattern", outcome)


@case
def a_flood_by_strings_arrives_whole():
    outcome = boot(guest("flood"), "--append", "rep bytes=200000", "--timeout", 60)
    check_status(outcome, 0)
    check(outcome.out == pattern(200000), f"{len(outcome.out)} bytes, and not the pattern")


def packets(arguments, **options):
    """What mayfly writes to a pipe, write by write, and its status."""
    reading, writing = os.pipe2(os.O_DIRECT)  # in packet mode each read is a write
    process = popen(arguments, stdout=writing, **options)
    os.close(writing)
    pieces = list(iter(lambda: os.read(reading, 65536), b""))
    os.close(reading)
    return pieces, finish(process, time.monotonic()).status


@case
def a_pipe_gets_whole_lines():
    for options in ((), ("--profile", "legacy")):
        arguments = ("boot", guest("flood"), "--append", "bytes=6400", "--timeout", "30", *options)
        pieces, status = packets(arguments)
        check(status == 0 and b"".join(pieces) == pattern(6400), f"status {status}, or not the pattern")
        # The timer may come while a line is printed, on a host that is busy.
        whole = sum(piece.endswith(b"\n") for piece in pieces)
        told = f"{len(pieces)} writes for 100 lines, {whole} of whole ones"
        check(whole >= 80 and len(pieces) <= 120, told)
    pieces, _ = packets(("boot", guest("demo"), "--timeout", "50"))
    lines = b"".join(pieces).count(b"\n")
    check(len(pieces) < 2 * lines, f"{len(pieces)} writes for {lines} lines")


SERIAL, DEBUG = 0x3F8, 0xE9


def saying_kernel(directory, text, end, ports=(SERIAL, DEBUG)):
    """Prints on one port, then on the other, and ends by `end`."""
    code = b"".join(flat_kernel.out8(port, byte) for port in ports for byte in text)
    return write_file(directory, "kernel", flat_kernel.multiboot(code + end))


SPIN = b"\xeb\xfe"


@case
def a_prompt_appears_while_the_guest_waits():
    for end in (flat_kernel.HALT, SPIN):
        with temporary_directory() as directory:
            kernel = saying_kernel(directory, b"line\nlogin: ", end)
            with open(os.path.join(directory, "debug"), "w+b") as debug:
                process = popen(("boot", kernel, "--debugcon", debug.name, "--timeout", "30"))
                shown, until = b"", time.monotonic() + 10
                while b"login: " not in shown and time.monotonic() < until:
                    if select.select([process.stdout], [], [], 1)[0]:
                        shown += os.read(process.stdout.fileno(), 100)
                took = time.monotonic() - until + 10
                written = b""
                while b"login: " not in written and time.monotonic() < until:
                    time.sleep(0.01)
                    debug.seek(0)
                    written = debug.read()
                process.send_signal(signal.SIGTERM)
                status = process.wait(timeout=30)
                check(shown == b"line\nlogin: " and took < 5, f"{shown!r} after {took:.1f} s")
                check(b"login: " in written, f"port 0xe9 has {written!r}")
                check(status == 128 + signal.SIGTERM, f"status {status}")


def boot_into_files(directory, kernel, limit):
    """The process, and the files of its ports."""
    paths = {SERIAL: os.path.join(directory, "console"), DEBUG: os.path.join(directory, "debug")}
    options = ("--console", paths[SERIAL], "--debugcon", paths[DEBUG], "--timeout", limit)
    return popen(["boot", kernel, *options]), paths


def contents_of(path):
    with open(path, "rb") as file:
        return file.read()


@case
def the_beginning_of_a_line_is_not_lost_at_any_end():
    ends = {
        "exit": (flat_kernel.out8(0xF4, 7), 7),
        "crash": (b"\x0f\x0b", 126),  # no interrupt table: a triple fault
        "timeout": (SPIN, 124),
    }
    for name, (end, status) in ends.items():
        with temporary_directory() as directory:
            kernel = saying_kernel(directory, b"first\nhalf", end + flat_kernel.HALT)
            limit = "1" if name == "timeout" else "30"
            process, paths = boot_into_files(directory, kernel, limit)
            check_status(finish(process, time.monotonic()), status)
            for path in paths.values():
                check(contents_of(path) == b"first\nhalf", f"{name}: {contents_of(path)!r}")


@case
def the_beginning_of_a_line_is_not_lost_by_a_signal():
    for ports in ((SERIAL, DEBUG), (DEBUG, SERIAL)):
        with temporary_directory() as directory:
            kernel = saying_kernel(directory, b"first\nhalf", SPIN, ports)
            process, paths = boot_into_files(directory, kernel, "30")
            before, last = (paths[port] for port in ports)
            # The guest has printed all of it on the port before, and may still be printing on the last one.
            while not os.path.exists(last) or b"first" not in contents_of(last):
                time.sleep(0.001)
            process.send_signal(signal.SIGTERM)
            check_status(finish(process, time.monotonic()), 128 + signal.SIGTERM)
            check(contents_of(before) == b"first\nhalf", f"{contents_of(before)!r}")
            check(b"first\nhalf".startswith(contents_of(last)), f"{contents_of(last)!r}")


@case
def a_slow_reader_gets_every_byte():
    process = popen(("boot", guest("flood"), "--append", "rep bytes=150000", "--timeout", "60"))
    os.set_blocking(process.stdout.fileno(), True)
    received = b""
    while chunk := os.read(process.stdout.fileno(), 8192):
        received += chunk
        time.sleep(0.01)
    check_status(finish(process, time.monotonic()), 0)
    check(received == pattern(150000), f"{len(received)} bytes, and not the pattern")


@case
def a_reader_that_stops_does_not_keep_the_timeout_from_ending_it():
    process = popen(("boot", guest("flood"), "--append", "rep bytes=1000000", "--timeout", "1"))
    started = time.monotonic()
    check(process.wait(timeout=50) == 124, f"status {process.returncode}")
    check(time.monotonic() - started < 25, "took too long to end")
    process.stdout.close()
    process.stderr.close()


@case
def a_non_blocking_pipe_gets_every_byte():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = popen(
        ("boot", guest("flood"), "--append", "rep bytes=150000", "--timeout", "60"), stdout=writing
    )
    os.close(writing)
    received = b""
    while chunk := os.read(reading, 8192):
        received += chunk
        time.sleep(0.002)
    os.close(reading)
    check_status(finish(process, time.monotonic()), 0)
    check(received == pattern(150000), f"{len(received)} bytes, and not the pattern")


@case
def the_console_may_be_a_file_or_nothing():
    with temporary_directory() as directory:
        path = os.path.join(directory, "console")
        for count in (1, 2):  # a second run appends
            outcome = boot(guest("flood"), "--append", "rep bytes=5000", "--console", path, "--timeout", 30)
            check_status(outcome, 0)
            check_out(outcome, b"")
            with open(path, "rb") as file:
                check(file.read() == pattern(5000) * count, "the file does not hold the pattern", outcome)
        outcome = boot(guest("hello"), "--console", os.path.join(directory, "no", "file"))
        check_status(outcome, FAILED)
        check_one_line(outcome, "--console", "no/file")
        check_status(boot(guest("hello"), "--console", directory), FAILED)
    outcome = boot(guest("hello"), "--console", "null")
    check_status(outcome, 0)
    check_out(outcome, b"")
    check_silent(outcome)


@case
def stdout_carries_the_guests_console_and_nothing_else():
    with temporary_directory() as directory:
        outcome = boot(
            guest("hello"),
            "-v",
            "--timeline",
            "--stats",
            "--timeline-json",
            os.path.join(directory, "t"),
            "--stats-json",
            os.path.join(directory, "s"),
        )
    check_status(outcome, 0)
    check_out(outcome, b"Hello from mayfly\n")


@case
def every_byte_value_passes_both_consoles():
    code = b"".join(flat_kernel.out8(0x3F8, value) for value in range(256))
    code += b"".join(flat_kernel.out8(0xE9, value) for value in range(256))
    with temporary_directory() as directory:
        kernel = write_file(directory, "kernel", flat_kernel.multiboot(code + flat_kernel.out8(0xF4, 0)))
        check_out(boot(kernel, "--timeout", 20, "--debugcon", "stdout"), bytes(range(256)) * 2)
        check_out(boot(kernel, "--timeout", 20), bytes(range(256)))


def echoes(data, *options):
    outcome = boot(guest("echo"), "--timeout", 30, *options, input_bytes=data + b"q")
    check_status(outcome, 0)
    check(outcome.out.startswith(b"ready\n" + data), "not what was sent", outcome)


@case
def input_comes_from_a_pipe():
    echoes(b"Hello, guest.\n")
    echoes(bytes(b for b in range(256) if b != ord("q")))


@case
def much_input_is_not_lost():
    echoes(b"0123456789abcdef" * 64)


def echoes_pieces(pieces, *options):
    process = popen(("boot", guest("echo"), "--timeout", "30", *options), stdin=subprocess.PIPE)
    check(process.stdout.read(6) == b"ready\n", "the guest did not start")
    for piece in pieces:
        time.sleep(0.05)  # the guest halts in between
        process.stdin.write(piece)
        process.stdin.flush()
    outcome = finish(process, time.monotonic(), b"q")
    check_status(outcome, 0)
    check(outcome.out.startswith(b"".join(pieces)), "not what was sent", outcome)
    return outcome


@case
def input_in_pieces_arrives_in_order():
    echoes_pieces([b"%d" % i for i in range(10)])


@case
def input_by_interrupt_arrives_whole():
    for cpus in ("1", "2"):
        outcome = echoes_pieces(
            [b"0123456789abcdef" * 8] * 5, "--append", "irq", "--profile", "legacy", "--cpus", cpus
        )
        check(b"ok irq" in outcome.out, "no interrupt came", outcome)


@case
def the_end_of_input_does_not_end_the_guest():
    for options in ({"input_bytes": b"abc"}, {}, {"preexec_fn": lambda: os.close(0), "stdin": None}):
        outcome = boot(guest("echo"), "--timeout", 5, **options)
        check_status(outcome, 124)
        check(outcome.out.startswith(b"ready\n"), "the guest did not start", outcome)


@case
def a_closed_stdin_does_not_matter_to_a_guest_that_reads_nothing():
    outcome = boot(guest("hello"), preexec_fn=lambda: os.close(0), stdin=None)
    check_status(outcome, 0)
    check_out(outcome, b"Hello from mayfly\n")


@case
def a_closed_stdout_is_125():
    for cpus in (1, 4):
        outcome = boot(guest("hello"), "--cpus", cpus, preexec_fn=lambda: os.close(1), stdout=None)
        check_status(outcome, FAILED)
        check_one_line(outcome, "console")


@case
def a_closed_stdout_does_not_matter_without_console():
    outcome = boot(guest("hello"), "--console", "null", preexec_fn=lambda: os.close(1), stdout=None)
    check_status(outcome, 0)


@case
def all_descriptors_closed_is_a_status_too():
    outcome = boot(
        guest("hello"), preexec_fn=lambda: os.closerange(0, 3), stdin=None, stdout=None, stderr=None
    )
    check_status(outcome, FAILED)


@case
def a_broken_pipe_is_125():
    reading, writing = os.pipe()
    os.close(reading)
    outcome = boot(guest("hello"), stdout=writing)
    os.close(writing)
    check_status(outcome, FAILED)
    check_one_line(outcome, "console", "roken pipe")


@case
def a_full_disk_is_125():
    with open("/dev/full", "wb") as full:
        outcome = boot(guest("hello"), stdout=full)
    check_status(outcome, FAILED)
    check_one_line(outcome, "console", "o space left")


@case
def a_reader_that_stops_does_not_keep_a_signal_from_ending_it():
    for number in (signal.SIGTERM, signal.SIGINT):
        process = popen(("boot", guest("flood"), "--append", "rep bytes=400000"))
        time.sleep(1)  # by now the pipe is full, and nobody reads
        process.send_signal(number)
        check_status(finish_without_reading(process), 128 + number)


def finish_without_reading(process):
    started = time.monotonic()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError("still there 30 s after the signal") from None
    return finish(process, started)


@case
def an_inherited_signal_mask_does_not_disable_the_timeout():
    mask = {signal.SIGALRM, signal.SIGTERM, signal.SIGUSR1}
    process = popen(
        ("boot", guest("idle"), "--timeout", "0.5"),
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, mask),
    )
    check_status(finish(process, time.monotonic()), 124)


@case
def a_fifo_that_nobody_reads_is_125():
    with temporary_directory() as directory:
        fifo = os.path.join(directory, "fifo")
        os.mkfifo(fifo)
        outcome = boot(guest("hello"), "--console", fifo)
        check_status(outcome, FAILED)
        check_one_line(outcome, "--console", fifo)


@case
def without_standard_descriptors_it_ends_with_125():
    outcome = run_without_descriptors()
    check_status(outcome, FAILED)


def run_without_descriptors():
    """stdin and stdout closed: the kernel's descriptor must become neither."""
    return finish(
        popen(("boot", guest_file("hello")), ("sh", "-c", 'exec "$0" "$@" <&- >&-')), time.monotonic()
    )


main()
