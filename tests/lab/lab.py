# SPDX-License-Identifier: Apache-2.0
"""A small Linux host with a hardware-style /dev/kvm, on any machine: Debian's cloud kernel on an emulated
processor, with kvm-amd under QEMU or with kvm-intel under Bochs. See README.md. From Python:

    with Lab(mayfly="build/mayfly", agent="build/tests/lab/lab-agent", cache="build/lab") as lab:
        outcome = lab.run(["mayfly", "boot", "builtin:hello"], timeout=60)
"""
import collections
import io
import os
import shutil
import subprocess
import threading
import time

import image
import packages
from channel import (
    CHUNK_BYTES,
    Channel,
    GET,
    MEASURED,
    POWER_OFF,
    PUT,
    PUT_DATA,
    PUT_END,
    Process,
    TERMINAL,
    Transfer,
    WAKE,
    WITH_INPUT,
)
from errors import LabError, Unavailable
from machine import Options
from one_cpu import OneCpu, first_choice
from svm_host import SvmHost, disk_path
from vmx_host import VmxHost
from watch import Watch

ENVIRONMENT = {"PATH": "/usr/bin:/usr/sbin", "HOME": "/root", "TERM": "linux", "LANG": "C.UTF-8"}
# Ten times what a busy machine takes.
BOOT_SECONDS = 300
POWER_OFF_SECONDS = 20
PANIC_SECONDS = 3
CONSOLE_LINES = 40
WAKE_SECONDS = 1
MACHINES = {machine.name: machine for machine in (SvmHost, VmxHost)}
# The programs of every lab, each with its Debian package.
PROGRAMS = {
    "busybox": "busybox-static",
    "depmod": "kmod",
    "lz4": "lz4",
    "zstd": "zstd",
    "setpriv": "util-linux",
    "taskset": "util-linux",
    "readelf": "binutils",
}


def missing_packages(machine):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    programs = {**PROGRAMS, **machine.programs}
    missing = [package for program, package in programs.items() if shutil.which(program, path=path) is None]
    return missing + machine.missing_packages()


