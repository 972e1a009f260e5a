# SPDX-License-Identifier: Apache-2.0
"""The client's end of the channel to the lab's agent: frames as tests/lab/agent/protocol.h has them, and
what is under way: commands and file transfers. One thread of the lab's reads; any thread may send."""
import os
import socket
import struct
import threading

import commands
from errors import LabError

RUN, INPUT, INPUT_END, SIGNAL, RESIZE, PUT, PUT_DATA, PUT_END, GET, POWER_OFF, WAKE = range(1, 12)
HELLO, OUTPUT, ERROR, EXIT, CREDIT, PUT_DONE, GET_DATA, GET_DONE = range(1, 9)
VERSION = 1
HEADER = struct.Struct("<III")
EXIT_REPORT = struct.Struct("<IIQQQQ")
CREDIT_BYTES = 256 * 1024
CHUNK_BYTES = 256 * 1024
TERMINAL, MEASURED, WITH_INPUT = 1, 2, 4
# A file transfer that makes no progress for so long has failed.
SILENT_SECONDS = 120


class Channel:
    def __init__(self, sock, describe_end):
        self._sock = sock
        # An agent that takes nothing for so long takes nothing any more.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SILENT_SECONDS, 0))
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
        except BlockingIOError:
            raise LabError(f"the lab took nothing for {SILENT_SECONDS} s") from None
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


class Process(commands.Command):
    """A command in the lab."""

    def __init__(self, channel, argv, *, env, cwd, flags=0, size=(0, 0), on_output=None, watch=None):
        """`watch` is a watch.Watch, or None for an unwatched command."""
        super().__init__(argv, on_output)
        self._watch = watch
        self._channel = channel
        self._credit = CREDIT_BYTES
        fields = [flags, *size, cwd, len(env), *(f"{k}={v}" for k, v in env.items()), *self.argv]
        payload = b"".join(os.fsencode(str(field)) + b"\0" for field in fields)
        self._id = channel.register(self)
        channel.send(RUN, self._id, payload)

    def why_done_for(self, silent_seconds):
        return self._watch.why_done_for(silent_seconds) if self._watch is not None else ""

    def describe_machine(self):
        return self._watch.describe() if self._watch is not None else ""

    def handle(self, kind, payload):
        if kind in (OUTPUT, ERROR):
            self.take_output(kind == ERROR, payload)
        elif kind == CREDIT:
            with self.changed:
                self._credit += struct.unpack("<I", payload)[0]
                self.changed.notify_all()
        elif kind == EXIT:
            self._channel.forget(self._id)
            status, start_error, *spent = EXIT_REPORT.unpack(payload)
            number = status & 0x7F
            self.end(128 + number if number else status >> 8, start_error, *spent)

    def write(self, data):
        data = data.encode() if isinstance(data, str) else data
        while data:
            with self.changed:
                self.changed.wait_for(lambda: self._credit > 0 or self.has_ended())
                self.check_machine()
                if self.has_ended():
                    return
                part, data = data[: self._credit], data[self._credit :]
                self._credit -= len(part)
            self._channel.send(INPUT, self._id, part)

    def close_input(self):
        self._channel.send(INPUT_END, self._id)

    def resize(self, rows, columns):
        self._channel.send(RESIZE, self._id, struct.pack("<HH", rows, columns))

    def signal(self, number):
        self._channel.send(SIGNAL, self._id, struct.pack("<I", number))


class Transfer:
    """A file on its way."""

    def __init__(self, channel, sink=None):
        self._done = threading.Event()
        self._moved = threading.Event()
        self._sink = sink
        self._error = ""
        self.id = channel.register(self)
        self._channel = channel

    def handle(self, kind, payload):
        if kind == GET_DATA:
            self._moved.set()
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
        while not self._done.wait(SILENT_SECONDS):
            if not self._moved.is_set():
                self._channel.forget(self.id)
                raise LabError(f"{what}: nothing came for {SILENT_SECONDS} s")
            self._moved.clear()
        if self._error:
            raise LabError(f"{what}: {self._error}")
