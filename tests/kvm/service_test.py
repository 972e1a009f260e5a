# SPDX-License-Identifier: Apache-2.0
"""Notices to a service manager: READY=1 once as the guest begins, STOPPING=1 at its end, on the socket that
NOTIFY_SOCKET names; and the example unit."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import NOT_FOUND, TIMEOUT, boot, case, check, check_match, check_one_line, check_out, check_silent
from harness import check_status, guest, main, popen, temporary_directory, write_file

READY = "READY=1\nSTATUS=builtin:hello runs"
UNIT = os.path.join(os.path.dirname(os.path.realpath(__file__)), *[os.pardir] * 2, "data", "mayfly@.service.in")


class Manager:
    """A service manager's socket, and the notices that came. `name` as NOTIFY_SOCKET has it."""

    def __init__(self, name, kind=socket.SOCK_DGRAM):
        self.name = name
        self.notices = []
        self.socket = socket.socket(socket.AF_UNIX, kind)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        # The reader ends first, because the next socket reuses its descriptor's number.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.socket.close()

    def _read(self):
        with contextlib.suppress(OSError):
            while notice := self.socket.recv(4096).decode():
                self.notices.append(notice)

    def await_notice(self, notice):
        limit = time.monotonic() + 30
        while notice not in self.notices:
            check(time.monotonic() < limit, f"{notice!r} did not come: {self.notices}")
            time.sleep(0.01)

    def env(self):
        return {**os.environ, "NOTIFY_SOCKET": self.name}


@contextlib.contextmanager
def manager():
    with temporary_directory() as directory, Manager(os.path.join(directory, "notify")) as one:
        yield one


def told(*words):
    """(outcome, notices) of a boot; the last notice has come."""
    with manager() as one:
        outcome = boot(*words, env=one.env())
        one.await_notice(f"STOPPING=1\nSTATUS=ended with status {outcome.status}"
                         + (": " + outcome.err.removeprefix("mayfly: ").splitlines()[0] if outcome.err else ""))
        return outcome, one.notices


@case
def a_boot_is_told_from_its_beginning_to_its_end():
    outcome, notices = told(guest("hello"))
    check_status(outcome, 0)
    check_silent(outcome)
    check(notices == ["STATUS=booting builtin:hello", READY, "STOPPING=1\nSTATUS=ended with status 0"], f"{notices}")


@case
def an_abstract_socket_is_one_too():
    with Manager(f"@mayfly-service-test-{os.getpid()}") as one:
        check_status(boot(guest("hello"), env=one.env()), 0)
        one.await_notice(READY)


@case
def the_end_says_its_status_and_why():
    for words, status in ((("exits", "--append", "exit=7"), 7), (("idle", "--timeout", 0.3), TIMEOUT)):
        outcome, notices = told(guest(words[0]), *words[1:])
        check_status(outcome, status)
        check(len(notices) == 3 and sum("READY=1" in one for one in notices) == 1, f"{notices}")


@case
def a_guest_that_never_runs_is_never_ready():
    outcome, notices = told("/no/such/kernel")
    check_status(outcome, NOT_FOUND)
    check(not any("READY" in one for one in notices), f"{notices}")


@case
def ready_comes_while_the_guest_runs():
    with manager() as one:
        process = popen(("boot", guest("idle")), env=one.env())
        one.await_notice("READY=1\nSTATUS=builtin:idle runs")
        check(process.poll() is None, "the guest has ended")
        process.send_signal(signal.SIGTERM)
        outcome = harness.finish(process, time.monotonic())
        check_status(outcome, 128 + signal.SIGTERM)
        one.await_notice("STOPPING=1\nSTATUS=ended with status 143")


