# SPDX-License-Identifier: Apache-2.0
"""The client's end of the channel to the lab's agent: frames as tests/lab/agent/protocol.h has them, and what is
under way: commands and file transfers. One thread of the lab's reads; any thread may send."""
import os
import re
import signal
import struct
import threading
import time

RUN, INPUT, INPUT_END, SIGNAL, RESIZE, PUT, PUT_DATA, PUT_END, GET, POWER_OFF = range(1, 11)
HELLO, OUTPUT, ERROR, EXIT, CREDIT, PUT_DONE, GET_DATA, GET_DONE = range(1, 9)
VERSION = 1
HEADER = struct.Struct("<III")
EXIT_REPORT = struct.Struct("<IIQQQQ")
CREDIT_BYTES = 256 * 1024
CHUNK_BYTES = 256 * 1024
TERMINAL, MEASURED, WITH_INPUT = 1, 2, 4

TIMED_OUT, NOT_EXECUTABLE, NOT_FOUND = 124, 126, 127
# From the polite signal to the other one.
GRACE_SECONDS = 10


class LabError(Exception):
    """The lab could not be started, has ended, or cannot do what was asked."""


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


class Channel:
    def __init__(self, sock, describe_end):
        self._sock = sock
        self._describe_end = describe_end
        self._send_lock = threading.Lock()
        self._lock = threading.Lock()
        self._under_way = {}
        self._ids = 0
        self.ended = None
        self.hello = threading.Event()

    def register(self, item):
        with self._lock:
            if self.ended is not None:
                raise LabError(self.ended)
            self._ids += 1
            self._under_way[self._ids] = item
            return self._ids

    def forget(self, number):
        with self._lock:
            self._under_way.pop(number, None)

    def send(self, kind, number, payload=b""):
        try:
            with self._send_lock:
                self._sock.sendall(HEADER.pack(kind, number, len(payload)) + payload)
        except OSError:
            raise LabError(self.ended or self._describe_end()) from None

    def read_until_closed(self):
        """The reading thread's work."""
        received = bytearray()
        while True:
            try:
                data = self._sock.recv(1 << 18)
            except OSError:
                data = b""
            if not data:
                break
            received += data
            used = 0
            while len(received) - used >= HEADER.size:
                kind, number, length = HEADER.unpack_from(received, used)
                if len(received) - used - HEADER.size < length:
                    break
                start = used + HEADER.size
                self._dispatch(kind, number, bytes(received[start : start + length]))
                used = start + length
            del received[:used]
        self._end()

    def _dispatch(self, kind, number, payload):
        if kind == HELLO:
            if payload == struct.pack("<I", VERSION):
                self.hello.set()
            return
        with self._lock:
            item = self._under_way.get(number)
        if item is not None:
            item.handle(kind, payload)

    def _end(self):
        with self._lock:
            self.ended = self._describe_end()
            left = list(self._under_way.values())
            self._under_way.clear()
        self.hello.set()
        for item in left:
            item.fail(self.ended)


