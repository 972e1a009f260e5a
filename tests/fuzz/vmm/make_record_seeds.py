# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_file_records. Run by hand when an input changes: make_record_seeds.py DIRECTORY."""
import os
import struct
import sys

DIRECTORY, FILE, DATA, FILE_END, LINK, LEFT_OUT, PROBLEM, END = range(1, 9)


def record(kind, path=b"", data=b"", value=0, copy=0, nanoseconds=0):
    return struct.pack("<IIIIIIQq", kind, copy, len(path), len(data), 0o644, nanoseconds, value, 0) + path + data


TOP = record(DIRECTORY)
TREE = TOP + record(FILE, b"a") + record(DATA, data=b"hello") + record(DATA, data=b"end", value=4096)
TREE += record(FILE_END, value=8192) + record(DIRECTORY, b"b") + record(LINK, b"b/c", b"../a")
TREE += record(LEFT_OUT, b"b/s") + record(PROBLEM, b"b/x", value=5)
SEEDS = {
    "tree": TREE + record(END),
    "file": record(FILE) + record(DATA, data=b"x" * 300) + record(PROBLEM, value=5) + record(END),
    "two": TREE + record(FILE, copy=1) + record(FILE_END, copy=1) + record(END),
    **{f"path-{number}": TOP + record(FILE, path) for number, path in
       enumerate((b"../x", b"/etc/passwd", b"a//b", b"a/", b".", b"a\0b"))},
    "backwards": TOP + record(FILE, b"a") + record(DATA, data=b"abc") + record(DATA, data=b"d", value=1),
    "far": TOP + record(FILE, b"a") + record(DATA, data=b"abc", value=(1 << 63) - 3),
    "twice": TREE + record(END) + record(END),
    "nanoseconds": record(DIRECTORY, nanoseconds=10**9),
    "head": TOP[:17],
}
for name, text in SEEDS.items():
    with open(os.path.join(sys.argv[1], name), "wb") as file:
        file.write(bytes([int(name == "two"), 12]) + text)
