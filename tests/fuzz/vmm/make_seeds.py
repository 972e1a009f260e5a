# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_dispatch_exit. Run by hand when its input changes: make_seeds.py DIRECTORY.

A record is struct kvm_run's exit_reason, its union, and the port data page's beginning (Linux
Documentation/virt/kvm/api.rst section 5 "The kvm_run structure").
"""
import os
import struct
import sys

IO, HLT, MMIO, SHUTDOWN, INTERNAL_ERROR, SYSTEM_EVENT = 2, 5, 6, 8, 17, 24


def record(reason, union=b"", data=b""):
    return struct.pack("<I", reason) + union.ljust(32, b"\0") + data.ljust(16, b"\0")


def port(direction, number, size=1, count=1, data=b"", offset=4096):
    return record(IO, struct.pack("<BBHIQ", direction, size, number, count, offset), data)


def write(number, value, size=1):
    return port(1, number, size, data=value.to_bytes(size, "little"))


def read(number, size=1):
    return port(0, number, size)


def mmio(address, size, is_write, data=b""):
    return record(MMIO, struct.pack("<Q8sIB", address, data, size, is_write))


PIC = [
    write(p, v)
    for p, v in (
        (0x20, 0x11),
        (0x21, 0x20),
        (0x21, 4),
        (0x21, 1),
        (0xA0, 0x11),
        (0xA1, 0x28),
        (0xA1, 2),
        (0xA1, 1),
        (0x21, 0),
        (0xA1, 0),
        (0x20, 0x0A),
        (0x20, 0x20),
    )
]
UART = [
    write(0x3F8 + r, v)
    for r, v in ((1, 0x0F), (2, 0xC7), (3, 0x83), (0, 1), (1, 0), (3, 3), (4, 0x1B), (0, 65))
]
SEEDS = {
    "pic": PIC + [read(0x20), read(0x21), read(0x4D0), read(0xA0, 2)],
    "uart": UART + [read(0x3F8 + r) for r in range(8)] + [port(1, 0x3F8, 1, 16, b"sixteen bytes ok")],
    "cmos": [part for r in range(0, 64, 3) for part in (write(0x70, r), read(0x71))]
    + [write(0x70, 0xABCD, 2)],
    "ends": [
        write(0xF4, 7),
        write(0xF4, 0xDEADBEEF, 4),
        write(0xCF9, 6),
        write(0x64, 0xFE),
        write(0x505, 1),
        write(0x604, 0x3400, 2),
        write(0x610, 0x34),
        write(0x80, 1),
        write(0xE9, 65),
    ],
    "absent": [
        read(p, s) for p in (0x40, 0x42, 0x61, 0x92, 0x2F8, 0x3DA, 0x3D5, 0xCF8, 0xCFC) for s in (1, 2, 4)
    ],
    "test_device": [write(0x2000 + 4 * n, 0xFEE00000 + n, 4) for n in range(18)]
    + [read(0x2000 + 4 * n, 4) for n in range(18)]
    + [write(0xE0, 0x55AA, 2), read(0xE0, 4)],
    "mmio": [
        mmio(a, s, w, b"\x7b" * 8)
        for a in (0xC0000000, 0xC0000FFD, 0xE0000000, (1 << 64) - 3)
        for s in (1, 2, 3, 4, 7, 8)
        for w in (0, 1)
    ],
    "lies": [
        port(1, 0x3F8, 3),
        port(0, 0x3F8, 0),
        port(0, 0x3F8, 4, 0xFFFFFFFF),
        port(1, 0x3F8, 1, 1, offset=1 << 63),
        port(0, 0x3F8, 2, 1, offset=3 * 4096 - 1),
        port(1, 0xFFFF, 4, 4),
        mmio(0, 0, 0),
        mmio(0, 9, 1),
        mmio(0, 0xFFFFFFFF, 1),
    ],
    "other": [record(r) for r in (HLT, SHUTDOWN, *range(44), 63, 64, 0x7FFFFFFF, 0xFFFFFFFF)]
    + [record(SYSTEM_EVENT, struct.pack("<I", n)) for n in range(6)]
    + [record(INTERNAL_ERROR, struct.pack("<I", n)) for n in range(6)],
}

for name, records in SEEDS.items():
    with open(os.path.join(sys.argv[1], name), "wb") as file:
        file.write(b"".join(records))
