#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""net_io: packets per second of virtio-net on a tap, beside QEMU without vhost, and the cost of each.

The tap is in a network namespace of this program's own, which goes with it; its other end is a packet socket
(packet_peer). iobench sends, or receives, frames of 64 and 1460 bytes, and of 64 KiB that a device would have
to segment. It polls; --irq has it wait for interrupts instead. The contenders take turns boot by boot.
"""
import argparse
import contextlib
import subprocess
import sys

from support import io_runs
from support import results
from support import tap_namespace

TAP = "mayfly-perf"
# The largest is what TCP hands down at most: headers, and 45 segments of 1448 bytes.
SIZES = ((64, "64 bytes"), (1460, "1460 bytes"), (65214, "64 KiB"))
RATIO_MIN = 1.2
PEER_SECONDS_MAX = 30


def start_peer(argv):
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    if process.stdout.readline() != "ready\n":
        process.kill()
        raise RuntimeError(f"{' '.join(argv)} did not begin")
    return process


def end_peer(process):
    process.terminate()
    try:
        said, _ = process.communicate(timeout=PEER_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    if process.returncode != 0:
        raise RuntimeError(f"packet_peer ended with {process.returncode}")
    return said


@contextlib.contextmanager
def sink(options):
    """Yields a dictionary that afterwards holds the counts of frames from the tap."""
    process, seen = start_peer([options.peer, "sink", TAP]), {}
    try:
        yield seen
    except BaseException:
        process.kill()
        process.wait()
        raise
    packets, total, lost = map(int, end_peer(process).split())
    seen.update(packets=packets + lost, lost=lost, bytes=total)


class Source:
    """A source for each run of a receiving guest."""

    def __init__(self, options, size):
        self._argv = [options.peer, "source", TAP, str(size)]

    def __call__(self):
        process = start_peer(self._argv)
        return lambda: end_peer(process)


def guest_words(options, op, size):
    return f"dev=net op={op} size={size} depth=128 irq={int(options.irq)}"


def label_of(op, size_name):
    return f"{op}, {size_name}"


def add_rows(bench, options, contenders, op, size, size_name, taken):
    label = label_of(op, size_name)
    rows = {}
    for name, figures in taken.items():
        rows[name] = bench.add_spread(label, name, "packets/s", [io_runs.per_second(one) for one in figures], 256)
        bench.add_value(f"{label}, rate", name, "Gbit/s", rows[name]["median"] * size * 8 / 1e9, options.rounds)
    io_runs.add_ratio_to_other(bench, options, label, contenders, rows)
    if "QEMU" in rows:
        bench.add_limit(f"{label}, mayfly / QEMU, medians",
                        rows[contenders[0].name]["median"] / rows["QEMU"]["median"], RATIO_MIN,
                        is_at_least=True, unit="x")


def measure_send(bench, options, contenders):
    for size, size_name in SIZES:
        if size not in options.size:
            continue
        with sink(options) as seen:
            taken = io_runs.measure(contenders, guest_words(options, "send", size), options)
        sent = sum(one["requests"] for figures in taken.values() for one in figures)
        if seen["packets"] < sent:
            raise RuntimeError(f"{sent} frames of {size} bytes were sent, {seen['packets']} came out of the tap")
        if seen["lost"]:
            bench.note(f"send, {size_name}: the sink was too slow for {seen['lost']} frames of {seen['packets']}")
        add_rows(bench, options, contenders, "send", size, size_name, taken)


def measure_receive(bench, options, contenders):
    for size, size_name in SIZES:
        if size in options.size:
            taken = io_runs.measure(contenders, guest_words(options, "receive", size), options,
                                    peer=Source(options, size))
            add_rows(bench, options, contenders, "receive", size, size_name, taken)


def count_costs(bench, options, contenders, directory):
    counters = io_runs.Counters(bench, directory)
    for op in options.op:
        for size, size_name in SIZES:
            if size not in options.size:
                continue
            for contender in contenders:
                append = guest_words(options, op, size)
                if op == "send":
                    with sink(options):
                        costs = counters.per_request(contender, append, options.counted)
                else:
                    costs = counters.per_request(contender, append, options.counted, Source(options, size))
                io_runs.add_costs(bench, "packet", label_of(op, size_name), contender.name, costs)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("mayfly", "guest", "guest-pvh", "peer", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--name", default="net_io", help="of the result file")
    parser.add_argument("--qemu", default="qemu-system-x86_64")
    parser.add_argument("--vs-binary", help="another mayfly, which takes its turns with the rest")
    parser.add_argument("--io", nargs="+", choices=("auto", "inline", "thread"), default=["auto"],
                        help="mayfly's --io; the first is compared with QEMU")
    parser.add_argument("--irq", action="store_true", help="the guest waits for interrupts")
    parser.add_argument("--op", nargs="+", choices=("send", "receive"), default=["send", "receive"])
    parser.add_argument("--size", nargs="+", type=int, default=[size for size, _ in SIZES])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.25, help="how long a round lasts, about")
    parser.add_argument("--counted", type=int, default=10000, help="packets in the short counted run")
    return parser.parse_args()


def main():
    options = parse_options()
    results.must_have_kvm()
    tap_namespace.enter("net_io")
    io_runs.end_on_sigterm()
    tap_namespace.make_tap("net_io", TAP)
    bench = results.Bench(options.name, options.out)
    results.note_if_busy(bench)
    contenders = io_runs.mayflies(options, ["--net", "tap=" + TAP])
    qemu = io_runs.find_qemu(bench, options.qemu)
    if qemu is not None:
        devices = ["-netdev", f"tap,id=net0,ifname={TAP},script=no,downscript=no,vhost=off",
                   "-device", "virtio-net-pci,netdev=net0,romfile="]
        contenders.append(io_runs.qemu("QEMU", qemu, options.guest_pvh, devices))
    if "send" in options.op:
        measure_send(bench, options, contenders)
    if "receive" in options.op:
        measure_receive(bench, options, contenders)
    with io_runs.temporary_directory(options.out) as directory:
        count_costs(bench, options, contenders, directory)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
