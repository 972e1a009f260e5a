# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_block. Run by hand when its input changes: make_block_seeds.py DIRECTORY.

A disk's bits, the features that the driver accepts, then operations: see fuzz_block.cc.
"""
import os
import struct
import sys

READ_ONLY, DISCARD, ZEROES, REQUEST_LIMIT, BYTE_LIMIT, DEFERRED = (1 << n for n in range(6))
IN, OUT, _, _, FLUSH, FLUSH_OUT, GET_ID, T_DISCARD, T_ZEROES, BARRIER = range(10)
WRITES, RANGE = 4, 0xC0


def disk(bits, is_modern=True, features=0xFFFF):
    return struct.pack("<BBH", bits, is_modern, features)


def descriptor(where):
    return struct.pack("<H", where)


def submit(kind, sector, shape=0, pieces=(), segment=b""):
    """`pieces`: (where, sectors) of up to 3 data descriptors, or (where, -bytes) of up to 24 bytes."""
    out = struct.pack("<BB", 8, shape | len(pieces)) + descriptor(0x100) + struct.pack("<BB", kind, sector)
    for where, sectors in pieces:
        out += struct.pack("<B", sectors - 1 if sectors > 0 else 231 - sectors) + descriptor(where)
    return out + segment + descriptor(0x200) + process()


def table(kind, sector, pieces, choice=0):
    return b"\x02" + descriptor(0x100) + struct.pack("<BBBB", kind, sector, pieces, choice) + process()


def segment(sector, count, flags):
    return descriptor(0x300) + struct.pack("<BBB", sector, count, flags)


def process(budget=8):
    return struct.pack("<B", budget)


def finish(which=0):
    return struct.pack("<BB", 4, which)


RESTART = b"\xff"
IO = (
    submit(IN, 3, pieces=[(0x400, 1), (0x800, 2)])
    + submit(OUT, 4, WRITES, [(0x400, 2)])
    + submit(FLUSH, 0)
    + submit(GET_ID, 0, pieces=[(0x400, -20)])
    + submit(GET_ID, 0, pieces=[(0x400, 1)])
)
RANGES = submit(T_DISCARD, 0, RANGE, segment=segment(2, 4, 0)) + submit(
    T_ZEROES, 0, RANGE, segment=segment(3, 5, 1)
)
SEEDS = {
    "io": disk(0) + IO,
    "read-only": disk(READ_ONLY) + IO,
    "legacy": disk(0, is_modern=False, features=0) + submit(BARRIER, 0) + submit(FLUSH_OUT, 0) + IO,
    "ranges": disk(DISCARD | ZEROES) + RANGES,
    "ranges-through": disk(DISCARD | ZEROES | DEFERRED, features=0xFDFF) + RANGES + finish() * 4,
    "deferred": disk(DEFERRED) + IO + finish(2) + finish(33) + finish() + finish(),
    "limits": disk(REQUEST_LIMIT | BYTE_LIMIT) + IO * 2 + b"\x07\xff" + b"\x03\x08" + IO,
    "restart-busy": disk(DEFERRED) + IO + RESTART + disk(0)[1:] + IO,
    "no-status": disk(0) + b"\x08\x78\x10" + descriptor(0x100) + bytes((FLUSH, 0)) + descriptor(0x200) + process(),
    "unknown": disk(0) + b"\x08\x00" + descriptor(0x100) + b"\xf0" + struct.pack("<IB", 99, 0) + descriptor(0x200)
    + process(),
    "writeback-off": disk(0) + b"\x05\x20\x00" + IO,
    "outside": disk(0) + submit(IN, 33, pieces=[(0x400, 4)]) + submit(OUT, 31, WRITES, [(0xFF20, 2)]),
    "odd": disk(DISCARD | ZEROES)
    + submit(IN, 0, pieces=[(0x400, -7)])
    + submit(T_DISCARD, 0, WRITES, [(0x400, 1)])
    + submit(T_DISCARD, 0, RANGE, segment=segment(2, 4, 1))
    + submit(T_ZEROES, 0, RANGE, segment=segment(2, 4, 0xF2))
    + submit(T_ZEROES, 0, RANGE, segment=segment(33, 1, 0))
    + submit(T_ZEROES, 0, RANGE, segment=segment(1, 0, 0)),
    "not-accepted": disk(DISCARD | ZEROES, features=0) + RANGES,
    "tables": disk(DEFERRED)
    + table(IN, 0, 124)
    + table(OUT, 0, 124, 4)
    + table(IN, 0, 128)
    + table(IN, 20, 8, 2)
    + finish() * 3,
    "poke": disk(DEFERRED) + IO + b"\x06" + struct.pack("<HI", 0x1100, 0x40) + process() + finish() * 3,
}


def main():
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    for name, content in SEEDS.items():
        with open(os.path.join(directory, name), "wb") as out:
            out.write(content)


main()
