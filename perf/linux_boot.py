#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""linux_boot: the instructions of a Linux boot in the nested lab, by their owner; QEMU beside it.

    linux_boot.py --build build              # the benchmark: mayfly and QEMU, some minutes
    linux_boot.py --build build --check      # mayfly against baselines/linux.json, as ./check does
    linux_boot.py --build build --update     # writes that file

Debian's cloud kernel, an initramfs of one busybox whose /init prints a word and powers off, 128 MiB, one
vCPU. Until /init: from exec of the monitor to that word on its stdout. Needs no KVM: see tests/lab/README.md,
and support/linux_lab.py for how it counts.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

from support import linux_bench, results

from support.linux_lab import Lab, SplitLab, measure_alone, measure_with_reader, open_lab
import packages

MARGIN = 0.05
# Counts so small that 5 % round to zero.
RETURNS_MARGIN = 5
# A share of the total, for each part: the monitor's part is small, and depends on earlier runs in the lab.
PART_MARGIN = 0.01
SAME_LINE = "console=ttyS0"
QEMU = ("qemu-system-x86_64 -M microvm,pit=off,pic=off,rtc=off,isa-serial=on -accel kvm -cpu host -m 128 "
        "-smp 1 -nodefaults -no-user-config -nographic -serial stdio -no-reboot -initrd /work/initrd").split()
CACHE = {"XDG_CACHE_HOME": "/tmp/kernels"}
# They have the spread of the total.
REPEATED = ("mayfly", "mayfly, quiet", "QEMU")
PHASES = ("monitor", "host", "guest", "total")


def mayfly(kernel, *extra):
    return ["mayfly", "boot", f"/work/{kernel}", "--initrd", "/work/initrd", *extra]


def qemu(kernel, append):
    return [*QEMU, "-kernel", f"/work/{kernel}", "-append", append]


def contenders(version):
    vmlinux, bzimage = f"vmlinux-{version}", f"bzImage-{version}"
    same = ("--no-default-append", "--append")
    return {
        "mayfly": mayfly(vmlinux),
        "mayfly, quiet": mayfly(vmlinux, "--append", "quiet"),
        "mayfly, --quick-linux": mayfly(vmlinux, "--quick-linux"),
        "mayfly, bzImage, first boot": mayfly(bzimage),
        "mayfly, bzImage, later boots": mayfly(bzimage),
        "mayfly, QEMU's command line": mayfly(vmlinux, *same, SAME_LINE),
        "mayfly, QEMU's command line, quiet": mayfly(vmlinux, *same, SAME_LINE + " quiet"),
        "QEMU": qemu(vmlinux, SAME_LINE),
        "QEMU, quiet": qemu(vmlinux, SAME_LINE + " quiet"),
    }


GUARDED = ("mayfly", "mayfly, quiet", "mayfly, --quick-linux", "mayfly, bzImage, first boot", "mayfly, bzImage, later boots")


def environment(lab, name):
    """A first boot finds no kernel that an earlier one has unpacked."""
    if name.endswith("first boot"):
        lab.run(["rm", "-rf", CACHE["XDG_CACHE_HOME"]])
    return CACHE


def surroundings(setting):
    """The inputs of the counts besides mayfly."""
    def said(*command):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    cache = os.path.join(setting.cache, "packages")
    return {
        "QEMU of the lab": re.search(r"version (\d+\.\d+)", said("qemu-system-x86_64", "--version"))[1],
        "kernel of the lab": packages.Kernel("6.1", cache).package,
        "kernel of the guest": packages.Kernel(setting.kernels[0], cache).package,
        "busybox": re.sub(r" \(.*", "", said("busybox").splitlines()[0]),
    }


def say(text):
    print(text, flush=True)


def describe(counts):
    parts = ", ".join(f"{name} {counts[name] / 1e6:,.1f} M" for name in PHASES)
    return f"{parts}, {counts['returns']} returns"


