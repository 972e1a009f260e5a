# SPDX-License-Identifier: Apache-2.0
"""Runs mayfly as a user would, and compares its output and status.

A test program is a list of named functions marked @case, and main(). Its arguments are the path of mayfly and
the directory of the built-in guests' ELF files. It prints a line per case, ok, FAIL or skip, then the counts;
it exits with 0, with 1 after a failure, or with 77 (meson's skip) when no case could run.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback

SKIPPED = 77
OK, TIMEOUT, FAILED, CRASHED, NOT_FOUND = 0, 124, 125, 126, 127

# A run that takes longer than this has hung: every case gives its guest a shorter --timeout, if it needs one.
HANG_SECONDS = 60
# A case that takes longer than this has hung, whatever it waits for: many times the longest case. The harness
# says where it stood.
CASE_SECONDS = 600

mayfly_path = ""
guests_directory = ""
_cases = []
_processes = []

# The user's own caches are neither filled nor read.
_caches = tempfile.TemporaryDirectory(prefix="mayfly-caches-")
os.environ["MAYFLY_CACHE_DIR"] = os.path.join(_caches.name, "kernels")
os.environ["MAYFLY_RUNTIME_DIR"] = os.path.join(_caches.name, "run")


class Failure(AssertionError):
    """The expectation and the result."""


class Skip(Exception):
    """The reason why a case cannot run here."""


class Outcome:
    def __init__(self, status, out, err, seconds):
        self.status = status  # as the shell would say it: 128 + N after signal N
        self.out = out
        self.err = err
        self.seconds = seconds

    def __str__(self):
        out = self.out if len(self.out) < 2000 else self.out[:1000] + b" ... " + self.out[-1000:]
        return f"status {self.status} after {self.seconds:.2f} s\nstdout: {out!r}\nstderr: {self.err!r}"


def case(function):
    _cases.append(function)
    return function


def shell_status(returncode):
    return 128 - returncode if returncode < 0 else returncode


def popen(arguments, wrapper=(), **options):
    """Starts mayfly with `arguments`; `wrapper` is a command to start it by."""
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    process = subprocess.Popen([*wrapper, mayfly_path, *(str(a) for a in arguments)], **options)
    _processes.append(process)
    return process


def _end_processes():
    """Ends the processes that a failed case has left running. A wrapper's mayfly ends with its console."""
    while _processes:
        process = _processes.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


def finish(process, started, input_bytes=None):
    try:
        out, err = process.communicate(input_bytes, timeout=HANG_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise Failure(f"hung: killed after {HANG_SECONDS} s\nstdout: {out!r}\nstderr: {err!r}") from None
    return Outcome(
        shell_status(process.returncode),
        out or b"",
        (err or b"").decode(errors="replace"),
        time.monotonic() - started,
    )


def run(*arguments, input_bytes=None, wrapper=(), **options):
    started = time.monotonic()
    if input_bytes is not None:
        options["stdin"] = subprocess.PIPE
    outcome = finish(popen(arguments, wrapper, **options), started, input_bytes)
    # Death by a signal is a failure of every case, whatever else the case looks at.
    if outcome.status in (128 + 6, 128 + 7, 128 + 11):
        raise Failure(f"mayfly {' '.join(str(a) for a in arguments)} died of a signal\n{outcome}")
    return outcome


def boot(*arguments, **options):
    return run("boot", *arguments, **options)


def skip_if_sanitized(why="a sanitizer's runtime takes terabytes of addresses for itself"):
    """For a case that limits the address space, or depends on time."""
    with open(mayfly_path, "rb") as binary:
        contents = binary.read()
    if b"__asan_init" in contents or b"__tsan_init" in contents:
        raise Skip(why)


def guest(name):
    return f"builtin:{name}"


def guest_file(name):
    return os.path.join(guests_directory, name + ".elf")


def guest_bytes(name):
    with open(guest_file(name), "rb") as file:
        return file.read()


def check(good, message, outcome=None):
    if not good:
        raise Failure(f"{message}\n{outcome}" if outcome is not None else message)


def check_status(outcome, expected):
    check(outcome.status == expected, f"status {outcome.status}, expected {expected}", outcome)


def check_out(outcome, expected):
    check(outcome.out == expected, f"stdout is not {expected!r}", outcome)


def check_silent(outcome):
    check(outcome.err == "", "stderr is not empty", outcome)


def check_one_line(outcome, *parts):
    """stderr is exactly one line, ours, and has all of `parts`."""
    lines = outcome.err.splitlines()
    check(
        len(lines) == 1 and outcome.err.endswith("\n"),
        f"stderr has {len(lines)} lines, expected one",
        outcome,
    )
    check(lines[0].startswith("mayfly: "), "the line does not begin with 'mayfly: '", outcome)
    for part in parts:
        check(part in lines[0], f"the line does not say {part!r}", outcome)


def check_refused(outcome, *parts, status=FAILED):
    check_status(outcome, status)
    check_one_line(outcome, *parts)
    check_out(outcome, b"")


def check_match(outcome, pattern):
    check(re.search(pattern, outcome.err) is not None, f"stderr does not match {pattern!r}", outcome)


def skip(reason):
    raise Skip(reason)


def is_kvm_interpreting():
    """Whether this host's KVM interprets guest ring 0."""
    return os.path.exists("/sys/module/kvm_pvm")


def why_no_kvm():
    """Empty when /dev/kvm can be used."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    return ""


def temporary_directory():
    return tempfile.TemporaryDirectory(prefix="mayfly-kvm-")


def write_file(directory, name, data):
    path = os.path.join(directory, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def _hung(*_):
    raise Failure(f"hung: not over after {CASE_SECONDS} s\n{''.join(traceback.format_stack()[-8:-1])}")


def _run_case(function):
    name = function.__name__.replace("_", " ")
    started = time.monotonic()
    signal.signal(signal.SIGALRM, _hung)
    signal.alarm(CASE_SECONDS)
    try:
        function()
    except Skip as reason:
        print(f"skip {name}: {reason}", flush=True)
        return "skip"
    except Failure as failure:
        print(f"FAIL {name}: {failure}", flush=True)
        return "FAIL"
    except Exception:  # an error in the case is a failure too, and the rest still runs
        print(f"FAIL {name}: {traceback.format_exc()}", flush=True)
        return "FAIL"
    finally:
        signal.alarm(0)
        _end_processes()
    print(f"ok   {name} ({time.monotonic() - started:.2f} s)", flush=True)
    return "ok"


def main(needs_kvm=True):
    global mayfly_path, guests_directory
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} MAYFLY GUESTS-DIRECTORY [WORD|OTHER-WORD OF A CASE'S NAME...]")
    mayfly_path, guests_directory = (os.path.abspath(path) for path in sys.argv[1:3])
    # Under nohup, or behind a shell's &, signals come ignored, and mayfly leaves them so.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    # Ending the tests also ends their processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if needs_kvm and why_no_kvm():
        print(f"SKIPPED, NOTHING WAS TESTED: no usable {why_no_kvm()}", flush=True)
        sys.exit(SKIPPED)
    wanted = sys.argv[3:]
    chosen = [f for f in _cases if all(any(part in f.__name__ for part in word.split("|")) for word in wanted)]
    results = [_run_case(function) for function in chosen]
    passed, failed, skipped = (results.count(kind) for kind in ("ok", "FAIL", "skip"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    if failed or not results:
        sys.exit(1)
    sys.exit(SKIPPED if passed == 0 else 0)
