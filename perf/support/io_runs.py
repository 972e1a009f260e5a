# SPDX-License-Identifier: Apache-2.0
"""The common part of disk_io and net_io: iobench under two monitors by turns, its figures, and the cost of a
request.

Figures come from the guest's own clock, so a monitor's start does not count. Requests per round are chosen so
that a round lasts about as long under each monitor. Costs are differences of two counted runs, a short and a
long one: work that happens once, such as setting up and warming up, cancels out.
"""
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import NamedTuple

FIELD = re.compile(r"(\w+)=(\w+)")
RUN_SECONDS_MAX = 120
REQUESTS_MIN = 500
PERF_EVENTS = {
    "returns to user space": "kvm:kvm_userspace_exit",
    "system calls": "raw_syscalls:sys_enter",
    "io_uring_enter": "syscalls:sys_enter_io_uring_enter",
    "to io-wq workers": "io_uring:io_uring_queue_async_work",
    "interrupts": "kvm:kvm_apic_accept_irq",
    "context switches": "context-switches",
}


class Contender(NamedTuple):
    name: str
    argv: list
    append_flag: str
    status: int


def mayfly(name, binary, kernel, devices):
    return Contender(name, [binary, "boot", kernel] + devices, "--append", 0)


OTHER = "the other mayfly"


def mayflies(options, devices):
    """One for each way of options.io, and the other binary, if any, in the first of them."""
    def way(mode):
        return devices + ["--io", mode]
    found = [mayfly(f"mayfly --io {mode}", options.mayfly, options.guest, way(mode)) for mode in options.io]
    if options.vs_binary is not None:
        found.append(mayfly(OTHER, options.vs_binary, options.guest, way(options.io[0])))
    return found


def add_ratio_to_other(bench, options, label, contenders, rows):
    if OTHER in rows:
        ratio = rows[contenders[0].name]["median"] / rows[OTHER]["median"]
        bench.add_value(f"{label}, mayfly / {OTHER}", contenders[0].name, "x", ratio, options.rounds)


