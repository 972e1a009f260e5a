# SPDX-License-Identifier: Apache-2.0
"""A command that runs somewhere, as a test sees it: its output so far, its input, its end."""
import os
import re
import signal
import threading
import time

from errors import LabError

TIMED_OUT = 124
# From the polite signal to the other one.
GRACE_SECONDS = 10
# How often to check whether a command is hopeless.
LOOK_SECONDS = 5


class Outcome:
    """How a command ended. `ns` is its time by the lab's clock, fork to wait: instructions with icount."""

    def __init__(self, status, out, err, seconds, ns, user_us, system_us, memory_kib_max):
        self.status = status  # as the shell would say it: 128 + N after signal N
        self.out = out
        self.err = err
        self.seconds = seconds
        self.ns = ns
        self.user_us = user_us
        self.system_us = system_us
        self.memory_kib_max = memory_kib_max

    def __str__(self):
        out = self.out if len(self.out) < 2000 else self.out[:1000] + b" ... " + self.out[-1000:]
        return f"status {self.status} after {self.seconds:.2f} s\nstdout: {out!r}\nstderr: {self.err!r}"


class Command:
    """Its output is kept, or given to `on_output(is_error, bytes)` as it comes. Its starter calls
    take_output and end, or fail; a subclass has write, close_input, resize and signal."""

    def __init__(self, argv, on_output=None):
        self.argv = [str(word) for word in argv]
        self.changed = threading.Condition()
        self._buffers = (bytearray(), bytearray())
        self._on_output = on_output
        self._end = None
        self._failure = None
        self._started = time.monotonic()
        self._seconds = 0.0
        self._last_said = self._started
        self._trouble = ""

    def take_output(self, is_error, data):
        self._last_said = time.monotonic()
        if self._on_output is not None:
            self._on_output(is_error, data)
            return
        with self.changed:
            self._buffers[is_error].extend(data)
            self.changed.notify_all()

    def end(self, status, start_error, ns, user_us, system_us, memory_kib_max):
        with self.changed:
            self._seconds = time.monotonic() - self._started
            self._end = (status, start_error, ns, user_us, system_us, memory_kib_max)
            self.changed.notify_all()

    def fail(self, why):
        """Its machine is gone."""
        with self.changed:
            self._failure = why
            self.changed.notify_all()

    def has_ended(self):
        return self._end is not None or self._failure is not None

    def check_machine(self):
        if self._failure is not None:
            raise LabError(self._failure)

    def poll(self):
        """Whether it has ended."""
        with self.changed:
            self.check_machine()
            return self._end is not None

    def output(self, is_error=False):
        """Its output so far."""
        with self.changed:
            return bytes(self._buffers[is_error])

    def wait_for_output(self, pattern, timeout=60, is_error=False):
        """Waits until its output matches; the match, or None when it ended, is hopeless, or time was up
        without."""
        pattern = pattern.encode() if isinstance(pattern, str) else pattern

        def search():
            return re.search(pattern, bytes(self._buffers[is_error]))

        self._wait_for(lambda: search() or self.has_ended(), timeout)
        with self.changed:
            return search()

    def write(self, data):
        """Gives it input; waits while it reads slower than that."""
        raise NotImplementedError

    def close_input(self):
        raise NotImplementedError

    def resize(self, rows, columns):
        """Of its terminal."""
        raise NotImplementedError

    def signal(self, number):
        """To it and its children."""
        raise NotImplementedError

    def kill(self):
        self.signal(signal.SIGKILL)

    def why_done_for(self, silent_seconds):
        """Why it will not end by itself, though its time is not over; empty while it may. It has said nothing
        for so long."""
        del silent_seconds
        return ""

    def describe_machine(self):
        """The state of its machine, as seen from outside, to explain why it did not end."""
        return ""

    def _wait_for(self, is_over, timeout):
        """Whether it came to be so. Waits no longer than `timeout` seconds, and not for a hopeless command;
        what was seen then is kept for the outcome."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - time.monotonic())
            with self.changed:
                if self.changed.wait_for(is_over, max(left, 0)):
                    return True
            if deadline is None:
                continue
            reason = self.why_done_for(time.monotonic() - self._last_said)
            if not reason and time.monotonic() >= deadline:
                reason = f"ended after {timeout:g} s"
            if reason:
                # Before its end, for afterwards nothing is left to be seen.
                seen = f"lab: {self.argv[0]}: {reason}\n{self.describe_machine()}"
                self._trouble = self._trouble or seen
                return False

    def wait(self, timeout=None):
        """The Outcome. After `timeout` seconds, or when it is hopeless, it is ended by signals, its status is
        124, and its stderr tells what was to be seen then."""
        timed_out = not self._wait_for(self.has_ended, timeout)
        if timed_out:
            for number in (signal.SIGTERM, signal.SIGKILL):
                self.signal(number)
                with self.changed:
                    if self.changed.wait_for(self.has_ended, GRACE_SECONDS):
                        break
        with self.changed:
            self.check_machine()
            if self._end is None:
                raise LabError(f"{' '.join(self.argv)}: still there after SIGKILL\n{self._trouble}")
            return self._outcome(timed_out)

    def _outcome(self, timed_out):
        status, start_error, *spent = self._end
        out, err = (bytes(buffer) for buffer in self._buffers)
        text = err.decode(errors="replace")
        if timed_out:
            status = TIMED_OUT
        text += self._trouble
        if start_error:
            text += f"lab: {self.argv[0]}: {os.strerror(start_error)}\n"
        return Outcome(status, out, text, self._seconds, *spent)