def split_all(setting, names):
    found = {}
    with open_lab(setting, SplitLab, append="possible_cpus=2 nohz_full=1") as lab:
        warm = set()
        for name in names:
            argv = contenders(setting.kernels[0])[name]
            if argv[0] not in warm:
                measure_with_reader(lab, argv, CACHE)
                warm.add(argv[0])
            found[name] = lab.split(argv, environment(lab, name))
            say(f"{name}: to /init: {describe(found[name]['init'])}")
            say(f"{name}: to the end: {describe(found[name]['exit'])}")
    return found


def total_all(setting, names, runs):
    """{name: {"exit": [instructions...], "tail": from the marker to the end}}"""
    found = {}
    with open_lab(setting, Lab) as lab:
        warm = set()
        for name in names:
            argv = contenders(setting.kernels[0])[name]
            if argv[0] not in warm:
                measure_with_reader(lab, argv, CACHE)
                warm.add(argv[0])
            read = measure_with_reader(lab, argv, environment(lab, name))
            count = runs if name in REPEATED else 1
            exits = [measure_alone(lab, argv, environment(lab, name))["exit_ns"] for _ in range(count)]
            found[name] = {"exit": exits, "tail": read["exit_ns"] - read["init_ns"]}
            listed = ", ".join(f"{ns / 1e6:,.2f}" for ns in exits)
            say(f"{name}: {listed} M, {found[name]['tail'] / 1e6:,.2f} M after the marker; "
                f"with a reader {read['exit_ns'] / 1e6:,.2f} M")  # fmt: skip
    return found


# Against the baseline.


def compare(name, phase, was, now, total):
    """A line about growth beyond the margin, or None."""
    slack = max(was * MARGIN, RETURNS_MARGIN if phase.endswith("returns") else total * PART_MARGIN)
    if abs(now - was) <= slack:
        return None
    unit, by = ("", 1) if phase.endswith("returns") else (" M instructions", 1e6)
    change = f"{name}: {phase}: {was / by:,.1f} -> {now / by:,.1f}{unit} ({(now - was) / was * 100:+.1f} %)"
    if now < was:
        say(f"BETTER {change}; --update keeps it")
        return None
    return change


def flat(found):
    labels = {"monitor": "the monitor", "host": "the host's kernel", "guest": "the guest",
              "total": "in all", "returns": "returns"}  # fmt: skip
    times = {"init": "to /init", "exit": "to the end"}
    return {name: {f"{times[time]}, {labels[part]}": counts[time][part] for time in times for part in labels}
            for name, counts in found.items()}  # fmt: skip


def check(setting, baseline):
    stored = json.loads(baseline.read_text())
    now = surroundings(setting)
    then = stored["surroundings"]
    different = [f"{key} is {now[key]}, was {was}" for key, was in then.items() if now[key] != was]
    if different:
        say(f"SKIPPED, NOTHING WAS COMPARED: the baseline is of other surroundings ({'; '.join(different)}): "
            "perf/linux_boot.py --update on a commit known to be good")  # fmt: skip
        return linux_bench.SKIPPED
    counts = flat(split_all(setting, list(stored["counts"])))
    failed = 0
    for name, phases in stored["counts"].items():
        total = phases["to /init, in all"]
        lines = (compare(name, phase, was, counts[name][phase], total) for phase, was in phases.items())
        grown = [line for line in lines if line is not None]
        for line in grown:
            say(f"FAIL {line}, more than {MARGIN * 100:.0f} %")
        if not grown:
            say(f"ok {name}: within {MARGIN * 100:.0f} % of the baseline")
        failed += bool(grown)
    say(f"{len(stored['counts']) - failed} passed, {failed} failed")
    return 1 if failed else 0


def update(setting, baseline):
    counts = flat(split_all(setting, GUARDED))
    stored = {"surroundings": surroundings(setting), "counts": counts}
    baseline.write_text(json.dumps(stored, indent=1) + "\n")
    return 0


