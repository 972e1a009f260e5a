# SPDX-License-Identifier: Apache-2.0
"""Builds the smallest kernels there are: a few bytes of 32-bit code behind a Multiboot header with address
fields (Multiboot Specification 0.6.96 section 3.1 "OS image format"), and ELF files by hand."""
import struct

MAGIC = 0x1BADB002
BASE = 0x100000


def multiboot(code, base=BASE, flags=0x10000, load_end=None, bss_end=0, entry=None):
    header_bytes = 32
    entry = base + header_bytes if entry is None else entry
    load_end = base + header_bytes + len(code) if load_end is None else load_end
    return (
        struct.pack("<8I", MAGIC, flags, -(MAGIC + flags) & 0xFFFFFFFF, base, base, load_end, bss_end, entry)
        + code
    )


def out32(port, value):
    """mov eax, value; mov dx, port; out dx, eax"""
    return b"\xb8" + struct.pack("<I", value) + b"\x66\xba" + struct.pack("<H", port) + b"\xef"


def out8(port, value):
    """mov al, value; mov dx, port; out dx, al"""
    return bytes([0xB0, value]) + b"\x66\xba" + struct.pack("<H", port) + b"\xee"


HALT = b"\xfa\xf4\xeb\xfd"  # cli; hlt; jmp to the hlt


def elf64(entry, segments):
    """`segments`: (physical address, bytes, size in memory). No note: only the Linux protocol fits."""
    headers, offset = b"", 64 + 56 * len(segments)
    body = b""
    for address, data, memory_bytes in segments:
        headers += struct.pack(
            "<IIQQQQQQ", 1, 7, offset + len(body), address, address, len(data), memory_bytes, 1
        )
        body += data
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return (
        ident
        + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
        + headers
        + body
    )


def linux64(code, address=0x1000000):
    """An ELF64 that says by a note that it is Linux, and by its constants that it has a virtio console."""
    note = struct.pack("<3I", 6, 4, 0x100) + b"Linux\0\0\0" + bytes(4)
    constants = b"\0virtio_console\0virtio-mmio\0"
    names = b"\0.rodata\0.shstrtab\0"
    note_at = 64 + 2 * 56
    code_at = note_at + len(note)
    constants_at = code_at + len(code)
    names_at = constants_at + len(constants)
    sections_at = names_at + len(names)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, address + code_at, 64, sections_at, 0, 64, 56, 2, 64, 3, 2)
    segments = struct.pack("<IIQQQQQQ", 1, 7, 0, address, address, names_at, names_at, 4096)
    segments += struct.pack("<IIQQQQQQ", 4, 4, note_at, 0, 0, len(note), len(note), 4)
    sections = bytes(64)
    sections += struct.pack("<IIQQQQIIQQ", 1, 1, 2, 0, constants_at, len(constants), 0, 0, 1, 0)
    sections += struct.pack("<IIQQQQIIQQ", 9, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    return ident + header + segments + note + code + constants + names + sections


def linux64_that_hangs(text):
    """Prints `text` on the early console, then never exits."""
    # mov edi, its transmitter; mov byte [rdi], c ...; jmp to itself
    code = b"\xbf" + (0xC0011000).to_bytes(4, "little") + b"".join(b"\xc6\x07" + bytes([c]) for c in text)
    return linux64(code + b"\xeb\xfe")
