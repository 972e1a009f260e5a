#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""image_load: is a large kernel loaded without being copied?

Two ELF files are made, of 64 KiB and of 64 MiB, whose one segment begins with code that ends the guest at
once. Mapped over guest RAM, the large one costs no more reads and no more page faults than the small one.
Bytes read are rchar of /proc/PID/io; faults are the monitor's, including guest pages that KVM has brought in.
"""
import argparse
import os
import pathlib
import struct
import sys
import time

from support import results

SIZES = (("64 KiB ELF", 64 << 10), ("64 MiB ELF", 64 << 20))
LOAD_ADDRESS = 2 << 20
PAGE = 4096
# mov $0, %al; out %al, $0xf4; hlt
CODE = bytes([0xB0, 0x00, 0xE6, 0xF4, 0xF4])
# Xen public/elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY.
PHYS32_ENTRY = 18
PT_LOAD, PT_NOTE = 1, 4
READ_BYTES_MAX = 64 << 10
MORE_FAULTS_MAX = 16
QUANTITIES = (("bytes read by the monitor", "bytes"), ("minor faults of the monitor", "count"),
              ("spawn to exit", "us"))


def elf_bytes(total):
    """ELF64, System V gABI chapter 4 "Object Files": one PT_LOAD from the second page on, and a PVH note."""
    note = struct.pack("<III4sQ", 4, 8, PHYS32_ENTRY, b"Xen\0", LOAD_ADDRESS)
    note_at = 64 + 2 * 56
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, LOAD_ADDRESS, 64, 0, 0,
                         64, 56, 2, 0, 0, 0)
    load_bytes = total - PAGE
    load = struct.pack("<IIQQQQQQ", PT_LOAD, 7, PAGE, LOAD_ADDRESS, LOAD_ADDRESS, load_bytes, load_bytes,
                       PAGE)
    notes = struct.pack("<IIQQQQQQ", PT_NOTE, 4, note_at, 0, 0, len(note), len(note), 4)
    head = (header + load + notes + note).ljust(PAGE, b"\0")
    # No byte pattern that a file system could keep as a hole.
    body = CODE + (bytes(range(1, 256)) * (load_bytes // 255 + 1))[: load_bytes - len(CODE)]
    return head + body


def run(argv):
    """Returns (bytes read, minor faults, microseconds) of one boot."""
    null = os.open("/dev/null", os.O_RDWR)
    begin = time.monotonic_ns()
    pid = os.posix_spawn(argv[0], argv, os.environ,
                         file_actions=[(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)])
    os.close(null)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    took_us = (time.monotonic_ns() - begin) / 1000
    counters = dict(line.split(": ") for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines())
    _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with wait status {status}")
    return int(counters["rchar"]), usage.ru_minflt, took_us


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mayfly", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--warmup", type=int, default=3)
    options = parser.parse_args()
    results.must_have_kvm()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, total in SIZES:
        files[name] = out / (name.replace(" ", "_") + ".bin")
        files[name].write_bytes(elf_bytes(total))
    bench = results.Bench("image_load", out)
    taken = {name: [] for name in files}
    for turn in range(options.warmup + options.runs):
        for name, path in files.items():
            measured = run([options.mayfly, "boot", str(path)])
            if turn >= options.warmup:
                taken[name].append(measured)
    rows = {}
    for name, runs in taken.items():
        rows[name] = [bench.add_spread(quantity, name, unit, list(column), options.warmup)
                      for (quantity, unit), column in zip(QUANTITIES, zip(*runs))]
    small, large = (rows[name] for name, _ in SIZES)
    bench.add_limit("bytes read, 64 MiB ELF", large[0]["median"], READ_BYTES_MAX, unit="bytes")
    bench.add_limit("minor faults, 64 MiB ELF less 64 KiB ELF", large[1]["median"] - small[1]["median"],
                    MORE_FAULTS_MAX, unit="faults")
    for path in files.values():
        path.unlink()
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
