# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_net. Run by hand when its input changes: make_net_seeds.py DIRECTORY.

A byte of shape, the features that the driver accepts, then operations: see fuzz_net.cc.
"""
import os
import struct
import sys

TWO_PAIRS, BYTE_LIMIT, PACKET_LIMIT, MTU = (1 << n for n in range(4))
VERSION_1, MERGED, EVENT_IDX, INDIRECT = (1 << n for n in range(4))
GIVE, COMMAND, PROCESS, FRAMES, SEND_STATUS, READABLE, WRITABLE, LINK = 0, 3, 4, 7, 8, 9, 10, 11
POKE, CONFIG, CLOCK, PUBLISH = 12, 13, 14, 15
DONE, WAIT, DROPPED, DOWN = range(4)
RESTART = b"\xff"


def device(shape, choice, features=2**64 - 1):
    return struct.pack("<B", shape) + driver(choice, features)


def driver(choice, features=2**64 - 1):
    return struct.pack("<BQ", choice, features)


def operation(code, queue=0):
    return struct.pack("<B", queue << 4 | code)


def give(queue, parts, odd=0):
    out = operation(GIVE, queue) + struct.pack("<B", len(parts) - 1 | odd << 3)
    for where, length in parts:
        out += struct.pack("<BB", where, length)
    return out


def command(queue, command_class, code, data):
    return (operation(COMMAND, queue) + struct.pack("<BBB", len(data), command_class, code) + data
            + process(queue))


def process(queue, budget=7):
    return operation(PROCESS, queue) + struct.pack("<B", budget)


def frames(count, size):
    return operation(FRAMES) + struct.pack("<BH", count, size - 14)


def status(which):
    return operation(SEND_STATUS) + struct.pack("<B", which)


def publish(queue):
    return operation(PUBLISH, queue)


BUFFERS = b"".join(give(0, [(16 * i, 0x98)]) for i in range(8))
SMALL = b"".join(give(0, [(2 * i, 100)]) for i in range(12))
RECEIVE = BUFFERS + frames(3, 100) + process(0) + publish(0) + frames(2, 5000) + process(0) + publish(0)
SEND = b"".join(give(1, [(10, 11), (20 + i, 0x80 + i)]) for i in range(4)) + process(1) + publish(1)
CONTROL = (command(4, 4, 0, b"\x02\x00") + command(4, 4, 0, b"\x00\x00") + command(4, 5, 0, struct.pack("<Q", 0x82))
           + command(4, 1, 1, bytes(6)) + command(4, 0, 0, b"\x01"))
SEEDS = {
    "receive": device(0, VERSION_1) + RECEIVE,
    "receive-merged": device(MTU, VERSION_1 | MERGED | EVENT_IDX) + RECEIVE + RECEIVE,
    "receive-small": device(0, VERSION_1 | MERGED) + SMALL + frames(2, 900) + process(0) + publish(0),
    "receive-cut": device(0, VERSION_1) + SMALL + frames(2, 900) + process(0) + RECEIVE,
    "receive-none": device(0, VERSION_1) + frames(2, 900) + process(0) + operation(READABLE) + process(0),
    "legacy": device(0, 0, 0) + RECEIVE + SEND + operation(CONFIG) + b"\x01\x02\x03\x04\x01",
    "send": device(0, VERSION_1) + SEND + SEND,
    "send-wait": device(0, VERSION_1) + status(WAIT) + SEND + status(DONE) + operation(WRITABLE) + process(1),
    "send-dropped": device(0, VERSION_1) + status(DROPPED) + SEND + status(DOWN) + SEND,
    "send-odd": device(0, VERSION_1) + give(1, [(10, 11), (20, 50)], odd=2) + process(1) + SEND,
    "send-short": device(0, VERSION_1) + give(1, [(10, 5)]) + process(1) + SEND,
    "limits": device(BYTE_LIMIT | PACKET_LIMIT, VERSION_1 | MERGED) + (RECEIVE + SEND
              + operation(CLOCK) + b"\xff\xff") * 3,
    "control": device(TWO_PAIRS, VERSION_1 | MERGED) + CONTROL + RECEIVE + give(3, [(10, 80)]) + process(3),
    "control-third": device(TWO_PAIRS, VERSION_1, 2**64 - 1 - 2**22) + command(2, 1, 1, bytes(6)),
    "control-refused": device(TWO_PAIRS, VERSION_1 | 0x70) + CONTROL + SEND,
    "control-mute": device(0, VERSION_1) + give(2, [(1, 4)], odd=1) + process(2),
    "link": device(0, VERSION_1) + operation(LINK, 1) + RECEIVE + SEND + operation(LINK) + SEND,
    "restart": device(0, VERSION_1 | MERGED) + RECEIVE + BUFFERS + process(0) + RESTART + driver(VERSION_1) + RECEIVE,
    "poke": device(0, VERSION_1) + BUFFERS + operation(POKE) + struct.pack("<HH", 0x402, 99) + frames(1, 60)
            + process(0),
    "indirect": device(0, VERSION_1 | INDIRECT) + operation(GIVE, 1) + b"\xc0\x01\x1f" + process(1),
}


def main():
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    for name, content in SEEDS.items():
        with open(os.path.join(directory, name), "wb") as out:
            out.write(content)


main()
