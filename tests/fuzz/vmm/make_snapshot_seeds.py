# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_snapshot: real snapshots of built-in guests, whole and by section. Run by hand, with KVM,
when the format changes: make_snapshot_seeds.py MAYFLY CORPUS-DIRECTORY."""
import os
import struct
import subprocess
import sys
import tempfile
import zlib

TAGS = (b"CPUS", b"VMST", b"INTR", b"CHIP", b"VIRT", b"CONS", b"PROG")
SIGNED, AS_IT_IS = len(TAGS), len(TAGS) + 1
MACHINES = {
    "modern": ("--cpus", "2", "--rng"),
    "legacy": ("--profile", "legacy", "--console", "stdio,hvc"),
    "mmio": ("--transport", "mmio", "--rng"),
    "without-irqchip": ("--irqchip", "none",),
}


def sections(state):
    (count,) = struct.unpack_from("<I", state, 24)
    for number in range(count):
        tag, _, _, offset, size = struct.unpack_from("<4sHHQQ", state, 64 + 32 * number)
        yield tag, state[offset : offset + size]


def file_of(parts):
    """A state file of these sections."""
    offset = 64 + 32 * len(parts)
    size = offset + sum(len(content) for _, content in parts)
    head = b"mayflySS" + struct.pack("<HHIQII", 1, 0, 64, size, len(parts), 0) + bytes(32)
    for tag, content in parts:
        head += struct.pack("<4sHHQQQ", tag, 1, 1, offset, len(content), 0)
        offset += len(content)
    file = head + b"".join(content for _, content in parts)
    return file[:32] + struct.pack("<I", zlib.crc32(file)) + file[36:]


def main():
    mayfly, corpus = sys.argv[1:]
    os.makedirs(corpus, exist_ok=True)

    def write(name, choice, content):
        with open(os.path.join(corpus, name), "wb") as file:
            file.write(bytes([choice]) + content)

    for name, options in MACHINES.items():
        with tempfile.TemporaryDirectory() as directory:
            place = os.path.join(directory, "snap")
            command = [mayfly, "boot", "builtin:idle", *options, "--snapshot", place, "--snapshot-at", "mark=1"]
            subprocess.run(command, check=True)
            with open(os.path.join(place, "state"), "rb") as file:
                state = file.read()
        # Without what tells of this host.
        parts = [(tag, content) for tag, content in sections(state) if tag in TAGS]
        write(f"{name}-whole", AS_IT_IS, file_of(parts))
        write(f"{name}-signed", SIGNED, file_of(parts))
        for tag, content in parts:
            write(f"{name}-{tag.decode()}", TAGS.index(tag), content)


if __name__ == "__main__":
    main()