class Process:
    """A command in the lab. Its output is kept, or given to `on_output(is_error, bytes)` as it comes."""

    def __init__(self, channel, argv, *, env, cwd, flags=0, size=(0, 0), on_output=None):
        self._channel = channel
        self._changed = threading.Condition()
        self._buffers = (bytearray(), bytearray())
        self._on_output = on_output
        self._credit = CREDIT_BYTES
        self._report = None
        self._failure = None
        self._argv = [str(word) for word in argv]
        self._started = time.monotonic()
        self._seconds = 0.0
        fields = [flags, *size, cwd, len(env), *(f"{k}={v}" for k, v in env.items()), *self._argv]
        payload = b"".join(os.fsencode(str(field)) + b"\0" for field in fields)
        self._id = channel.register(self)
        channel.send(RUN, self._id, payload)

    def handle(self, kind, payload):
        if kind in (OUTPUT, ERROR) and self._on_output is not None:
            self._on_output(kind == ERROR, payload)
            return
        with self._changed:
            if kind in (OUTPUT, ERROR):
                self._buffers[kind == ERROR].extend(payload)
            elif kind == CREDIT:
                self._credit += struct.unpack("<I", payload)[0]
            elif kind == EXIT:
                self._report = EXIT_REPORT.unpack(payload)
                self._seconds = time.monotonic() - self._started
                self._channel.forget(self._id)
            self._changed.notify_all()

    def fail(self, why):
        with self._changed:
            self._failure = why
            self._changed.notify_all()

    def _ended(self):
        return self._report is not None or self._failure is not None

    def _check_lab(self):
        if self._failure is not None:
            raise LabError(self._failure)

    def poll(self):
        """Whether it has ended."""
        with self._changed:
            self._check_lab()
            return self._report is not None

    def output(self, is_error=False):
        """What it has said so far."""
        with self._changed:
            return bytes(self._buffers[is_error])

    def wait_for_output(self, pattern, timeout=60, is_error=False):
        """Waits until what it has said matches; the match, or None when it ended or time was up without."""
        pattern = pattern.encode() if isinstance(pattern, str) else pattern
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = re.search(pattern, self._buffers[is_error])
                left = deadline - time.monotonic()
                if found or self._ended() or left <= 0:
                    return found
                self._changed.wait(left)

    def write(self, data):
        """Gives it input; waits while it reads slower than that."""
        data = data.encode() if isinstance(data, str) else data
        while data:
            with self._changed:
                self._changed.wait_for(lambda: self._credit > 0 or self._ended())
                self._check_lab()
                if self._report is not None:
                    return
                part, data = data[: self._credit], data[self._credit :]
                self._credit -= len(part)
            self._channel.send(INPUT, self._id, part)

    def close_input(self):
        self._channel.send(INPUT_END, self._id)

    def resize(self, rows, columns):
        self._channel.send(RESIZE, self._id, struct.pack("<HH", rows, columns))

    def signal(self, number):
        """To it and its children."""
        self._channel.send(SIGNAL, self._id, struct.pack("<I", number))

    def kill(self):
        self.signal(signal.SIGKILL)

    def wait(self, timeout=None):
        """The Outcome. After `timeout` seconds it is ended by signals, and its status is 124."""
        timed_out = False
        with self._changed:
            self._changed.wait_for(self._ended, timeout)
            timed_out = not self._ended()
        if timed_out:
            for number in (signal.SIGTERM, signal.SIGKILL):
                self.signal(number)
                with self._changed:
                    if self._changed.wait_for(self._ended, GRACE_SECONDS):
                        break
        with self._changed:
            self._check_lab()
            if self._report is None:
                raise LabError(f"{' '.join(self._argv)}: still there after SIGKILL")
            return self._outcome(timed_out, timeout)

    def _outcome(self, timed_out, timeout):
        status, start_error, ns, user_us, system_us, memory = self._report
        out, err = (bytes(buffer) for buffer in self._buffers)
        text = err.decode(errors="replace")
        number = status & 0x7F
        code = 128 + number if number else status >> 8
        if timed_out:
            code = TIMED_OUT
            text += f"lab: {self._argv[0]}: ended after {timeout} s\n"
        if start_error:
            text += f"lab: {self._argv[0]}: {os.strerror(start_error)}\n"
        return Outcome(code, out, text, self._seconds, ns, user_us, system_us, memory)


class Transfer:
    """A file on its way."""

    def __init__(self, channel, sink=None):
        self._done = threading.Event()
        self._sink = sink
        self._error = ""
        self.id = channel.register(self)
        self._channel = channel

    def handle(self, kind, payload):
        if kind == GET_DATA:
            try:
                self._sink.write(payload)
            except OSError as error:
                self._error = str(error)
        else:
            self._error = self._error or payload.decode(errors="replace")
            self._channel.forget(self.id)
            self._done.set()

    def fail(self, why):
        self._error = why
        self._done.set()

    def wait(self, what):
        self._done.wait()
        if self._error:
            raise LabError(f"{what}: {self._error}")
