# SPDX-License-Identifier: Apache-2.0
"""The two kinds of host that Linux guests are tested on, with the same calls. See harness.py."""
import os
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time
import fcntl

from commands import Command
from lab import Lab

# Twenty times a guest's boot in a lab on a quiet machine; a hopeless one is found before.
DEFAULT_SECONDS = 300


class Host:
    """What both have. `is_lab` says which it is; times mean something only natively, instruction counts only
    in a lab with icount."""

    is_lab = False

    def path(self, name):
        """Where the file, kernel or disk `name` of linux_host() is on this host."""
        raise NotImplementedError

    def popen(self, argv, *, env=None, terminal=None, with_input=True):
        """Starts a command: a commands.Command. `terminal` is (rows, columns)."""
        raise NotImplementedError

    def put(self, data, name):
        """Makes the file `name` of bytes; its path."""
        raise NotImplementedError

    def get(self, name):
        """The bytes of the file at path(name)."""
        raise NotImplementedError

    def close(self):
        raise NotImplementedError

    def mayfly_popen(self, *arguments, **options):
        return self.popen(["mayfly", *arguments], **options)

    def run(self, argv, *, timeout=DEFAULT_SECONDS, input_bytes=None, **options):
        """Runs a command to its end: a commands.Outcome; status 124 when it took longer than `timeout`
        seconds. A string is for the shell."""
        process = self.popen(argv, with_input=input_bytes is not None, **options)
        if input_bytes is not None:
            process.write(input_bytes)
            process.close_input()
        return process.wait(timeout)

    def mayfly(self, *arguments, **options):
        return self.run(["mayfly", *arguments], **options)


class LabHost(Host):
    is_lab = True

    def __init__(self, mayfly, files, disks, **options):
        self._disks = {name: f"/dev/vd{chr(ord('a') + index)}" for index, name in enumerate(disks)}
        images = [f"{path}:discard" for path in disks.values()]
        started = time.monotonic()
        self.lab = Lab(mayfly=mayfly, files=files, disks=images, **options).start()
        self.boot_seconds = time.monotonic() - started

    def path(self, name):
        return self._disks.get(name, name)

    def popen(self, argv, *, env=None, terminal=None, with_input=True):
        return self.lab.popen(
            argv, env=env, cwd="/work", terminal=terminal, with_input=with_input, ends_idle=True
        )

    def measure(self, argv, *, timeout=DEFAULT_SECONDS, env=None):
        """Runs a command undisturbed: with icount, the Outcome's `ns` is how many instructions it took."""
        return self.lab.measure(argv, timeout=timeout, env=env, cwd="/work")

    def put(self, data, name):
        self.lab.put(data, name)
        return name

    def get(self, name):
        return self.lab.get(name)

    def close(self):
        self.lab.close()


class NativeHost(Host):
    """This machine. The files are links into a temporary directory, the disks copies."""

    def __init__(self, mayfly, files, disks):
        self._mayfly = mayfly
        self._directory = tempfile.TemporaryDirectory(prefix="mayfly-linux-")
        self._disks = {}
        for name, source in files.items():
            if isinstance(source, bytes):
                self.put(source, name)
            else:
                os.symlink(os.path.realpath(source), self._made(name))
        for name, source in disks.items():
            self._disks[name] = shutil.copyfile(source, os.path.join(self._directory.name, f"disk-{name}"))
        os.makedirs(self.path("/work"), exist_ok=True)

    def _made(self, name):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def path(self, name):
        return self._disks.get(name) or os.path.join(self._directory.name, name.lstrip("/"))

    def popen(self, argv, *, env=None, terminal=None, with_input=True):
        argv = ["sh", "-c", argv] if isinstance(argv, str) else [str(word) for word in argv]
        # The mayfly under test, also for a shell's command.
        path = f"{os.path.dirname(self._mayfly)}:{os.environ.get('PATH', '')}"
        environment = {**os.environ, "PATH": path, **(env or {})}
        return NativeProcess(argv, environment, self.path("/work"), terminal, with_input)

    def put(self, data, name):
        path = self._made(name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def get(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def close(self):
        self._directory.cleanup()


class NativeProcess(Command):
    """A command on this machine, watched by a thread a stream."""

    def __init__(self, argv, env, cwd, terminal, with_input):
        super().__init__(argv)
        self._terminal = None
        stdin = subprocess.PIPE if with_input else subprocess.DEVNULL
        streams = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        theirs = None
        if terminal:
            self._terminal, theirs = pty.openpty()
            self.resize(*terminal)
            streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        self._began = time.monotonic_ns()
        try:
            self._process = subprocess.Popen(argv, env=env, cwd=cwd, start_new_session=True, **streams)
        except OSError as error:
            self.end(127 if isinstance(error, FileNotFoundError) else 126, error.errno, 0, 0, 0, 0)
            return
        finally:
            if theirs is not None:
                os.close(theirs)
        streams = () if terminal else (self._process.stdout, self._process.stderr)
        sources = [self._terminal] if terminal else [stream.fileno() for stream in streams]
        self._readers = []
        for pair in enumerate(sources):
            self._readers.append(threading.Thread(target=self._read, args=pair, daemon=True))
            self._readers[-1].start()
        threading.Thread(target=self._wait_for_end, daemon=True).start()

    def _read(self, index, fd):
        try:
            while data := os.read(fd, 1 << 16):
                self.take_output(index == 1, data)
        except OSError:  # a terminal without its last process
            pass

    def _wait_for_end(self):
        _, status, usage = os.wait4(self._process.pid, 0)
        ns = time.monotonic_ns() - self._began
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        for reader in self._readers:
            reader.join(5)
        to_us = 1_000_000
        spent = (ns, int(usage.ru_utime * to_us), int(usage.ru_stime * to_us), usage.ru_maxrss)
        self.end(128 - code if code < 0 else code, 0, *spent)

    def write(self, data):
        data = data.encode() if isinstance(data, str) else data
        fd = self._terminal if self._terminal is not None else self._process.stdin.fileno()
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(fd, view) :]
        except BrokenPipeError:
            pass

    def close_input(self):
        if self._terminal is None:
            self._process.stdin.close()

    def resize(self, rows, columns):
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def signal(self, number):
        try:
            os.killpg(self._process.pid, signal.Signals(number))
        except ProcessLookupError:
            pass
