#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""boot_time: how long a guest takes to start and to finish, beside a bare program and beside QEMU.

Every contender boots the same instructions (hello: one boot mark, one line on the serial port, exit port).
Three passes, each interleaved run by run: to the first exit, which is hello's second instruction; from exec
to exit; and the same for QEMU, whose runs are too long to share a pass.
"""
import argparse
import bisect
import contextlib
import shutil
import sys

from support import first_exits
from support import results

QUANTITY_FIRST = "exec to first guest instruction"
QUANTITY_EXIT = "exec to exit"
QUANTITY_CPU = "CPU time, exec to exit"
# No earlier boot has asked KVM.
COLD = "mayfly, KVM's answers not kept"


def qemu_arguments(qemu, kernel):
    return [qemu, "-M", "microvm,pit=off,pic=off,rtc=off,isa-serial=on", "-accel", "kvm",
            "-cpu", "host,arch-capabilities=off", "-m", "128M", "-smp", "1", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-serial", "stdio",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel", kernel]


def spawn_to_first_exit(bench, options, contenders):
    """{name: runs}, each with "first_us": from exec to the first exit, by the host kernel's tracepoint;
    without it, by the contender's own stamp, which costs mayfly a twentieth."""
    has_trace = first_exits.is_available()
    if not has_trace:
        bench.note("THE FIRST INSTRUCTION IS BY A STAMP OF MAYFLY'S OWN, which takes time: tracefs is not writable")
        contenders = [(name, status, argv + (["@STAMP@"] if "floor" in name else ["--timeline-json", "@STAMP@"]))
                      for name, status, argv in contenders]
    with first_exits.FirstExits() if has_trace else contextlib.nullcontext() as trace:
        runs = results.spawn(options.spawner, contenders, options.runs, options.warmup, options.out)
        exits = trace.taken() if has_trace else None
    for run in (run for taken in runs.values() for run in taken):
        stamp = run["stamp"]
        at_ns = (exits[bisect.bisect(exits, run["exec_ns"])] if has_trace else
                 stamp["exec_monotonic_ns"] + stamp["phases"]["first_exit"])
        run["first_us"] = (at_ns - run["exec_ns"]) / 1000
    return runs


def mayfly_variants(mayfly):
    boot = [mayfly, "boot", "builtin:hello"]
    return [("mayfly", boot), (COLD, ["MAYFLY_RUNTIME_DIR=off"] + boot),
            ("mayfly, legacy profile", boot + ["--profile", "legacy"]), ("mayfly, 4 vCPUs", boot + ["--cpus", "4"])]


def floors(options):
    """The reference comes first."""
    return [("floor", 0, [options.floor]), ("floor, glibc", 0, [options.floor_glibc])]


def add_least_disturbed(bench, quantity, rows, which):
    """Not a limit, but the figure that a busy host disturbs least: it adds the same waits to both."""
    for name in ("mayfly", COLD):
        bench.add_value(f"{name} / floor, {quantity}, {which}", name, "x",
                        rows[name][which] / rows["floor"][which], rows[name]["n"])


def add_limits(bench, quantity, rows, limits):
    for name, limit in limits.items():
        bench.add_limit(f"{name} / floor, {quantity}, medians",
                        rows[name]["median"] / rows["floor"]["median"], limit, unit="x")


def measure_first_instruction(bench, options):
    contenders = floors(options) + [(name, 0, argv) for name, argv in mayfly_variants(options.mayfly)]
    runs = spawn_to_first_exit(bench, options, contenders)
    rows = {name: bench.add_spread(QUANTITY_FIRST, name, "us", [run["first_us"] for run in taken], options.warmup)
            for name, taken in runs.items()}
    add_limits(bench, QUANTITY_FIRST, rows, {"mayfly": 1.05, COLD: 1.25})
    add_least_disturbed(bench, QUANTITY_FIRST, rows, "min")


def measure_exit(bench, options):
    contenders = floors(options)
    contenders += [(name, 0, argv) for name, argv in mayfly_variants(options.mayfly)]
    runs = results.spawn(options.spawner, contenders, options.runs, options.warmup, options.out)
    rows, cpu = {}, {}
    for name, taken in runs.items():
        rows[name] = bench.add_spread(QUANTITY_EXIT, name, "us", [run["wall_us"] for run in taken],
                                      options.warmup)
    for name in ("floor", "mayfly", COLD):
        cpu[name] = bench.add_spread(QUANTITY_CPU, name, "us", [run["cpu_us"] for run in runs[name]],
                                     options.warmup)
    add_limits(bench, QUANTITY_EXIT, rows, {"mayfly": 1.10})
    add_least_disturbed(bench, QUANTITY_EXIT, rows, "min")
    add_least_disturbed(bench, QUANTITY_CPU, cpu, "median")


def measure_qemu(bench, options):
    qemu = shutil.which(options.qemu)
    if qemu is None:
        bench.note(f"QEMU IS NOT COMPARED: {options.qemu} is not installed (Debian package qemu-system-x86)")
        return
    # Status (0 << 1) | 1: isa-debug-exit turns hello's 0 into it.
    contenders = [("QEMU microvm", 1, qemu_arguments(qemu, options.hello_pvh)),
                  ("mayfly, same ELF file", 0, [options.mayfly, "boot", options.hello_pvh])]
    runs = results.spawn(options.spawner, contenders, options.qemu_runs, min(options.warmup, 3), options.out)
    rows = {name: bench.add_spread(QUANTITY_EXIT, name, "us", [run["wall_us"] for run in taken],
                                   min(options.warmup, 3)) for name, taken in runs.items()}
    bench.add_limit("QEMU microvm / mayfly, exec to exit, medians",
                    rows["QEMU microvm"]["median"] / rows["mayfly, same ELF file"]["median"], 12,
                    is_at_least=True, unit="x")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("mayfly", "floor", "floor-glibc", "spawner", "hello-pvh", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--qemu", default="qemu-system-x86_64")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--qemu-runs", type=int, default=40)
    parser.add_argument("--warmup", type=int, default=20)
    options = parser.parse_args()
    results.must_have_kvm()
    bench = results.Bench("boot_time", options.out)
    results.note_if_busy(bench)
    measure_first_instruction(bench, options)
    measure_exit(bench, options)
    measure_qemu(bench, options)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