# The benchmark.


def add_rows(bench, name, totals, split):
    exits = [ns / 1e6 for ns in totals["exit"]]
    bench.add_spread("exec to power-off", name, "M instructions", exits, 1)
    middle = sorted(totals["exit"])[len(exits) // 2]
    ends = {"init": middle - totals["tail"], "exit": middle}
    found = {}
    for time, label in (("init", "/init"), ("exit", "power-off")):
        monitor, guest = split[time]["monitor"], split[time]["guest"]
        found[time] = {"monitor": monitor, "host": ends[time] - monitor - guest, "guest": guest,
                       "total": ends[time], "returns": split[time]["returns"]}  # fmt: skip
        if time == "init":
            bench.add_value(f"exec to {label}", name, "M instructions", ends[time] / 1e6)
        for part in ("monitor", "host kernel", "guest"):
            count = found[time][part.split()[0]] / 1e6
            bench.add_value(f"exec to {label}, the {part}'s", name, "M instructions", count)
        bench.add_value(f"returns to user space until {label}", name, "count", split[time]["returns"])
    bench.add_breakdown("returns to user space until /init", name,
                        sorted(split["causes"].items(), key=lambda pair: -pair[1]))  # fmt: skip
    bench.add_value("minor page faults", name, "count", split["faults"])
    return found["init"]


def add_limits(bench, found):
    def ratio(quantity, one, other, bound, value=lambda counts: counts["total"]):
        if one in found and other in found:
            bench.add_limit(f"{one} / {other}, {quantity}", value(found[one]) / value(found[other]), bound)

    ratio("exec to /init", "mayfly", "QEMU", 0.75)
    ratio("exec to /init", "mayfly, QEMU's command line", "QEMU", 0.85)
    ratio("exec to /init", "mayfly, QEMU's command line, quiet", "QEMU, quiet", 0.85)
    ratio("exec to /init", "mayfly, bzImage, first boot", "mayfly", 1.15)
    ratio("exec to /init", "mayfly, bzImage, later boots", "mayfly", 1.15)
    ratio("monitor and host kernel, exec to /init", "mayfly", "QEMU", 0.3,
          lambda counts: counts["monitor"] + counts["host"])  # fmt: skip
    ratio("returns to user space until /init", "mayfly", "QEMU", 0.1, lambda counts: counts["returns"])
    if "mayfly, quiet" in found:
        bench.add_limit("returns to user space until /init, mayfly, quiet, hvc0",
                        found["mayfly, quiet"]["returns"], 300, unit="returns")  # fmt: skip


def benchmark(setting, options):
    bench = results.Bench("linux_boot", options.out)
    names = [name for name in contenders(setting.kernels[0]) if not options.only or name in options.only]
    with concurrent.futures.ThreadPoolExecutor() as labs:
        splitting = labs.submit(split_all, setting, names)
        totalling = labs.submit(total_all, setting, names, options.runs)
        split, totals = splitting.result(), totalling.result()
    found = {name: add_rows(bench, name, totals[name], split[name]) for name in names}
    add_limits(bench, found)
    bench.data["host"] |= {"lab": surroundings(setting)}
    bench.finish()
    return 0


def main():
    parser = linux_bench.arguments(__doc__, "linux_boot")
    parser.add_argument("--mayfly", help="another one than the build's")
    parser.add_argument("--baseline", type=pathlib.Path, default=linux_bench.PERF / "baselines" / "linux.json")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--kernel", default="6.12", choices=("6.1", "6.12"))
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    setting = linux_bench.setting_of(options, mayfly=options.mayfly, kernels=[options.kernel],
                                     with_qemu=not (options.check or options.update))  # fmt: skip

    def run():
        if options.check:
            return check(setting, options.baseline)
        return update(setting, options.baseline) if options.update else benchmark(setting, options)

    return linux_bench.status_of(run)


if __name__ == "__main__":
    sys.exit(main())
