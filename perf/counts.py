#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""counts: what a boot of hello consists of, in numbers that no busy host can change.

System calls up to the first KVM_RUN and in all (KVM's ioctls by name), returns to user space by reason, and
KVM's own counters. Compared with perf/baselines/counts.json; --write-baseline replaces that file.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

from support import results
from support import syscall_trace

VARIANTS = (("mayfly", []), ("mayfly, legacy profile", ["--profile", "legacy"]),
            ("mayfly, 4 vCPUs", ["--cpus", "4"]))
# How often these are called depends on where a thread happens to be, in a wait or at its end.
UNSTEADY = {"futex", "restart_syscall", "tgkill", "rt_sigreturn", "clock_nanosleep", "sched_yield", "madvise",
            "rt_sigprocmask", "exit"}
UNTIL_RUN = "system calls before the first KVM_RUN"
IN_ALL = "system calls"
# With several vCPUs the threads race for who calls first.
WITHOUT_BASELINE = "mayfly, 4 vCPUs"


def count_calls(argv):
    calls = [call.name for call in syscall_trace.calls_of(argv)[1:] if call.name not in UNSTEADY]
    return {UNTIL_RUN: calls.index("KVM_RUN"), IN_ALL: len(calls)}, collections.Counter(calls)


def exits_of(argv):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "stats.json"
        subprocess.run(argv + ["--stats-json", str(path)], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=60, check=True)
        return json.loads(path.read_text())


def add_exits(bench, name, argv):
    stats = exits_of(argv)
    bench.add_value("returns to user space", name, "count", stats["returns_to_user_space"])
    bench.add_breakdown("returns to user space", name, stats["by_reason"])
    for counter in ("exits", "insn_emulation", "io_exits", "mmio_exits", "signal_exits"):
        if stats["kvm"]["vcpus"]:
            total = sum(vcpu.get(counter, 0) for vcpu in stats["kvm"]["vcpus"])
            bench.add_value("KVM counter " + counter, name, "count", total)
    return stats["returns_to_user_space"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("mayfly", "floor", "out", "baseline"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--write-baseline", action="store_true")
    options = parser.parse_args()
    results.must_have_kvm()
    bench = results.Bench("counts", options.out)
    contenders = [("floor", [options.floor])]
    contenders += [(name, [options.mayfly, "boot", "builtin:hello"] + extra) for name, extra in VARIANTS]
    totals = {name: {} for name, _ in contenders}
    if syscall_trace.is_available():
        for name, argv in contenders:
            totals[name], calls = count_calls(argv)
            for quantity, count in totals[name].items():
                bench.add_value(quantity, name, "count", count)
            bench.add_breakdown(IN_ALL, name, calls.most_common())
    else:
        bench.note("SYSTEM CALLS ARE NOT COUNTED: strace is not installed")
    for name, argv in contenders[1:]:
        totals[name]["returns to user space"] = add_exits(bench, name, argv)
    if options.write_baseline:
        steady = {name: counts for name, counts in totals.items() if name != WITHOUT_BASELINE}
        pathlib.Path(options.baseline).write_text(json.dumps(steady, indent=1) + "\n")
    for name, bounds in json.loads(pathlib.Path(options.baseline).read_text()).items():
        for quantity, bound in bounds.items():
            if quantity in totals[name]:
                bench.add_limit(f"{quantity}, {name}, against the baseline", totals[name][quantity], bound,
                                unit="calls")
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
