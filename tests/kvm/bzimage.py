# SPDX-License-Identifier: Apache-2.0
"""Builds bzImages around an ELF, by the Linux boot protocol (Documentation/arch/x86/boot.rst, "The Real-Mode
Kernel Header"): one setup sector, then a protected-mode part that is nothing but the payload."""
import bz2
import gzip
import lzma
import shutil
import struct
import subprocess

SECTOR = 512
SETUP_SECTORS = 4
VERSION = 0x020F


def by_program(command):
    def pack(data):
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    return pack if shutil.which(command[0]) else None


def pack_xz(data, check=lzma.CHECK_CRC32):
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=check, filters=filters)


def pack_xz_crc64(data):
    """With xz(1)'s default checksum, which liblzma computes in the way that a constructor has chosen."""
    return pack_xz(data, lzma.CHECK_CRC64)


def pack_lzma(data):
    return lzma.compress(data, format=lzma.FORMAT_ALONE)


# None: the program that packs it is not installed.
PACKERS = {
    "gzip": gzip.compress,
    "xz": pack_xz,
    "xz-crc64": pack_xz_crc64,
    "lzma": pack_lzma,
    "lz4": by_program(["lz4", "-l", "-9", "-c"]),
    "zstd": by_program(["zstd", "-19", "-c", "-q"]),
    "bzip2": bz2.compress,
    "lzo": lambda data: b"\x89LZO\x00\x0d\x0a\x1a\x0a" + data,
}


def payload(packing, data, claimed_bytes=None):
    """The packed data and its size, as the kernel's build appends it; gzip's own trailer is that size."""
    packed = PACKERS[packing](data)
    size = struct.pack("<I", len(data) if claimed_bytes is None else claimed_bytes)
    if packing == "gzip":
        return packed[:-4] + size
    return packed + size


def image(payload_bytes, kernel_prefix=b"", version=VERSION, xloadflags=1, init_size=0x100000):
    """A bzImage whose protected-mode part is `kernel_prefix` and then the payload."""
    kernel = kernel_prefix + payload_bytes
    kernel += bytes(-len(kernel) % 16)
    setup = bytearray(SECTOR * (SETUP_SECTORS + 1))

    def put(offset, form, value):
        struct.pack_into(form, setup, offset, value)

    put(0x1F1, "<B", SETUP_SECTORS)
    put(0x1F4, "<I", len(kernel) // 16)
    put(0x1FE, "<H", 0xAA55)
    put(0x200, "<H", 0x6AEB)  # a jump over the header, to 0x26c
    put(0x202, "4s", b"HdrS")
    put(0x206, "<H", version)
    put(0x211, "<B", 1)  # LOADED_HIGH
    put(0x214, "<I", 0x100000)
    put(0x22C, "<I", 0x7FFFFFFF)
    put(0x230, "<I", 0x200000)
    put(0x234, "<B", 1)
    put(0x236, "<H", xloadflags)
    put(0x238, "<I", 2047)
    put(0x248, "<I", len(kernel_prefix) if payload_bytes else 0)
    put(0x24C, "<I", len(payload_bytes))
    put(0x258, "<Q", 0x100000)
    put(0x260, "<I", max(init_size, len(kernel)))
    return bytes(setup) + kernel
