# SPDX-License-Identifier: Apache-2.0
"""--console hvc: a guest's output and input through a virtio console; and --rng."""
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

from harness import Failure, boot, case, check, check_out, check_refused, check_silent, check_status, finish
from harness import guest_file, main, popen, temporary_directory

LINE = b"hvc: a line of the virtio console\n"
PRINTED = LINE * 8
READY = b"console ready\n"  # its own lines go to the serial port, which exists as well
MACHINES = (
    ("", ()),
    ("ring=packed irq=msix", ()),
    ("transport=legacy irq=intx", ("--profile", "legacy")),
    ("transport=mmio irq=edge ring=packed", ("--profile", "legacy", "--transport", "mmio")),
    ("indirect=0 event_idx=0", ("--config-window", "off")),
)


def console(words, *options):
    append = f"device=console {words}"
    return ("boot", guest_file("virtio"), "--append", append, "--timeout", "30", *options)


def start(words, *options, **more):
    return popen(console(words, *options), stdin=subprocess.PIPE, **more)


def text_of(size):
    """Every byte value but q, which ends the guest."""
    return bytes(b for b in (n * 7 % 256 for n in range(size + size // 100 + 1)) if b != ord("q"))[:size]


@case
def what_the_guest_prints_comes_out():
    for words, options in MACHINES:
        outcome = finish(popen(console(words, "--console", "hvc", *options)), time.monotonic())
        check_status(outcome, 0)
        check(PRINTED in outcome.out, "not what the guest printed", outcome)
        check_silent(outcome)


@case
def hvc_may_be_given_with_a_place():
    with temporary_directory() as directory:
        path = os.path.join(directory, "console,1")
        for count in (1, 2):  # a second run appends
            where = path.replace(",", ",,") + ",hvc"
            outcome = finish(popen(console("", "--console", where)), time.monotonic())
            check_status(outcome, 0)
            check_out(outcome, b"")
            with open(path, "rb") as file:
                check(file.read().count(LINE) == 8 * count, "not what the guest printed", outcome)
    for where in ("null,hvc", "null,serial"):
        outcome = boot(guest_file("hello"), "--console", where)
        check_status(outcome, 0)
        check_out(outcome, b"")
        check_silent(outcome)
    for where in ("stdio,hvc", "hvc"):
        outcome = finish(popen(console("", "--console", where)), time.monotonic())
        check(PRINTED in outcome.out, "not what the guest printed", outcome)


@case
def consoles_that_nobody_knows_are_refused():
    for where in ("stdio,tty", "stdio,hvc,serial", "stdio,"):
        check_refused(boot(guest_file("hello"), "--console", where), "--console", where, "WHERE[,hvc]")


def reads(process, wanted, seconds=20):
    """stdout up to `wanted`."""
    received = b""
    end = time.monotonic() + seconds
    while wanted not in received:
        left = end - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            process.kill()
            raise Failure(f"{wanted[:100]!r} did not come, but {received[-1000:]!r}")
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            raise Failure(f"{wanted[:100]!r} did not come, but {received[-1000:]!r}")
        received += piece
    return received


def echoes(data, words="", options=(), pieces=1):
    process = start(f"echo=1 {words}", "--console", "hvc", *options)
    reads(process, READY)
    size = -(-len(data) // pieces)
    for at in range(0, len(data), size):
        process.stdin.write(data[at : at + size])
        process.stdin.flush()
        if pieces > 1:
            reads(process, data[at : at + size])
    outcome = finish(process, time.monotonic(), b"q")
    check_status(outcome, 0)
    check(pieces > 1 or outcome.out.startswith(data), "not what was sent", outcome)
    check_silent(outcome)


@case
def input_is_echoed():
    for words, options in MACHINES:
        echoes(b"Hello, guest.\n", words, options)
        echoes(b"abcdefgh", words, options, pieces=4)


@case
def much_input_with_every_byte_value_is_not_lost():
    echoes(text_of(3000))
    echoes(text_of(3000), "ring=packed irq=msix")


@case
def the_end_of_input_does_not_end_the_guest():
    process = popen(console("echo=1", "--console", "hvc"))
    reads(process, READY)
    check(process.poll() is None, "it has ended")
    process.terminate()
    check_status(finish(process, time.monotonic()), 128 + signal.SIGTERM)


@case
def a_closed_stdout_is_125():
    outcome = finish(
        popen(console("", "--console", "hvc"), preexec_fn=lambda: os.close(1), stdout=None), time.monotonic()
    )
    check_status(outcome, 125)


@case
def a_reader_that_stops_holds_up_neither_a_signal_nor_the_timeout():
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x")
    except BlockingIOError:
        pass
    os.set_blocking(writing, True)
    for number, timeout in ((signal.SIGTERM, "30"), (None, "1")):
        process = popen(console("", "--console", "hvc", "--timeout", timeout), stdout=writing)
        if number is not None:
            time.sleep(0.5)
            process.send_signal(number)
        check_status(finish(process, time.monotonic()), 124 if number is None else 128 + number)
    os.close(reading)
    os.close(writing)


class Terminal:
    """mayfly as the foreground job of a pseudo-terminal of some size."""

    def __init__(self, words, columns, rows):
        self.master, self.slave = os.openpty()
        self.received = b""
        self.resize(columns, rows)

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.before = termios.tcgetattr(self.slave)
        arguments = console(f"echo=1 sizes=1 {words}", "--console", "hvc")
        self.process = popen(arguments, stdin=self.slave, stdout=self.slave, preexec_fn=take_terminal)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, columns, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, data):
        os.write(self.master, data)

    def comes(self, text, seconds=0.2):
        end = time.monotonic() + seconds
        while text not in self.received:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                return False
            self.received += os.read(self.master, 65536)
        return True

    def expect(self, text):
        check(self.comes(text, 20), f"{text!r} did not come, but {self.received!r}")

    def expect_size(self, columns, rows):
        """Asks the guest until it sees that size."""
        text = b"console size %dx%d" % (columns, rows)
        self.received = b""
        for _ in range(100):
            self.send(b"s")
            if self.comes(text):
                return
        raise Failure(f"{text!r} did not come, but {self.received!r}")

    def ends(self, status):
        outcome = finish(self.process, time.monotonic())
        check_status(outcome, status)
        check(termios.tcgetattr(self.slave) == self.before, "the terminal was not restored", outcome)


@case
def the_guest_sees_the_terminals_size_and_its_changes():
    for words in ("", "irq=msix", "ring=packed"):
        with Terminal(words, 97, 31) as terminal:
            terminal.expect(b"console size 97x31")
            terminal.expect(b"console ready")
            terminal.resize(132, 50)
            terminal.expect_size(132, 50)
            terminal.resize(80, 24)
            terminal.expect_size(80, 24)
            terminal.send(b"typed")
            terminal.expect(b"typed")
            terminal.send(b"q")
            terminal.ends(0)


@case
def without_a_terminal_the_guest_sees_no_size():
    outcome = boot(guest_file("virtio"), "--append", "device=console", "--console", "hvc")
    check(b"console size 0x0" in outcome.out or b"console size" not in outcome.out, "a size", outcome)


@case
def ctrl_a_x_ends_the_machine_and_ctrl_a_ctrl_a_sends_one():
    with Terminal("", 80, 25) as terminal:
        terminal.expect(b"console ready")
        terminal.send(b"[\x01\x01]")
        terminal.expect(b"[\x01]")
        terminal.send(b"\x03\x1a")  # and these are passed to the guest
        terminal.expect(b"\x03\x1a")
        terminal.send(b"\x01x")
        terminal.ends(128 + signal.SIGINT)


@case
def the_terminal_is_restored_after_signals():
    for number in (signal.SIGTERM, signal.SIGHUP):
        with Terminal("", 80, 25) as terminal:
            terminal.expect(b"console ready")
            terminal.process.send_signal(number)
            terminal.ends(128 + number)


def command_line(*options):
    outcome = boot(guest_file("bootinfo"), "--timeout", 20, *options)
    check_status(outcome, 0)
    return outcome.out.decode(errors="replace")


@case
def kernels_other_than_linux_get_no_console_words():
    for console_option in ("stdio", "serial", "hvc"):
        options = ("--console", console_option)
        for protocol in ("linux", "pvh", "multiboot", "multiboot2"):
            said = command_line("--protocol", protocol, "--append", "quiet", *options)
            check("console=" not in said, f"{protocol}: {said}")


@case
def random_bytes_differ_between_runs():
    seen = set()
    for words, options in MACHINES:
        outcome = boot(
            guest_file("virtio"), "--append", f"device=rng {words}", "--rng", "--timeout", 20, *options
        )
        check_status(outcome, 0)
        check(b"FAIL" not in outcome.out, "the guest reports a failure", outcome)
        check_silent(outcome)
        seen.add(re.search(rb"rng digest (\w+)", outcome.out).group(1))
    check(len(seen) == len(MACHINES), f"only {seen}")


main()
