#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Costs of a request in exits and system calls: a disk and a network, driven by the built-in guest iobench.

Usage: exits_per_io.py MAYFLY. Counts of the monitor (--stats-json), divided by the requests that the guest made.
disk_io.py and net_io.py measure speed. Makes a file and a tap of its own; the tap needs CAP_NET_ADMIN, or
a user namespace, which is tried."""
import json
import os
import subprocess
import sys
import tempfile

DISK_MIB = 64
COUNT = 20000

# The name, the place of the work, the guest's words.
DISK_RUNS = [
    ("disk, 1 read of 4 KiB, inline", "inline", "op=read pattern=random size=4096 depth=1"),
    ("disk, 1 read of 4 KiB", "auto", "op=read pattern=random size=4096 depth=1"),
    ("disk, 8 reads in flight", "auto", "op=read pattern=random size=4096 depth=8"),
    ("disk, 32 reads in flight", "auto", "op=read pattern=random size=4096 depth=32"),
    ("disk, 8 reads, with interrupts", "auto", "op=read pattern=random size=4096 depth=8 irq=1"),
    ("disk, 32 writes in flight", "auto", "op=write pattern=random size=4096 depth=32"),
]
NET_RUNS = [
    ("network, 1460-byte frames sent", "auto", "op=send size=1460 depth=64"),
    ("network, 64 KiB frames sent", "auto", "op=send size=65536 depth=64"),
]
COLUMNS = ["requests", "returns", "doorbells", "enters", "interrupts"]
# Two lines for each of COLUMNS but the first; a table of 80 columns.
TITLES = [("returns to", "user space"), ("doorbells", "caught"), ("io_uring_", "enter"), ("interrupts", "sent")]
NAME_WIDTH, WIDTH = 32, 12


def measure(mayfly, wrapper, device, io, append, directory):
    stats = os.path.join(directory, "stats.json")
    command = [*wrapper, mayfly, "boot", "builtin:iobench", *device, "--io", io, "--append", append,
               "--stats-json", stats, "--timeout", "60"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()[-300:]}")
    with open(stats, encoding="utf-8") as file:
        return json.load(file)


def counts(stats):
    queues = [queue for device in stats["virtio"]["devices"] for queue in device["queues"]]
    return {
        "requests": sum(queue["requests"] for queue in queues),
        "returns": sum(entry["returns"] for entry in stats["by_address"] if entry["space"].startswith("mmio")),
        "doorbells": sum(queue["doorbells_caught"] for queue in queues),
        "enters": stats["virtio"].get("io_thread", {}).get("io_uring_enter", 0),
        "interrupts": sum(queue["interrupts_sent"] for queue in queues),
    }


def difference(mayfly, wrapper, device, io, guest, directory):
    """From two runs of different length: the cost of a request, without that of start and end."""
    long = counts(measure(mayfly, wrapper, device, io, f"{guest} count={COUNT}", directory))
    short = counts(measure(mayfly, wrapper, device, io, f"{guest} count={COUNT // 2}", directory))
    return {column: long[column] - short[column] for column in COLUMNS}


def print_row(name, row):
    per_request = [max(0, row[column]) / row["requests"] for column in COLUMNS[1:]]
    print(f"{name:<{NAME_WIDTH}}" + "".join(f"{value:>{WIDTH}.4f}" for value in per_request))


def net_wrapper():
    """How to run with the right to make a tap, or None."""
    if os.geteuid() == 0:
        return []
    wrapper = ["unshare", "--map-root-user", "--net"]
    tried = subprocess.run([*wrapper, "test", "-w", "/dev/net/tun"], capture_output=True, check=False)
    return wrapper if tried.returncode == 0 else None


def main():
    mayfly = sys.argv[1]
    for label, titles in zip(("per request,", f"of {COUNT // 2} each"), zip(*TITLES)):
        print(f"{label:<{NAME_WIDTH}}" + "".join(f"{title:>{WIDTH}}" for title in titles))
    with tempfile.TemporaryDirectory(prefix="mayfly-") as directory:
        disk = os.path.join(directory, "disk.img")
        with open(disk, "wb") as file:
            for _ in range(DISK_MIB):
                file.write(bytes(1 << 20))
        for name, io, guest in DISK_RUNS:
            print_row(name, difference(mayfly, [], ["--disk", disk], io, "dev=blk " + guest, directory))
        wrapper = net_wrapper()
        if wrapper is None:
            print("network: left out, as /dev/net/tun may not be used here; root may, or --net passt=SOCKET")
            return
        for name, io, guest in NET_RUNS:
            print_row(name, difference(mayfly, wrapper, ["--net", "tap="], io, "dev=net " + guest, directory))


if __name__ == "__main__":
    main()
