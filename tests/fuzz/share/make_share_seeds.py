# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_share. Run by hand when its input changes: make_share_seeds.py DIRECTORY."""
import os
import struct
import sys

# Linux include/uapi/linux/fuse.h.
(LOOKUP, FORGET, GETATTR, SETATTR, READLINK, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME, LINK, OPEN, READ,
 WRITE, STATFS, RELEASE, FSYNC, SETXATTR, GETXATTR, LISTXATTR, REMOVEXATTR) = (
    1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24)  # fmt: skip
(OPENDIR, READDIR, RELEASEDIR, CREATE, BATCH_FORGET, FALLOCATE, READDIRPLUS, RENAME2, LSEEK, COPY, SYNCFS,
 TMPFILE, STATX) = 27, 28, 29, 35, 42, 43, 44, 45, 46, 47, 50, 51, 52  # fmt: skip
ROOT = 0


def request(opcode, node=ROOT, body=b"", handle=0, piece=255, room=64):
    return struct.pack("<BBBBBH", opcode, node, handle, piece, room, len(body)) + body


def name(text):
    return text.encode() + b"\0"


READ_IN = struct.pack("<QQIIQII", 0, 0, 2000, 0, 0, 0, 0)
WRITE_IN = struct.pack("<QQIIQII", 0, 100, 5, 0, 0, 0, 0)
CREATE_IN = struct.pack("<IIII", os.O_RDWR | os.O_CREAT, 0o100644, 0o22, 0)
RELEASE_IN = struct.pack("<QIIQ", 0, 0, 0, 0)
FILE = request(LOOKUP, body=name("file"))
SEEDS = {
    "read": FILE + request(OPEN, 1, struct.pack("<II", 0, 0)) + request(READ, 1, READ_IN) + request(RELEASE, 1, RELEASE_IN),
    "write": FILE + request(OPEN, 1, struct.pack("<II", 2, 0)) + request(WRITE, 1, WRITE_IN + b"hello", piece=6)
    + request(FSYNC, 1, struct.pack("<QII", 0, 0, 0)),
    "list": request(OPENDIR, body=bytes(8)) + request(READDIRPLUS, body=READ_IN) + request(READDIR, body=READ_IN)
    + request(RELEASEDIR, body=RELEASE_IN),
    "create": request(CREATE, body=CREATE_IN + name("new")) + request(WRITE, 1, WRITE_IN + b"hello")
    + request(UNLINK, body=name("new")) + request(GETATTR, 1, bytes(16)) + request(FORGET, 1, struct.pack("<Q", 1)),
    "tmpfile": request(TMPFILE, body=CREATE_IN + b"\0") + request(LINK, body=struct.pack("<Q", 2) + name("named")),
    "names": request(MKDIR, body=struct.pack("<II", 0o755, 0) + name("made"))
    + request(RENAME, body=struct.pack("<Q", 2) + name("file") + name("moved"))
    + request(RENAME2, body=struct.pack("<QII", 1, 2, 0) + name("made") + name("dir"))
    + request(RMDIR, body=name("made")),
    "nodes": request(MKNOD, body=struct.pack("<IIII", 0o10644, 0, 0, 0) + name("pipe"))
    + request(SYMLINK, body=name("way") + name("/etc")) + request(READLINK, 1) + request(OPEN, 1, bytes(8)),
    "outside": request(LOOKUP, body=name("way")) + request(LOOKUP, 1, name("secret")) + request(LOOKUP, body=name(".."))
    + request(LOOKUP, body=name("../secret")) + request(LOOKUP, body=name("link")) + request(OPEN, 2, bytes(8))
    + request(READ, 2, READ_IN),
    "attributes": FILE + request(SETATTR, 1, struct.pack("<IIQQ", 0x2F, 0, 0, 10) + bytes(64))
    + request(SETXATTR, 1, struct.pack("<IIII", 3, 0, 0, 0) + name("user.x") + b"abc")
    + request(GETXATTR, 1, struct.pack("<II", 100, 0) + name("user.x")) + request(LISTXATTR, 1, struct.pack("<II", 0, 0))
    + request(REMOVEXATTR, 1, name("user.x")) + request(STATX, 1, bytes(24)) + request(STATFS) + request(SYNCFS, body=bytes(8)),
    "holes": FILE + request(OPEN, 1, struct.pack("<II", 2, 0)) + request(FALLOCATE, 1, struct.pack("<QQQII", 0, 0, 9000, 0, 0))
    + request(LSEEK, 1, struct.pack("<QQII", 0, 0, 4, 0))
    + request(COPY, 1, struct.pack("<QQQQQQQ", 0, 0, 2, 0, 6000, 100, 0)),
    "forget": FILE + request(BATCH_FORGET, body=struct.pack("<II", 2, 0) + struct.pack("<QQQQ", 2, 5, 1, 5)) + request(GETATTR, 1),
    "little-room": request(GETATTR, body=bytes(16), room=0) + request(GETATTR, body=bytes(16), room=1) + request(READ, body=READ_IN, room=0),
    "unknown": request(255, 255, bytes(100)) + request(31) + request(0),
}
for title, text in SEEDS.items():
    with open(os.path.join(sys.argv[1], title), "wb") as file:
        file.write(text)
