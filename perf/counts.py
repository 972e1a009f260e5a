#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""counts: the parts of a boot of hello, in numbers that no busy host can change.

System calls up to the first KVM_RUN and in all (KVM's ioctls by name), instructions and CPUIDs before main()
and up to that KVM_RUN, page faults, returns to user space by reason, and KVM's own counters. Compared with
perf/baselines/counts.json; --write-baseline replaces that file.
"""
import argparse
import collections
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from support import results
from support import syscall_trace

ASKED = "mayfly, KVM's answers not kept"
VARIANTS = (("mayfly", []), (ASKED, []), ("mayfly, legacy profile", ["--profile", "legacy"]),
            ("mayfly, 4 vCPUs", ["--cpus", "4"]))
# The number of these calls depends on whether a thread is in a wait or at its end.
UNSTEADY = {"futex", "restart_syscall", "tgkill", "rt_sigreturn", "clock_nanosleep", "sched_yield", "madvise",
            "rt_sigprocmask", "exit"}
UNTIL_RUN = "system calls before the first KVM_RUN"
IN_ALL = "system calls"
FAULTS = "page faults"
# A page more or less depends on the places of the stack and the vDSO.
FAULTS_MARGIN = 2
# With several vCPUs the threads race to call first.
WITHOUT_BASELINE = "mayfly, 4 vCPUs"


def say_who_is_asked(name, argv, kept):
    """The answers come from KVM, or from an earlier boot's file, which need not be compared again within a
    second."""
    os.environ["MAYFLY_RUNTIME_DIR"] = "off" if name == ASKED else kept
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60, check=True)


def count_steps(stepper, argv):
    """{until: (instructions, CPUIDs)}"""
    names = subprocess.run(["nm", argv[0]], capture_output=True, text=True, timeout=60, check=True).stdout
    main_address = next(line.split()[0] for line in names.splitlines() if line.endswith(" T main"))
    done = subprocess.run([stepper, main_address] + argv, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120, check=True)
    steps = {}
    for line in done.stdout.splitlines():
        until, instructions, cpuids = line.split()
        steps[until] = int(instructions), int(cpuids)
    return steps


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
    for name in ("mayfly", "floor", "spawner", "stepper", "out", "baseline"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--write-baseline", action="store_true")
    options = parser.parse_args()
    results.must_have_kvm()
    bench = results.Bench("counts", options.out)
    contenders = [("floor", [options.floor])]
    contenders += [(name, [options.mayfly, "boot", "builtin:hello"] + extra) for name, extra in VARIANTS]
    totals = {name: {} for name, _ in contenders}
    kept = tempfile.TemporaryDirectory()
    for name, argv in contenders:
        say_who_is_asked(name, argv, kept.name)
        for until, (instructions, cpuids) in count_steps(options.stepper, argv).items():
            before = {"main": "before main()", "run": "before the first KVM_RUN"}[until]
            totals[name][f"CPUID instructions {before}"] = cpuids
            bench.add_value(f"CPUID instructions {before}", name, "count", cpuids)
            bench.add_value(f"instructions {before}", name, "count", instructions)
        runs = results.spawn(options.spawner, [(name, 0, argv)], 20, 2, options.out)[name]
        totals[name][FAULTS] = int(statistics.median(run["faults"] for run in runs))
        bench.add_value(FAULTS, name, "count", totals[name][FAULTS])
    if syscall_trace.is_available():
        for name, argv in contenders:
            say_who_is_asked(name, argv, kept.name)
            counted, calls = count_calls(argv)
            totals[name] |= counted
            for quantity, count in counted.items():
                bench.add_value(quantity, name, "count", count)
            bench.add_breakdown(IN_ALL, name, calls.most_common())
    else:
        bench.note("SYSTEM CALLS ARE NOT COUNTED: strace is not installed")
    for name, argv in contenders[1:]:
        say_who_is_asked(name, argv, kept.name)
        totals[name]["returns to user space"] = add_exits(bench, name, argv)
    if options.write_baseline:
        steady = {name: counts for name, counts in totals.items() if name != WITHOUT_BASELINE}
        pathlib.Path(options.baseline).write_text(json.dumps(steady, indent=1) + "\n")
    for name, bounds in json.loads(pathlib.Path(options.baseline).read_text()).items():
        for quantity, bound in bounds.items():
            if quantity in totals[name]:
                margin = FAULTS_MARGIN if quantity == FAULTS else 0
                bench.add_limit(f"{quantity}, {name}, against the baseline", totals[name][quantity],
                                bound + margin)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
