#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""disk_io: requests per second of virtio-blk on a file in the page cache, beside QEMU, and the cost of each.

iobench drives one queue from ring 3: reads and writes, random and sequential, 4 KiB and 128 KiB, at depths 1,
8 and 32. It polls for completions; --irq has it wait for interrupts instead. The contenders take turns boot by
boot. Costs (returns to user space, system calls, interrupts ...) are counted in runs of their own.
"""
import argparse
import os
import statistics
import sys

from support import io_runs
from support import results

SIZES = ((4096, "4 KiB"), (131072, "128 KiB"))
DEPTHS = (1, 8, 32)
RATIO_MIN = {1: 1.5, 8: 1.2, 32: 1.2}
COUNTED = ((4096, 1), (4096, 8), (4096, 32), (131072, 32))
ENTER_MAX = 0.3


def qemu_devices(path):
    return ["-object", "iothread,id=io0",
            "-blockdev", "driver=raw,node-name=disk0,file.driver=file,"
            f"file.filename={path.replace(',', ',,')},file.aio=io_uring,cache.direct=off",
            "-device", "virtio-blk-pci,drive=disk0,iothread=io0"]


def make_disk(path, size_mib):
    """Random bytes, so that no file system keeps them as a hole; written back, and left in the page cache."""
    with open(path, "wb") as file:
        for _ in range(size_mib):
            file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())


def settle(path):
    """Writes the previous run's data to the disk, and everything into the page cache again."""
    with open(path, "rb", buffering=0) as file:
        os.fsync(file.fileno())
        while file.read(1 << 20):
            pass


def label_of(op, pattern, size_name, depth):
    return f"{pattern} {op}, {size_name}, depth {depth}"


def configurations(options):
    for op in options.op:
        for pattern in options.pattern:
            for size, size_name in SIZES:
                for depth in DEPTHS:
                    if depth in options.depth and size in options.size:
                        yield op, pattern, size, size_name, depth


def guest_words(options, op, pattern, size, depth):
    return f"dev=blk op={op} pattern={pattern} size={size} depth={depth} warmup=1000 irq={int(options.irq)}"


def measure(bench, options, contenders, disk):
    ratios = {}
    for op, pattern, size, size_name, depth in configurations(options):
        append = guest_words(options, op, pattern, size, depth)
        taken = io_runs.measure(contenders, append, options, before_each=lambda: settle(disk))
        label = label_of(op, pattern, size_name, depth)
        rows = {name: bench.add_spread(label, name, "requests/s", [io_runs.per_second(one) for one in figures],
                                       1000) for name, figures in taken.items()}
        io_runs.add_ratio_to_other(bench, options, label, contenders, rows)
        if "QEMU" in rows:
            ratio = rows[contenders[0].name]["median"] / rows["QEMU"]["median"]
            bench.add_value(f"{label}, mayfly / QEMU", contenders[0].name, "x", ratio, options.rounds)
            ratios.setdefault(depth, []).append((ratio, label))
    for depth, measured in sorted(ratios.items()):
        worst, label = min(measured)
        bench.add_limit(f"mayfly / QEMU at depth {depth}, the worst of {len(measured)} ({label})", worst,
                        RATIO_MIN[depth], is_at_least=True, unit="x")
        bench.add_value(f"mayfly / QEMU at depth {depth}, geometric mean", contenders[0].name, "x",
                        statistics.geometric_mean(ratio for ratio, _ in measured), len(measured))


def count_costs(bench, options, contenders, directory):
    counters = io_runs.Counters(bench, directory)
    for op, pattern, size, size_name, depth in configurations(options):
        if (size, depth) not in COUNTED or pattern != "random":
            continue
        append = guest_words(options, op, pattern, size, depth)
        label = label_of(op, pattern, size_name, depth)
        for contender in contenders:
            costs = counters.per_request(contender, append, options.counted)
            io_runs.add_costs(bench, "request", label, contender.name, costs)
            if contender is contenders[0]:
                add_limits(bench, options, label, depth, costs)


def add_limits(bench, options, label, depth, costs):
    is_promoted = depth >= 8 and options.io[0] != "inline"
    bench.add_limit(f"returns to user space per request, {label}", round(costs["returns to user space"], 3),
                    0.0 if is_promoted else 1.0)
    if depth == 32:
        name = "io_uring_enter, by its own count"
        bench.add_limit(f"io_uring_enter per request, {label}", round(costs[name], 3), ENTER_MAX)
    if "to io-wq workers" in costs and "read" in label:
        bench.add_limit(f"handed to io-wq workers per request, {label}", costs["to io-wq workers"], 0.0)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("mayfly", "guest", "guest-pvh", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--name", default="disk_io", help="of the result file")
    parser.add_argument("--qemu", default="qemu-system-x86_64")
    parser.add_argument("--vs-binary", help="another mayfly, which takes its turns with the rest")
    parser.add_argument("--io", nargs="+", choices=("auto", "inline", "thread"), default=["auto"],
                        help="mayfly's --io; the first is compared with QEMU")
    parser.add_argument("--irq", action="store_true", help="the guest waits for interrupts")
    parser.add_argument("--op", nargs="+", choices=("read", "write"), default=["read", "write"])
    parser.add_argument("--pattern", nargs="+", choices=("random", "seq"), default=["random", "seq"])
    parser.add_argument("--size", nargs="+", type=int, default=[size for size, _ in SIZES])
    parser.add_argument("--depth", nargs="+", type=int, default=list(DEPTHS))
    parser.add_argument("--disk-mib", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.25, help="how long a round lasts, about")
    parser.add_argument("--counted", type=int, default=8000,
                        help="requests in the short counted run; enough for a promotion")
    return parser.parse_args()


def main():
    options = parse_options()
    results.must_have_kvm()
    io_runs.end_on_sigterm()
    bench = results.Bench(options.name, options.out)
    results.note_if_busy(bench)
    with io_runs.temporary_directory(options.out) as directory:
        disk = os.path.join(directory, "disk")
        make_disk(disk, options.disk_mib)
        contenders = io_runs.mayflies(options, ["--disk", disk.replace(",", ",,")])
        qemu = io_runs.find_qemu(bench, options.qemu)
        if qemu is not None:
            contenders.append(io_runs.qemu("QEMU", qemu, options.guest_pvh, qemu_devices(disk)))
        measure(bench, options, contenders, disk)
        count_costs(bench, options, contenders, directory)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
