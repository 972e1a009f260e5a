# SPDX-License-Identifier: Apache-2.0
"""mayfly on a terminal: raw while the guest runs, restored in every ending."""
import fcntl
import os
import select
import signal
import subprocess
import termios
import threading
import time

import flat_kernel
import harness
from harness import CRASHED, Failure, boot, case, check, check_status, finish, guest, main, popen

LOCAL_FLAGS = 3  # in what tcgetattr returns


class Terminal:
    """A pseudo-terminal with mayfly on it, as a shell's foreground job."""

    def __init__(self, *arguments, stderr=subprocess.PIPE):
        self.master, self.slave = os.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.received = b""
        self.started = time.monotonic()

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = popen(
            ("boot", *arguments), stdin=self.slave, stdout=self.slave, stderr=stderr, preexec_fn=take_terminal
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def send(self, data):
        os.write(self.master, data)

    def expect(self, text, seconds=10):
        end = time.monotonic() + seconds
        while text not in self.received:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise Failure(f"{text!r} did not come, but {self.received!r}")
            self.received += os.read(self.master, 4096)

    def flags(self):
        return termios.tcgetattr(self.slave)[LOCAL_FLAGS]

    def is_raw(self):
        return not self.flags() & (termios.ICANON | termios.ECHO | termios.ISIG)

    def ends(self, status):
        outcome = finish(self.process, self.started)
        check_status(outcome, status)
        check(termios.tcgetattr(self.slave) == self.before, "the terminal was not restored", outcome)
        return outcome


def on_terminal(*arguments):
    terminal = Terminal(guest("echo"), "--timeout", "30", *arguments)
    try:
        terminal.expect(b"ready")
        check(terminal.is_raw(), "the terminal is not raw while the guest runs")
    except Failure:
        terminal.__exit__()
        raise
    return terminal


@case
def typed_input_reaches_the_guest():
    with on_terminal() as terminal:
        terminal.send(b"abc")
        terminal.expect(b"abc")
        terminal.send(b"q")
        terminal.ends(0)


@case
def typed_input_reaches_the_guest_by_interrupt():
    with on_terminal("--append", "irq", "--profile", "legacy") as terminal:
        for byte in (b"a", b"b", b"c", b"q"):
            time.sleep(0.1)  # the guest halts: only an interrupt gets it going again
            terminal.send(byte)
        terminal.expect(b"abc")
        terminal.expect(b"ok irq")
        terminal.ends(0)


@case
def ctrl_c_and_ctrl_z_are_the_guests():
    with on_terminal() as terminal:
        terminal.send(b"\x03\x1a\x1c\x04.")
        terminal.expect(b"\x03\x1a\x1c\x04.")
        terminal.send(b"q")
        terminal.ends(0)


@case
def ctrl_a_x_ends_the_machine():
    with on_terminal() as terminal:
        terminal.send(b"\x01x")
        terminal.ends(128 + signal.SIGINT)


@case
def ctrl_a_x_ends_a_guest_that_does_not_read():
    for words in ("spin", "hlt"):
        with Terminal(guest("exits"), "--append", words, "--timeout", "30") as terminal:
            end = time.monotonic() + 10
            while not terminal.is_raw() and time.monotonic() < end:
                time.sleep(0.01)
            terminal.send(b"typed ahead " * 50)
            terminal.send(b"\x01x")
            terminal.ends(128 + signal.SIGINT)


@case
def the_first_line_says_how_to_leave():
    for arguments in ((guest("exits"), "--append", "exit=5"), (guest("echo"), "--timeout", "1")):
        with Terminal(*arguments) as terminal:
            _, err = terminal.process.communicate(timeout=30)
            first = err.decode().splitlines()[0]
            check(first == "mayfly: Ctrl-A x ends the machine, Ctrl-A h lists the keys", f"it says {first!r}")
    with Terminal(guest("exits"), "--append", "exit=5", "--console", "null") as terminal:
        _, err = terminal.process.communicate(timeout=30)
        check(b"Ctrl-A" not in err, f"no console, and yet: {err!r}")
    check("Ctrl-A" not in boot(guest("hello")).err, "it is said without a terminal")


@case
def ctrl_a_h_lists_the_keys():
    with on_terminal() as terminal:
        terminal.send(b"[\x01h]")
        terminal.expect(b"[]")  # none of it reaches the guest
        terminal.send(b"q")
        outcome = terminal.ends(0)
        for key in ("Ctrl-A x ", "Ctrl-A a ", "Ctrl-A h "):
            check(f"mayfly: {key}" in outcome.err, f"{key}is not listed", outcome)


@case
def ctrl_a_a_sends_one():
    with on_terminal() as terminal:
        terminal.send(b"[\x01a]")
        terminal.expect(b"[\x01]")
        terminal.send(b"q")
        terminal.ends(0)


@case
def ctrl_a_ctrl_a_sends_one():
    with on_terminal() as terminal:
        terminal.send(b"[\x01\x01]")
        terminal.expect(b"[\x01]")
        terminal.send(b"q")
        terminal.ends(0)


@case
def restored_after_the_guests_exit():
    with Terminal(guest("exits"), "--append", "exit=5") as terminal:
        terminal.ends(5)


@case
def restored_after_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        with on_terminal() as terminal:
            terminal.process.send_signal(number)
            terminal.ends(128 + number)


@case
def restored_after_a_timeout():
    with Terminal(guest("exits"), "--append", "spin", "--timeout", "0.5") as terminal:
        terminal.ends(124)


@case
def restored_after_a_crash_of_the_guest():
    with Terminal(guest("exits"), "--append", "triple") as terminal:
        terminal.ends(CRASHED)


@case
def restored_after_a_crash_of_mayfly():
    for number in (signal.SIGSEGV, signal.SIGABRT):
        with on_terminal() as terminal:
            terminal.process.send_signal(number)
            terminal.ends(128 + number)


def asking_kernel(directory):
    """A kernel whose last bytes ask for the cursor's place."""
    code = b"".join(flat_kernel.out8(0x3F8, byte) for byte in b"\x1b[6n") + flat_kernel.out8(0xF4, 7)
    return harness.write_file(directory, "kernel", flat_kernel.multiboot(code + flat_kernel.HALT))


@case
def a_terminals_late_answers_are_not_left_for_the_shell():
    answers = {b"\x1b[6n": b"\x1b[1;1R", b"\x1b[5n": b"\x1b[0n"}
    with harness.temporary_directory() as directory, Terminal(asking_kernel(directory)) as terminal:
        for question, answer in answers.items():
            terminal.expect(question)
            time.sleep(0.05)  # the time of a round trip over a network
            terminal.send(answer)
        terminal.ends(7)
        # Input that a shell would read, at once and without waiting for a line's end.
        settings = termios.tcgetattr(terminal.slave)
        settings[LOCAL_FLAGS] &= ~termios.ICANON
        termios.tcsetattr(terminal.slave, termios.TCSANOW, settings)
        left, _, _ = select.select([terminal.slave], [], [], 0)
        check(not left, f"left for the shell: {os.read(terminal.slave, 100) if left else None!r}")


@case
def answers_to_a_guest_that_is_quit_are_not_left_for_the_shell():
    for delay in (0.02, 0.15, 0.3):
        with on_terminal() as terminal:
            terminal.send(b"\x1b[6n")  # which the guest echoes
            terminal.expect(b"\x1b[6n")
            terminal.send(b"\x01x")
            terminal.expect(b"\x1b[5n")
            time.sleep(delay)
            terminal.send(b"\x1b[1;1R\x1b[0n")
            terminal.ends(128 + signal.SIGINT)
            settings = termios.tcgetattr(terminal.slave)
            settings[LOCAL_FLAGS] &= ~termios.ICANON
            termios.tcsetattr(terminal.slave, termios.TCSANOW, settings)
            left, _, _ = select.select([terminal.slave], [], [], 0)
            check(not left, f"left for the shell: {os.read(terminal.slave, 100) if left else None!r}")


@case
def the_question_is_asked_however_often_the_machine_is_kicked():
    """A kick may come at any moment of the end; here they come at every one."""
    for _ in range(8):
        with on_terminal() as terminal:
            terminal.send(b"\x1b[6n")
            terminal.expect(b"\x1b[6n")
            is_over = threading.Event()

            def kick_on(process=terminal.process, is_over=is_over):
                while not is_over.is_set():
                    for _ in range(100):
                        process.send_signal(signal.SIGUSR1)

            kicking = threading.Thread(target=kick_on)
            kicking.start()
            try:
                terminal.send(b"\x01x")
                terminal.expect(b"\x1b[5n")
                terminal.send(b"\x1b[0n")
                terminal.ends(128 + signal.SIGINT)
            finally:
                is_over.set()
                kicking.join()


@case
def a_terminal_that_answers_nothing_holds_nothing_up():
    with harness.temporary_directory() as directory, Terminal(asking_kernel(directory)) as terminal:
        terminal.expect(b"\x1b[5n")
        terminal.ends(7)


@case
def untouched_when_the_boot_fails():
    with Terminal("/no/such/kernel") as terminal:
        terminal.ends(127)


@case
def messages_on_the_terminal_start_in_the_first_column():
    with Terminal(guest("exits"), "--append", "triple", stderr=subprocess.STDOUT) as terminal:
        terminal.expect(b"RIP")
        terminal.expect(b"\n")
        check(terminal.received.startswith(b"mayfly: "), f"printed {terminal.received!r}")
        check(terminal.received.endswith(b"\r\n"), f"printed {terminal.received!r}")
        terminal.ends(CRASHED)


@case
def a_hanging_kernels_last_output_is_shown():
    with harness.temporary_directory() as directory:
        kernel = harness.write_file(directory, "kernel", flat_kernel.linux64_that_hangs(b"stuck at x\n"))
        with Terminal(kernel, "--timeout", "30") as terminal:
            terminal.expect(b"stuck at x\r\n")
            terminal.send(b"\x01x")
            finish(terminal.process, terminal.started)


@case
def a_job_in_the_background_leaves_the_terminal_alone():
    master, slave = os.openpty()
    try:
        before = termios.tcgetattr(slave)
        # Not its controlling terminal: mayfly must neither change it nor stop.
        outcome = boot(guest("hello"), stdin=slave)
        check_status(outcome, 0)
        check(termios.tcgetattr(slave) == before, "the terminal was changed", outcome)
    finally:
        os.close(master)
        os.close(slave)


main()