class Lab:
    """`files` is {path in the lab: path of the host, or bytes}; directories are copied whole. `tools` are
    names of the host's programs, copied with their libraries. `disks` are paths of images, which become
    /dev/vda and so on; PATH:ro is read-only, PATH:discard forgets what was written. `icount`: one
    instruction is a nanosecond of the lab's clock, and equal runs take equal times. `console`, when given,
    gets the host kernel's console. `host` is "svm" or "vmx"; `apicv`, of the latter, switches it."""

    def __init__(
        self,
        *,
        agent,
        cache,
        mayfly=None,
        files=None,
        tools=(),
        disks=(),
        memory="2G",
        cpus=1,
        icount=False,
        kernel="6.1",
        append="",
        console=None,
        boot_seconds=BOOT_SECONDS,
        host="svm",
        apicv=None,
    ):
        self._agent, self._cache = agent, cache
        self._files = {**({} if mayfly is None else {"/usr/bin/mayfly": mayfly}), **(files or {})}
        self._mayfly = mayfly
        self._tools, self._disks = tuple(tools), tuple(disks)
        if host not in MACHINES:
            raise LabError(f"no host {host}; there are {', '.join(MACHINES)}")
        options = Options(self._disks, memory, cpus, icount, append, apicv)
        self._machine = MACHINES[host](options, agent, cache)
        self._kernel_version = kernel
        self._console = console
        self._console_tail = collections.deque(maxlen=CONSOLE_LINES)
        self._panic = ""
        self._boot_seconds = boot_seconds
        self._launch = None
        self._emulator = None
        self._thread = None
        self._closing = threading.Event()
        self._has_one_cpu = False
        self.channel = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    # Start and end.

    def start(self):
        missing = missing_packages(self._machine)
        if missing:
            raise Unavailable(
                f"packages are missing; as root: apt-get install {' '.join(missing)} (or .ci/setup --check)"
            )
        for path in [self._agent, *(disk_path(d) for d in self._disks), *self._host_files()]:
            if not os.path.exists(path):
                raise LabError(f"{path}: no such file")
        kernel = packages.Kernel(self._kernel_version, os.path.join(self._cache, "packages"))
        initrd = self._make_initrd(kernel)
        try:
            try:
                self._launch = self._prepare(kernel, initrd)
                self._start_emulator()
            finally:
                os.close(initrd)
            if not self.channel.hello.wait(self._boot_seconds):
                raise LabError(f"the lab did not come up within {self._boot_seconds:g} s" + self._tail())
            if self.channel.ended is not None:
                raise LabError(self.channel.ended)
            # With icount the thread of the CPU runs the timers, and a wake would make each run another one.
            if self._machine.loses_interrupts and not self._machine.options.icount:
                threading.Thread(target=self._keep_awake, daemon=True).start()
        except BaseException:
            self.close()
            raise
        return self

    def _cpu_words(self):
        """With several CPUs of its own the emulator needs several of ours; with icount no tick is lost."""
        options = self._machine.options
        self._has_one_cpu = self._machine.loses_interrupts and options.cpus == 1 and not options.icount
        return ["taskset", "-c", str(first_choice())] if self._has_one_cpu else []

    def _keep_awake(self):
        one_cpu = OneCpu(self.process_id)
        while not self._closing.wait(WAKE_SECONDS):
            try:
                if self._has_one_cpu:
                    one_cpu.look(time.monotonic())
                self.channel.send(WAKE, 0)
            except (LabError, OSError):  # it has ended
                return

    def _prepare(self, kernel, initrd):
        """The machine.Launch; a lab of another kind may change its command."""
        return self._machine.prepare(kernel, initrd)

    def _host_files(self):
        return [source for source in self._files.values() if not isinstance(source, bytes)]

    def _make_initrd(self, kernel):
        base = image.base_image(self._cache, kernel, self._agent, self._machine)
        files = {}
        for tool in self._tools:
            files.update(image.tool_files(tool))
        files.update(self._files)
        if self._mayfly is not None:
            # A sanitized one has some.
            files.update({library: library for library in image.libraries_of(self._mayfly)})
        # In memory and without a name: nothing of it can be left behind.
        with open(os.memfd_create("initrd"), "wb", closefd=False) as file:
            with open(base, "rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
            image.write_overlay(file, files)
            return file.fileno()

    def _start_emulator(self):
        """Returns when it runs and its socket is there."""
        started = threading.Event()
        failure = []

        def own_emulator():
            # "Parent" in the parent-death signal is the thread that forks: this one lives as long as the lab.
            try:
                self._emulator = subprocess.Popen(
                    [*self._cpu_words(), "setpriv", "--pdeathsig", "KILL", "--", *self._launch.command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=self._launch.fds,
                    # A Ctrl-C in the terminal is for us alone.
                    start_new_session=True,
                )
                self._launch.close()
                threading.Thread(target=self._read_console, daemon=True).start()
                connected = self._launch.connect(lambda: self._emulator.poll() is not None)
                self.channel = Channel(connected, self._describe_end)
            except (OSError, LabError) as error:
                failure.append(error)
                return
            finally:
                started.set()
            self.channel.read_until_closed()

        self._thread = threading.Thread(target=own_emulator, daemon=True)
        self._thread.start()
        started.wait()
        if failure:
            raise LabError(f"{self._machine.emulator}: {failure[0]}{self._tail()}")

    def _read_console(self):
        for line in self._emulator.stdout:
            self._console_tail.append(line.decode(errors="replace").rstrip())
            if "Kernel panic" in self._console_tail[-1]:
                self._panic = self._console_tail[-1]
                if self._machine.restarts:
                    # What it says after that is its trace.
                    threading.Timer(PANIC_SECONDS, self._emulator.kill).start()
            if self._console is not None:
                self._console.write(self._console_tail[-1] + "\n")
                self._console.flush()

    def _tail(self):
        log = self._launch.log() if self._launch is not None else []
        told = "".join(f"\n{self._machine.emulator}: {line}" for line in log)
        if not self._console_tail:
            return "; its console is empty (too little memory?)" + told
        # A panic is followed by a trace, which may be longer than what is kept.
        said = [self._panic] if self._panic and self._panic not in self._console_tail else []
        return "; the end of its console:\n" + "\n".join([*said, *self._console_tail]) + told

    def _describe_end(self):
        try:
            status = self._emulator.wait(5)
        except subprocess.TimeoutExpired:
            return "the lab has closed its channel" + self._tail()
        return f"the lab has ended ({self._machine.emulator}'s status {status})" + self._tail()

    def close(self):
        """Ends the lab. With disks it is powered off first, so that they have all that was written."""
        self._closing.set()
        if self._emulator is None:
            return
        if self._disks and self.channel.ended is None and self.channel.hello.is_set():
            try:
                self.channel.send(POWER_OFF, 0)
                self._emulator.wait(POWER_OFF_SECONDS)
            except (LabError, subprocess.TimeoutExpired):
                pass
        self._emulator.kill()
        self._emulator.wait()
        self._thread.join(POWER_OFF_SECONDS)
        self._emulator = None
        self._launch.end()
        self._launch = None

    # What can be done in it.

    @property
    def process_id(self):
        """The emulator's; 0 before it runs."""
        return self._emulator.pid if self._emulator else 0

    def popen(
        self,
        argv,
        *,
        env=None,
        cwd="/",
        terminal=None,
        with_input=True,
        measured=False,
        on_output=None,
        ends_idle=False,
    ):
        """Starts a command; `argv` is a list, or a string for the shell. `terminal` is (rows, columns).
        `ends_idle`: when it is waited for with a limit and the lab idles, it is hopeless before that."""
        if isinstance(argv, str):
            argv = ["sh", "-c", argv]
        flags = TERMINAL if terminal else 0
        flags |= (MEASURED if measured else 0) | (WITH_INPUT if with_input else 0)
        return Process(
            self.channel,
            argv,
            env={**ENVIRONMENT, **(env or {})},
            cwd=cwd,
            flags=flags,
            size=terminal or (0, 0),
            on_output=on_output,
            watch=self._watch(ends_idle),
        )

    def _watch(self, ends_idle):
        def start(argv):
            # Not waited for: a lab that does not answer is not asked a second time.
            return Process(self.channel, argv, env=ENVIRONMENT, cwd="/")

        return Watch(self.process_id, start, self._tail, ends_idle)

    def run(self, argv, *, input=None, timeout=None, **options):  # pylint: disable=redefined-builtin
        """Runs a command to its end: an Outcome. `input` is bytes; without any, stdin is /dev/null."""
        process = self.popen(argv, with_input=input is not None, **options)
        if input is not None:
            process.write(input)
            process.close_input()
        return process.wait(timeout)

    def measure(self, argv, *, timeout=None, env=None, cwd="/"):
        """Runs a command while nothing else does: its output stays in the lab until it has ended. With
        icount, the Outcome's `ns` is the instructions that it, the host kernel and its guests took."""
        return self.popen(argv, env=env, cwd=cwd, with_input=False, measured=True).wait(timeout)

    def put(self, source, guest, mode=None):
        """Copies a file of the host, or bytes, to a path of the lab."""
        if isinstance(source, bytes):
            return self._put(io.BytesIO(source), guest, 0o644 if mode is None else mode)
        with open(source, "rb") as file:
            return self._put(file, guest, os.fstat(file.fileno()).st_mode & 0o7777 if mode is None else mode)

    def _put(self, file, guest, mode):
        transfer = Transfer(self.channel)
        self.channel.send(PUT, transfer.id, mode.to_bytes(4, "little") + os.fsencode(guest))
        while data := file.read(CHUNK_BYTES):
            self.channel.send(PUT_DATA, transfer.id, data)
        self.channel.send(PUT_END, transfer.id)
        transfer.wait(guest)

    def get(self, guest, path=None):
        """A file of the lab: copied to a path of the host, or returned as bytes."""
        sink = io.BytesIO() if path is None else open(path, "wb")
        with sink:
            transfer = Transfer(self.channel, sink)
            self.channel.send(GET, transfer.id, os.fsencode(guest))
            transfer.wait(guest)
            return sink.getvalue() if path is None else None

