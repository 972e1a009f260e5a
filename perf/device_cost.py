#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""device_cost: the cost of a machine's devices: time to start, exits of a guest that looks for them, memory.

Start: exec to the first guest instruction with two disks, a network, a console and random numbers, and with
none, by turns. Discovery: exits of a guest (pciprobe) that reads everything about each device.
Memory: the monitor's, guest RAM apart, with 1, 9 and 17 disks or 1, 5 and 8 networks, each of which has
worked (guest/all_devices.cc) or not (builtin:idle).
"""
import argparse
import json
import os
import pathlib
import select
import subprocess
import sys
import time

import boot_time
import footprint
from support import io_runs
from support import results
from support import tap_namespace

START_MAX_MS = 0.3
DISK_MAX_KIB = 64
NET_MAX_KIB = 256
DISK_COUNTS = (1, 9, 17)
NET_COUNTS = (1, 5, 8)  # as many as a machine takes
READY_SECONDS_MAX = 60
DISK_BYTES = 4 << 20
TAP = "mayfly-perf"


def five_devices(disks):
    return ["--disk", disks[0], "--disk", disks[1], "--net", "tap=" + TAP, "--rng", "--console", "null,hvc"]


def measure_start(bench, options, disks):
    boot = [options.mayfly, "boot", "builtin:hello"]
    contenders = [("no device", 0, boot), ("five devices", 0, boot + five_devices(disks)),
                  ("2 disks", 0, boot + five_devices(disks)[:4]),
                  ("a net", 0, boot + five_devices(disks)[4:6])]
    runs = boot_time.spawn_to_first_exit(bench, options, contenders)
    rows, faults = {}, {}
    for name, taken in runs.items():
        rows[name] = bench.add_spread(boot_time.QUANTITY_FIRST, name, "us",
                                      [run["first_us"] for run in taken], options.warmup)
        faults[name] = bench.add_spread("minor faults", name, "count", [run["faults"] for run in taken],
                                        options.warmup)
    for which in ("median", "min"):
        more_ms = (rows["five devices"][which] - rows["no device"][which]) / 1000
        if which == "median":
            bench.add_limit("five devices, exec to first guest instruction, less without, medians", more_ms,
                            START_MAX_MS, unit="ms")
        else:
            bench.add_value("five devices less none, exec to first guest instruction, min", "mayfly", "ms", more_ms,
                            options.runs)


def exits_by_space(options, disks, stats, extra):
    argv = [options.mayfly, "boot", options.probe, "--append", "readonly=1 quiet=1", "--stats-json", str(stats)]
    subprocess.run(argv + five_devices(disks) + extra, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   timeout=READY_SECONDS_MAX, check=True)
    by_space = {}
    for place in json.loads(stats.read_text())["by_address"]:
        by_space[place["space"]] = by_space.get(place["space"], 0) + place["returns"]
    return by_space


def measure_probe(bench, options, disks, directory):
    for name, extra in (("window on", []), ("window off", ["--config-window", "off"])):
        exits = exits_by_space(options, disks, pathlib.Path(directory) / "stats.json", extra)
        reads = exits.get("mmio read", 0) + exits.get("port in", 0)
        bench.add_value("exits for reads, probing five devices", name, "count", reads)
        bench.add_value("exits for writes, probing five devices", name, "count", exits.get("mmio write", 0))
        if not extra:
            bench.add_limit("exits for reads while a guest probes five devices", reads, 0, unit="exits")


def await_line(process, word):
    """Reads until the guest has printed the word, or ended."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    said = b""
    while word not in said:
        if not select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            raise RuntimeError(f"the guest did not say {word.decode()!r}; it said {said!r}")
        more = os.read(process.stdout.fileno(), 4096)
        if not more or b"FAIL" in said:
            raise RuntimeError(f"the guest ended; it said {said + more!r}")
        said += more


def private_kib(options, devices, is_working):
    """(PSS, RSS) of the monitor without guest RAM."""
    boot = [options.mayfly, "boot", "--memory", "128M", "--timeout", "120", "--io", "thread"] + devices
    boot += [options.all_devices, "--append", "irq=msix"] if is_working else ["builtin:idle"]
    with subprocess.Popen(boot, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            if is_working:
                await_line(process, b"ready")
            else:
                footprint.wait_until_halted(process.pid)
            mappings = footprint.read_mappings(process.pid)
        finally:
            process.kill()
    rest = [fields for size, name, fields in mappings if name or size < footprint.GUEST_BYTES // 2]
    if len(rest) == len(mappings):
        raise RuntimeError("no mapping of guest RAM in smaps")
    return tuple(sum(fields[key] for fields in rest) for key in ("Pss", "Rss"))


def net_words(count, label):
    """Each run has taps of its own: io_uring may hold one for a moment after its process has ended."""
    names = [f"{label}-{count}-{n}" for n in range(count)]
    for name in names:
        tap_namespace.make_tap("device_cost", name)
    return sum((["--net", "tap=" + name] for name in names), [])


def measure_memory(bench, options, disks):
    kinds = (("disk", DISK_COUNTS, DISK_MAX_KIB), ("net", NET_COUNTS, NET_MAX_KIB))
    for kind, counts, bound in kinds:
        for is_working, state in ((True, "that have worked"), (False, "untouched")):
            taken = {}
            for count in counts:
                words = (sum((["--disk", path] for path in disks[:count]), []) if kind == "disk"
                         else net_words(count, "work" if is_working else "rest"))
                pss, rss = private_kib(options, words, is_working)
                name = f"{count} {kind}{'s' if count > 1 else ''} {state}"
                bench.add_value("PSS less guest RAM", name, "KiB", float(pss))
                bench.add_value("RSS less guest RAM", name, "KiB", float(rss))
                taken[count] = rss
            each = (taken[counts[-1]] - taken[counts[0]]) / (counts[-1] - counts[0])
            bench.add_limit(f"RSS per extra {kind}, {state}", each, bound, unit="KiB")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("mayfly", "spawner", "probe", "all-devices", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--warmup", type=int, default=10)
    return parser.parse_args()


def main():
    options = parse_options()
    results.must_have_kvm()
    tap_namespace.enter("device_cost")
    io_runs.end_on_sigterm()
    tap_namespace.make_tap("device_cost", TAP)
    bench = results.Bench("device_cost", options.out)
    results.note_if_busy(bench)
    with io_runs.temporary_directory(options.out) as directory:
        disks = [os.path.join(directory, f"disk{n}") for n in range(DISK_COUNTS[-1])]
        for path in disks:
            pathlib.Path(path).write_bytes(os.urandom(DISK_BYTES))
        measure_start(bench, options, disks)
        measure_probe(bench, options, disks, directory)
        measure_memory(bench, options, disks)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
