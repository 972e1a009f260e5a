#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""memory_size: does a boot cost more when the guest has more memory? No RAM is touched up front.

hello from exec to exit with 64 MiB and with 8 GiB, interleaved, for mayfly and for floor, and the time inside
KVM_SET_USER_MEMORY_REGION (by strace). A KVM that shadows page tables pays per page of a slot, under
any monitor: there floor tells the host's part from mayfly's.
"""
import argparse
import os
import sys

from support import results
from support import syscall_trace

SIZES = ("64M", "8G")
SLOT = "KVM_SET_USER_MEMORY_REGION"


def needs_bytes_of_host():
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >= 8 << 30


def boot(mayfly, size):
    return [mayfly, "boot", "builtin:hello", "--memory", size]


def measure_slot_time(bench, options):
    for size in SIZES:
        slots_us = []
        for _ in range(options.traced_runs):
            calls = syscall_trace.calls_of(boot(options.mayfly, size))
            slots_us.append(sum(call.seconds for call in calls if call.name == SLOT) * 1e6)
        bench.add_spread(f"time in {SLOT}, traced", "mayfly --memory " + size, "us", slots_us, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("mayfly", "floor", "spawner", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--traced-runs", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=20)
    options = parser.parse_args()
    results.must_have_kvm()
    if not needs_bytes_of_host():
        print("SKIPPED: memory_size needs a host with 8 GiB", flush=True)
        return 77
    bench = results.Bench("memory_size", options.out)
    results.note_if_busy(bench)
    contenders = [("mayfly --memory " + size, 0, boot(options.mayfly, size)) for size in SIZES]
    contenders += [("floor, " + size, 0, [options.floor, "-", mib]) for size, mib in zip(SIZES, ("64", "8192"))]
    runs = results.spawn(options.spawner, contenders, options.runs, options.warmup, options.out)
    wall = {}
    for name, taken in runs.items():
        wall[name] = bench.add_spread("exec to exit", name, "us", [run["wall_us"] for run in taken],
                                      options.warmup)
        bench.add_spread("CPU time, exec to exit", name, "us", [run["cpu_us"] for run in taken],
                         options.warmup)
        bench.add_spread("minor faults", name, "count", [run["faults"] for run in taken], options.warmup)
    small, large = (wall["mayfly --memory " + size]["median"] for size in SIZES)
    bench.add_limit("exec to exit, 8 GiB / 64 MiB, medians", large / small, 1.1, unit="x")
    floor_small, floor_large = (wall["floor, " + size]["median"] for size in SIZES)
    host_cost = floor_large - floor_small
    bench.add_limit("the same, less what 8 GiB cost floor", (large - host_cost) / small, 1.1, unit="x")
    if syscall_trace.is_available():
        measure_slot_time(bench, options)
    else:
        bench.note("TIME IN KVM_SET_USER_MEMORY_REGION IS NOT MEASURED: strace is not installed")
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
