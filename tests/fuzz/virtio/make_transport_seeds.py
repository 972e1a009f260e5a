# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_transport. Run by hand when its input changes: make_transport_seeds.py DIRECTORY.

A byte for the transport, then operations: see fuzz_transport.cc.
"""
import os
import struct
import sys

MODERN, TRANSITIONAL, MMIO = range(3)
ZERO, ONE, _, _, _, _, FIFTEEN, _, _, NO_VECTOR, WORD, ALL = range(12)


def access(is_write, where, size_power, value=ZERO, space=0):
    """`space` is the BAR: config page, its first 64 bytes, live page, legacy ports. MMIO takes none."""
    out = struct.pack("<BHB", 0 if is_write else 1, where | size_power << 14, value)
    return out if space is None else out + bytes([space])


def status(step, is_pci=True, by_port=0):
    return bytes([2, step]) + (bytes([by_port]) if is_pci else b"")


ACCEPT = bytes([3, 1, 0])
FINISH = bytes([7, 0])


def queue(choice):
    return bytes([4, choice])


def submit(choice):
    return bytes([6, choice])


def ring(value):
    return bytes([5, value])


def configure(where, value=None, word=0):
    return bytes([8, where]) + (bytes([value]) if value is not None else b"\xe0" + struct.pack("<Q", word))


def start(is_pci=True):
    return status(0, is_pci) + status(1, is_pci) + status(2, is_pci) + ACCEPT + status(3, is_pci) + queue(0xC0) + queue(
        0xC1
    ) + status(4, is_pci)


IO = submit(0x10) + submit(0x21) + submit(0x38) + submit(0x49) + FINISH * 2 + ring(ONE) + ring(NO_VECTOR)
LEGACY = status(0, by_port=1) + status(1, by_port=1) + status(2, by_port=1) + queue(0xCC) + queue(0xCD)
SWEEP = {
    is_write: b"".join(access(is_write, at, size, ALL, 1) for at in range(0, 56, 2) for size in range(4))
    for is_write in (False, True)
}
SEEDS = {
    "modern": bytes([MODERN]) + start() + IO + status(0) + start() + IO,
    "modern-sweep": bytes([MODERN]) + SWEEP[False] + SWEEP[True] + start() + IO,
    "modern-no-features": bytes([MODERN]) + status(2) + status(3) + status(4) + IO,
    "modern-sizes": bytes([MODERN]) + status(2) + ACCEPT + status(3) + queue(0xD0) + bytes([8]) + status(4) + IO,
    "modern-msix": bytes([MODERN])
    + b"".join(configure(where, None, word) for where in range(0x40, 0xA0) for word in (0xC000, 0x8000))
    + start()
    + access(True, 26, 1, ZERO)
    + b"".join(access(True, 0x800 + 4 * n, 2, ONE) for n in range(12))
    + IO,
    "modern-bars": bytes([MODERN]) + start() + configure(0x1A, None, 0xD8000000) + IO + configure(0x06, None, 0) + IO,
    "modern-cfg": bytes([MODERN])
    + b"".join(configure(where, value) for where in range(0x40, 0xC0, 2) for value in (ONE, ZERO, ALL))
    + start()
    + IO,
    "busy-reset": bytes([MODERN]) + start() + submit(0x18) + submit(0x19) + status(0) + start() + submit(0x18),
    "poke": bytes([MODERN]) + start() + b"\x09\x02\x14\x64\x00" + IO + status(0) + start() + IO,
    "transitional": bytes([TRANSITIONAL]) + start() + IO,
    "legacy": bytes([TRANSITIONAL]) + LEGACY + status(6, by_port=1) + IO,
    "legacy-early": bytes([TRANSITIONAL]) + LEGACY + IO + status(6, by_port=1) + IO,
    "legacy-sweep": bytes([TRANSITIONAL])
    + b"".join(access(w, at, size, ALL, 3) for at in range(40) for size in range(3) for w in (False, True))
    + LEGACY
    + IO,
    "legacy-isr": bytes([TRANSITIONAL]) + start() + IO + access(False, 0, 0, ZERO, 2) + IO + access(False, 19, 0, ZERO, 3),
    # Queue 0 busy before DRIVER_OK; queue 1 outside RAM, rung, taken back; DRIVER_OK, and the I/O ends.
    "legacy-busy": bytes([TRANSITIONAL])
    + status(0, by_port=1)
    + status(2, by_port=1)
    + queue(0xCC)
    + submit(0x18)
    + queue(0xEE)
    + bytes([FIFTEEN])
    + ring(ONE)
    + queue(0xEE)
    + bytes([ALL])
    + status(6, by_port=1)
    + FINISH
    + status(0, by_port=1),
    "mmio": bytes([MMIO]) + start(False) + IO + status(0, False) + start(False) + IO,
    "mmio-sweep": bytes([MMIO])
    + b"".join(access(w, at, 2, ALL, None) for at in range(0, 0x140, 4) for w in (False, True))
    + start(False)
    + bytes([8, 0, 0])
    + IO,
}


def main():
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    for name, content in SEEDS.items():
        with open(os.path.join(directory, name), "wb") as out:
            out.write(content)


main()
