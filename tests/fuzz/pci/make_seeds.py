# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_config_space. Run by hand when its input changes: make_seeds.py DIRECTORY.

A record is kind, place, size as a power of two, an unused byte, offset and value: see fuzz_config_space.cc.
"""
import os
import struct
import sys

WRITE_CONFIG, READ_CONFIG, PORTS, WRITE_BAR, READ_BAR, WRITE_IO, READ_IO, DEVICE, RESET = range(9)
CONFIG_BAR, TABLE, MEMORY_BAR, PENDING, PAGES, WINDOW, BY_VALUE, BY_OFFSET = (4 * n for n in range(8))
INTX, STATUS, RAISE, RAISE_ANY, CLEAR = (4 * n for n in range(5))
ONES = 0xFFFFFFFF


def record(what, where=0, size=2, offset=0, value=0):
    return struct.pack("<BBBBIQ", what, where, size, 0, offset, value)


def config(function, offset, value, size=2):
    return record(WRITE_CONFIG, function, size, offset, value)


def entry(function, vector, address, data, mask):
    return [
        record(WRITE_BAR, TABLE + function, 2, 16 * vector + at, value)
        for at, value in ((0, address), (4, 0), (8, data), (12, mask))
    ]


def port(offset, value, at=4, size=2):
    return record(PORTS, at, size, offset, value)


SIZING = [
    part
    for bar in (0x10, 0x14, 0x18, 0x1C, 0x30)
    for part in (config(0, bar, ONES), record(READ_CONFIG, 0, 2, bar), config(0, bar, 0xE0100000))
]
SEEDS = {
    "sizing": [config(0, 4, 0, 1)] + SIZING + [config(0, 4, 7, 1)],
    "sizing_while_decoding": SIZING,
    "moves": [
        part
        for address in (0xE0101000, 0, 0xFFFFF000, 0xE0000000, 0xE01FF000, 0xD0000000)
        for part in (config(1, 0x10, address), record(WRITE_BAR, CONFIG_BAR + 1, 2, 0, 3), config(0, 0x10, address))
    ],
    "decode": [config(f, 4, v, 1) for f in range(3) for v in (0, 2, 1, 0x407, 7)],
    "third_comes_up": [config(2, 0x10, 0xE0107000), config(2, 4, 6, 1), record(WRITE_BAR, CONFIG_BAR + 2, 2, 0, 9)],
    "msix": [config(0, 0x42, 0xC000, 1)]
    + entry(0, 1, 0xFEE00000, 0x31, 1)
    + entry(0, 1, 0xFEE00000, 0x41, 0)
    + [record(DEVICE, RAISE, 2, 0, 1), record(READ_BAR, PENDING, 3), config(0, 0x42, 0x8000, 1)]
    + [record(DEVICE, RAISE, 2, 0, 2)]
    + entry(0, 2, 0xFEE00000, 0x51, 0)
    + [config(0, 0x42, 0, 1)],
    "msix_nonsense": [config(0, 0x40, ONES)]
    + [record(WRITE_BAR, TABLE, size, at, (1 << 64) - 1) for at in range(0, 72, 3) for size in range(4)]
    + [record(DEVICE, RAISE_ANY, 2, 0, v) for v in (0, 3, 4, 0xFFFF)],
    "intx": [record(DEVICE, INTX, 2, 1), config(0, 4, 0x407, 1), config(0, 4, 7, 1), record(DEVICE, INTX, 2, 0)],
    "status": [record(DEVICE, STATUS, 2, 0, 0xFFFF), config(0, 6, 0x8100, 1), config(0, 4, ONES)],
    "ports": [port(0x80000800 + at, ONES) for at in range(0, 0x60, 4)]
    + [port(0x80000810, 0xD2, at=7, size=0), port(0x80010800, 1), port(0x800, 1), port(0, 0, at=1, size=0)],
    "accesses": [record(what, where, size, 0x1FFE, 0x11223344)
                 for what in (WRITE_BAR, READ_BAR, READ_IO, WRITE_IO) for where in range(0, 32, 4) for size in range(4)],
    "io": [record(what, 0, size, at) for what in (READ_IO, WRITE_IO) for at in (0xC000, 0xC01E, 0xFFFF) for size in (0, 1, 2)],
    "reset": [config(0, 0x10, 0xD4000000), record(DEVICE, INTX, 2, 1), record(DEVICE, RAISE, 2, 0, 1), record(RESET)],
}

for name, records in SEEDS.items():
    with open(os.path.join(sys.argv[1], name), "wb") as file:
        file.write(b"".join(records))