def qemu(name, binary, kernel, devices):
    """Status (0 << 1) | 1: isa-debug-exit turns the guest's 0 into it."""
    argv = [binary, "-M", "microvm,pcie=on,acpi=on,pit=off,pic=off,rtc=off,isa-serial=on", "-accel", "kvm",
            "-cpu", "host,arch-capabilities=off", "-m", "128M", "-smp", "1", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-serial", "stdio",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
    return Contender(name, argv + devices + ["-kernel", kernel], "-append", 1)


def find_qemu(bench, binary):
    path = shutil.which(binary)
    if path is None:
        bench.note(f"QEMU IS NOT COMPARED: {binary} is not installed (Debian package qemu-system-x86)")
    return path


def end_on_sigterm():
    """The test runner's time limit must unwind, so that files and taps are removed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))


class Run(NamedTuple):
    figures: dict
    console_bytes: int


def result_line(text):
    lines = [line for line in text.splitlines() if line.startswith("iobench dev=")]
    return {key: int(value) if value.isdigit() else value for key, value in FIELD.findall(lines[-1])}


def boot(contender, append, prefix=(), extra=(), peer=None):
    """One run. `peer` is called once the guest says that it is ready, and returns a function that ends the
    peer."""
    argv = list(prefix) + contender.argv + list(extra) + [contender.append_flag, append]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    stop_peer, output = None, ""
    try:
        if peer is not None:
            while not output.endswith("iobench ready\n"):
                line = process.stdout.readline()
                if not line:
                    break
                output += line
            stop_peer = peer()
        rest, _ = process.communicate(timeout=RUN_SECONDS_MAX)
    finally:
        if stop_peer is not None:
            stop_peer()
        if process.poll() is None:
            process.kill()
            process.communicate()
    output += rest
    if process.returncode != contender.status or "iobench dev=" not in output:
        raise RuntimeError(f"{' '.join(argv)} ended with {process.returncode}, not {contender.status}:\n{output}")
    figures = result_line(output)
    if figures["errors"] or figures["requests"] == 0:
        raise RuntimeError(f"{' '.join(argv)}: {figures['errors']} errors, {figures['requests']} requests")
    return Run(figures, len(output))


def seconds_of(figures):
    return figures["cycles"] / (figures["tsc_khz"] * 1000)


def calibrated_count(contender, append, options, peer):
    """The number of requests that last options.seconds."""
    count = REQUESTS_MIN
    while True:
        took = seconds_of(boot(contender, f"{append} count={count}", peer=peer).figures)
        if took >= options.seconds / 8:
            return max(REQUESTS_MIN, round(count * options.seconds / took))
        count = round(count * min(max(options.seconds / 4 / took, 2), 16))


def per_second(figures):
    return figures["requests"] / seconds_of(figures)


def measure(contenders, append, options, peer=None, before_each=None):
    """Name -> the figures of options.rounds runs, taken by turns in rotating order."""
    counts = [calibrated_count(contender, append, options, peer) for contender in contenders]
    taken = {contender.name: [] for contender in contenders}
    for turn in range(options.rounds):
        for i in range(len(contenders)):
            which = (turn + i) % len(contenders)
            if before_each is not None:
                before_each()
            run = boot(contenders[which], f"{append} count={counts[which]}", peer=peer)
            taken[contenders[which].name].append(run.figures)
    return taken


class Counters:
    """Costs per request, by perf's tracepoints for every contender, and by mayfly's own statistics."""

    def __init__(self, bench, directory):
        self._perf = shutil.which("perf")
        self._stats = pathlib.Path(directory) / "stats.json"
        self._counts = pathlib.Path(directory) / "perf.csv"
        self._events = [event for event in PERF_EVENTS.values() if self._can_count(event)]
        if not self._events:
            bench.note("COSTS OF QEMU'S REQUESTS ARE NOT COUNTED: perf is not installed, or may not trace")

    def _can_count(self, event):
        if self._perf is None:
            return False
        done = subprocess.run([self._perf, "stat", "-x,", "-o", str(self._counts), "-e", event, "--", "true"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=RUN_SECONDS_MAX, check=False)
        return done.returncode == 0

    def _read_perf(self):
        counted = {}
        for line in self._counts.read_text().splitlines():
            fields = line.split(",")
            if len(fields) > 2 and fields[0].isdigit():
                counted[fields[2]] = int(fields[0])
        return {name: counted[event] for name, event in PERF_EVENTS.items() if event in counted}

    def _read_stats(self):
        stats = json.loads(self._stats.read_text())
        io_thread = stats["virtio"].get("io_thread", {"io_uring_enter": 0})  # missing while all is inline
        totals = {"io_uring_enter, by its own count": io_thread["io_uring_enter"]}
        for queue in (queue for device in stats["virtio"]["devices"] for queue in device["queues"]):
            for key in ("doorbells_trapped", "doorbells_caught", "interrupts_asked", "interrupts_suppressed",
                        "interrupts_irqfd", "interrupts_signal_msi"):
                name = key.replace("_", " ")
                totals[name] = totals.get(name, 0) + queue[key]
        # A byte on the console is an exit, too.
        return totals, stats["returns_to_user_space"]

    def _totals(self, contender, append, peer):
        prefix, extra, is_mayfly = [], [], contender.append_flag == "--append"
        if self._events:
            prefix = [self._perf, "stat", "-x,", "-o", str(self._counts), "-e", ",".join(self._events), "--"]
        if is_mayfly:
            extra = ["--stats-json", str(self._stats)]
        run = boot(contender, append, prefix, extra, peer)
        totals = self._read_perf() if self._events else {}
        if is_mayfly:
            own, returns = self._read_stats()
            totals |= own
            totals["returns to user space"] = returns
        if "returns to user space" in totals:
            totals["returns to user space"] -= run.console_bytes
        totals["doorbells"] = run.figures["rung"]
        return totals, run.figures["requests"]

    def per_request(self, contender, append, count, peer=None):
        short, few = self._totals(contender, f"{append} count={count}", peer)
        long, many = self._totals(contender, f"{append} count={5 * count}", peer)
        return {name: (long[name] - short[name]) / (many - few) for name in long if name in short}


def temporary_directory(out):
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=out, prefix="io-")


SHOWN_COSTS = ("returns to user space", "io_uring_enter", "system calls", "doorbells", "interrupts")


def add_costs(bench, what, label, contender, costs):
    """The table shows the main costs, the JSON all."""
    bench.add_breakdown(f"per {what}, {label}", contender, costs)
    for name in SHOWN_COSTS:
        if name in costs:
            bench.add_value(f"{name} per {what}, {label}", contender, "per " + what, costs[name])
