# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_kernel_file and fuzz_storage. Run by hand when an input changes:
make_file_seeds.py CORPUS-DIRECTORY."""
import gzip
import os
import struct
import sys

TEXT = b"\x7fELF and so on " * 20
PACKED, AS_IT_IS = 0, 1
IMAGE, SECTORS = b"\0", b"\1"
MAGICS, LIES = 11, 7


def file(where, damage, at, content):
    return bytes([where, damage, at]) + content


def image(magic, place=0, claim=0, size=600):
    return IMAGE + bytes([magic, place, claim]) + bytes(size)


def sectors(count, *operations):
    return SECTORS + struct.pack("<H", count) + b"".join(struct.pack("<BHH", *o) for o in operations)


SEEDS = {
    "fuzz_kernel_file": {
        "whole": file(PACKED, 0, 0, TEXT),
        **{f"damaged-{how}": file(PACKED, how, 11, TEXT) for how in range(1, 8)},
        "plain": file(AS_IT_IS, 0, 0, TEXT),
        "gzip": file(AS_IT_IS, 0, 0, gzip.compress(TEXT, mtime=0)),
        "lie": file(AS_IT_IS, 0, 0, gzip.compress(TEXT, mtime=0)[:-4] + b"\xff\xff\xff\xff"),
        "head": file(AS_IT_IS, 0, 0, gzip.compress(TEXT, mtime=0)[:17]),
    },
    "fuzz_storage": {
        **{f"first-{magic}": image(magic) for magic in range(MAGICS + 1)},
        "last": image(6, 1),
        "last-old": image(6, 3),
        "short": image(8, size=70),
        **{f"lie-{claim}": image(3, claim=claim) for claim in range(1, LIES)},
        "sectors": sectors(700, (0, 5, 70), (1, 10, 3), (2, 0, 700), (0, 63, 2), (1, 0, 700), (3, 699, 1)),
        "words": sectors(128, (0, 0, 64), (2, 0, 128), (1, 63, 1), (0, 64, 64), (3, 60, 20)),
    },
}

for target, seeds in SEEDS.items():
    directory = os.path.join(sys.argv[1], target)
    os.makedirs(directory, exist_ok=True)
    for name, content in seeds.items():
        with open(os.path.join(directory, name), "wb") as out:
            out.write(content)