def traced_calls(*words, **options):
    """The system calls of a boot that are about its socket and the guest, in their order."""
    if shutil.which("strace") is None:
        harness.skip("strace is not installed")
    with temporary_directory() as directory:
        path = os.path.join(directory, "trace")
        wrapper = ("strace", "-f", "-o", path, "-e", "trace=socket,connect,sendto,ioctl")
        check_status(boot(*words, wrapper=wrapper, **options), 0)
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    calls = re.findall(r"\d+ +(socket\(AF_UNIX|connect|sendto\(\d+, \"[A-Z]+|ioctl\(\d+, KVM_RUN)", text)
    return [re.sub(r"^.*[ \"(]", "", call) for call in calls]


@case
def the_socket_is_connected_before_the_guests_first_instruction():
    with manager() as one:
        calls = traced_calls(guest("hello"), env=one.env())
    first = calls.index("KVM_RUN")
    check(calls[:first] == ["AF_UNIX", "connect", "STATUS", "READY"], f"{calls}")
    check(set(calls[first:-1]) == {"KVM_RUN"} and calls[-1] == "STOPPING", f"{calls}")


@case
def without_a_manager_mayfly_opens_no_socket():
    for env in ({}, {"NOTIFY_SOCKET": ""}):
        calls = traced_calls(guest("hello"), env={**os.environ, **env})
        check(set(calls) == {"KVM_RUN"}, f"{calls}")


@case
def a_manager_that_does_not_exist_is_a_warning():
    with temporary_directory() as directory, contextlib.closing(socket.socket(socket.AF_UNIX)) as stream:
        stream_path = os.path.join(directory, "stream")
        stream.bind(stream_path)
        closed = write_file(directory, "file", b"")
        for name, *said in (
            (os.path.join(directory, "none"), "No such file"),
            (closed, "Connection refused"),
            (stream_path, "rotocol"),
            ("@mayfly-nobody-listens", "Connection refused"),
            ("relative", "'relative'", "absolute path"),
            ("vsock:2:1234", "vsock:2:1234"),
            ("/" + "a" * 108, "108 bytes"),
        ):
            outcome = boot(guest("hello"), env={**os.environ, "NOTIFY_SOCKET": name})
            check_status(outcome, 0)
            check_out(outcome, b"Hello from mayfly\n")
            check_one_line(outcome, "NOTIFY_SOCKET", "is not told", *said)


@case
def the_longest_names_are_sockets_too():
    with Manager("@" + f"{os.getpid():0107}") as one:
        check_silent(boot(guest("hello"), env=one.env()))
        one.await_notice(READY)


@case
def a_manager_that_takes_nothing_holds_nobody_up_for_long():
    with temporary_directory() as directory, contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as deaf:
        deaf.bind(os.path.join(directory, "deaf"))
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as other:
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.sendto(b"full", deaf.getsockname())
        outcome = boot(guest("hello"), env={**os.environ, "NOTIFY_SOCKET": deaf.getsockname()})
    check_status(outcome, 0)
    check_out(outcome, b"Hello from mayfly\n")
    check_match(outcome, "did not take READY=1: .*\n.*did not take STOPPING=1: ")
    check(outcome.seconds < 30, "took too long", outcome)


@case
def the_example_unit_is_one():
    if shutil.which("systemd-analyze") is None:
        harness.skip("systemd-analyze is not installed")
    with open(UNIT, encoding="utf-8") as file:
        text = file.read()
    check("\nType=notify\n" in text and "@BINDIR@" in text, "the unit")
    with temporary_directory() as directory:
        # The unit has to find its program, so it names the test's.
        bindir = os.path.join(directory, "bin")
        os.mkdir(bindir)
        os.symlink(harness.mayfly_path, os.path.join(bindir, "mayfly"))
        unit = write_file(directory, "mayfly@.service", text.replace("@BINDIR@", bindir).encode())
        instance = unit.replace("@.", "@one.")
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", instance], capture_output=True, check=False)
        check(done.returncode == 0 and not done.stderr, f"{done}")
        broken = text.replace("@BINDIR@", "/no/such/directory").replace("Type=notify", "Type=notifies")
        write_file(directory, "mayfly@.service", broken.encode())
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", instance], capture_output=True, check=False)
        check(done.returncode != 0 and done.stderr, f"the checker takes a broken unit: {done}")


main()
