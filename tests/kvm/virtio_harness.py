# SPDX-License-Identifier: Apache-2.0
"""The common part of the tests of virtio devices: guests that drive them, disks whose every byte is known, and
the counts that mayfly and the guest report."""
import contextlib
import fcntl
import json
import os
import random
import re
import signal
import struct
import subprocess
import time

from harness import boot, check, check_silent, check_status, guest_file, popen, skip, temporary_directory

SECTOR = 512
DISK_BYTES = 16 << 20
SERIAL_PORT = 0x3F8
_WORD_MASK = (1 << 64) - 1

# The combinations of --profile, --transport and the guest's transport=.
PLACES = {
    "modern pci": ("modern", "pci", "pci"),
    "legacy pci": ("legacy", "pci", "pci"),
    "legacy ports": ("legacy", "pci", "legacy"),
    "legacy mmio": ("legacy", "mmio", "mmio"),
}


def words(pairs):
    return " ".join(f"{key}={value}" for key, value in pairs.items())


def boot_at(place, name, append, *options, timeout=40):
    """Boots a guest with virtio drivers on one of PLACES."""
    profile, transport, driver = PLACES[place]
    machine = ("--profile", profile, "--transport", transport, "--timeout", timeout)
    return boot(guest_file(name), *machine, "--append", f"transport={driver} {append}", *options)


def boot_and_count(place, name, append, *options, **more):
    """The outcome, and the content of --stats-json."""
    with temporary_directory() as directory:
        path = os.path.join(directory, "stats.json")
        outcome = boot_at(place, name, append, *options, "--stats-json", path, **more)
        with open(path, encoding="utf-8") as file:
            return outcome, json.load(file)


def check_good(outcome):
    """The guest's checks found no failure, and mayfly printed nothing."""
    check_status(outcome, 0)
    check(b"FAIL" not in outcome.out, "the guest reports a failure", outcome)
    check_silent(outcome)


# --- disks ---


def fill(seed, size, offset=0):
    """The bytes that the guests' fill() writes."""
    count = size // 8
    first = offset
    values = (
        (((seed << 32) & _WORD_MASK ^ (first + n * 8)) * 0x9E3779B97F4A7C15 + seed) & _WORD_MASK
        for n in range(count)
    )
    return struct.pack(f"<{count}Q", *values)


_noise = {}


def noise(size=DISK_BYTES):
    """The same bytes each time, no two sectors alike."""
    if size not in _noise:
        _noise[size] = random.Random(20).randbytes(size)
    return _noise[size]


@contextlib.contextmanager
def disks(count=1, size=DISK_BYTES, is_sparse=False):
    """Paths of disks in a directory that goes away; full of noise, or of nothing."""
    with temporary_directory() as directory:
        paths = [os.path.join(directory, f"disk{n}") for n in range(count)]
        for path in paths:
            with open(path, "wb") as file:
                if is_sparse:
                    file.truncate(size)
                else:
                    file.write(noise(size))
        yield paths


@contextlib.contextmanager
def mounted(kind, options="defaults"):
    """A file system of memory, mounted on a directory that goes away; skips where that is not allowed."""
    with temporary_directory() as directory:
        mount = subprocess.run(
            ["mount", "-t", kind, "-o", options, "mayfly-test", directory], capture_output=True, check=False
        )
        if mount.returncode != 0:
            skip(f"cannot mount {kind}: {mount.stderr.decode().strip()}")
        try:
            yield directory
        finally:
            subprocess.run(["umount", directory], check=True)


def read_disk(path):
    with open(path, "rb") as file:
        return file.read()


def wait_until_free(path, seconds=20):
    """Waits until the disk is free: the kernel ends a killed process's io_uring, and its files, later."""
    end = time.monotonic() + seconds
    with open(path, "rb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                check(time.monotonic() < end, f"{path} is in use {seconds} s after the end of its user")
                time.sleep(0.01)


def check_bytes(what, disk, first_byte, expected):
    found = disk[first_byte : first_byte + len(expected)]
    if found == expected:
        return
    wrong = next((n for n in range(len(found)) if found[n] != expected[n]), len(found))
    check(False, f"{what}: byte {first_byte + wrong} of the disk is not what was written")


# --- figures ---


def rows(stats, space):
    return [row for row in stats["by_address"] if row["space"] == space]


def returns_at(stats, space, address):
    return sum(row["returns"] for row in rows(stats, space) if row["address"] == address)


def returns_but_console(stats):
    """Returns to user space, without those for the characters that a guest prints."""
    return stats["returns_to_user_space"] - returns_at(stats, "port out", SERIAL_PORT)


def queue_counts(stats, device="disk0", queue="requests0"):
    for entry in stats["virtio"]["devices"]:
        for row in entry["queues"]:
            if (entry["name"], row["name"]) == (device, queue):
                return row
    check(False, f"no {device} {queue} in {stats.get('virtio')}")
    return None


# A round's line is 200 bytes. mayfly holds 4 KiB of them, and so does this pipe, so that a guest whose lines
# are not read stands still long before its last round.
PIPE_BYTES = 4096


@contextlib.contextmanager
def busy_guest(path, op, io, rounds, requests):
    """A guest that reads or writes all over the disk, stopped after its first round and before its last."""
    plan = {"dev": "blk", "op": op, "depth": 8, "count": requests, "rounds": rounds}
    arguments = ["boot", guest_file("iobench"), "--disk", path, "--io", io, "--append", words(plan)]
    # Unbuffered: communicate() does not see what readline() has read ahead.
    process = popen([*arguments, "--timeout", 50], bufsize=0, pipesize=PIPE_BYTES)
    try:
        first = process.stdout.readline()
        check(iobench_lines(first)[0]["errors"] == 0, f"the first round: {first}")
        process.send_signal(signal.SIGSTOP)
        yield process
    finally:
        process.kill()
        process.communicate()


def iobench_lines(output):
    """Each "iobench key=value..." line as a dictionary; numbers as such."""
    lines = []
    for line in output.decode(errors="replace").splitlines():
        if not line.startswith("iobench ") or "=" not in line:
            continue
        pairs = dict(word.split("=", 1) for word in line.split()[1:])
        lines.append({key: int(text) if re.fullmatch(r"\d+", text) else text for key, text in pairs.items()})
    return lines


# --- networks ---


def why_no_tap():
    """Empty when a tap device can be made."""
    tun_set_interface, no_packet_information_tap = 0x400454CA, 0x1002
    try:
        with open("/dev/net/tun", "rb+", buffering=0) as tun:
            request = struct.pack("16sH22x", tap_name().encode(), no_packet_information_tap)
            fcntl.ioctl(tun, tun_set_interface, request)
    except OSError as error:
        return f"no tap device can be made: {error.strerror}"
    return ""


def tap_name():
    return f"mftest{os.getpid() % 1000000}"


def net_options():
    """A network where the rights for one exist, else none."""
    return () if why_no_tap() else ("--net", f"tap={tap_name()},mac=52:54:00:12:34:56")
