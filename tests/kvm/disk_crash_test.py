# SPDX-License-Identifier: Apache-2.0
"""mayfly is killed while its guest writes: every batch that was reported to the guest as flushed is on the
disk."""
import contextlib
import ctypes
import os
import random
import re
import signal
import struct
import time

from harness import HANG_SECONDS, Failure, case, check, guest_file, main, popen, skip
from virtio_harness import boot_at, check_good, disks, fill, wait_until_free, words

BLOCK = 4096
BATCH_BLOCKS = 8
BATCH = BLOCK * BATCH_BLOCKS
DISK_BYTES = 64 << 20
KILLS = 6
BATCHES_MAX = 40
SLEEP_MAX_SECONDS = 0.004
# Some 700 batches' lines fill this pipe and mayfly's buffer: then the guest waits, so that even a late kill
# finds it before its end, the 2048th.
PIPE_BYTES = 4096

_blocks = {}


def block_bytes(seed):
    if seed not in _blocks:
        _blocks[seed] = fill(seed, BLOCK)
    return _blocks[seed]


def kill_after(lot, path, io, options, driver):
    """Kills mayfly somewhere behind a randomly chosen batch. Returns its output until then."""
    append = "device=blk mode=journal " + words(driver)
    arguments = ["boot", guest_file("virtio"), "--io", io, "--disk", path + options, "--append", append]
    # Unbuffered: communicate() does not see what readline() has read ahead.
    process = popen([*arguments, "--timeout", HANG_SECONDS], bufsize=0, pipesize=PIPE_BYTES)
    told = b""
    try:
        for _ in range(lot.randint(1, BATCHES_MAX)):
            line = process.stdout.readline()
            check(line.startswith(b"flushed "), f"{line!r} {process.poll()}")
            told += line
        # Anywhere in the next batches, whichever step they are at.
        time.sleep(lot.random() * SLEEP_MAX_SECONDS)
    finally:
        process.send_signal(signal.SIGKILL)
        rest, err = process.communicate()
    check(process.returncode == -signal.SIGKILL, f"ended before: {process.returncode} {rest} {err}")
    return told + rest


def flushed_batches(told):
    # An unfinished last line does not count.
    batches = [int(text) for text in re.findall(rb"^flushed (\d+)\n", told, re.M)]
    check(batches == list(range(len(batches))) and batches, f"told {told!r}")
    return batches


def check_batches(path, batches):
    with open(path, "rb") as file:
        for batch in batches:
            for n in range(BATCH_BLOCKS):
                found = file.read(BLOCK)
                check(found == block_bytes(batch * BATCH_BLOCKS + n + 1), f"batch {batch}, block {n} is lost")


def kill_and_look(io, options="", **driver):
    seed = f"{io} {options} {sorted(driver.items())}"
    lot = random.Random(seed)
    most = 0
    for kill in range(KILLS):
        with disks(size=DISK_BYTES, is_sparse=True) as (path,):
            try:
                batches = flushed_batches(kill_after(lot, path, io, options, driver))
                check_batches(path, batches)
            except Failure as failure:
                raise Failure(f"kill {kill} of '{seed}': {failure}") from None
            most = max(most, len(batches))
    check(most > BATCHES_MAX // 3, f"never killed later than behind batch {most}")


@case
def inline():
    kill_and_look("inline")


@case
def on_the_io_thread():
    kill_and_look("thread")


@case
def promoted_during_requests():
    kill_and_look("auto", ring="packed")


@case
def past_the_page_cache():
    kill_and_look("thread", ",direct")


def pages_not_on_the_disk(path, size):
    """Dirty pages of the file's first `size` bytes. cachestat(2), Linux 6.5; negative without that call."""
    cachestat = 451
    span = struct.pack("QQ", 0, size)
    found = ctypes.create_string_buffer(5 * 8)
    with open(path, "rb") as file:
        if ctypes.CDLL(None, use_errno=True).syscall(cachestat, file.fileno(), span, found, 0) != 0:
            return -ctypes.get_errno()
    _, dirty, writeback, _, _ = struct.unpack("5Q", found.raw)
    return dirty + writeback


@case
def flushed_writes_are_not_only_in_the_page_cache():
    """Killing mayfly cannot show this: the host's page cache survives mayfly's end, but not the host's."""
    batches = 64
    with disks(is_sparse=True) as (path,):
        with open(path, "r+b") as file:
            file.write(bytes(BATCH))
            file.flush()
            if pages_not_on_the_disk(path, BATCH) <= 0:
                skip("this kernel or file system does not say which pages are to be written")
            os.fsync(file.fileno())
            if pages_not_on_the_disk(path, BATCH) != 0:
                skip("this file system has nowhere to write to")
        for io in ("inline", "thread"):
            append = f"device=blk mode=journal count={batches}"
            options = ("--disk", path, "--io", io)
            outcome = boot_at("modern pci", "virtio", append, *options)
            check_good(outcome)
            left = pages_not_on_the_disk(path, batches * BATCH)
            check(left == 0, f"{io}: {left} pages were flushed and are not on the disk", outcome)


@case
def a_killed_mayflys_disk_is_taken_up_by_the_next():
    """A second mayfly reads the first one's data and goes on; the lock does not outlive the first."""
    lot = random.Random(1)
    with disks(size=DISK_BYTES, is_sparse=True) as (path,):
        for io in ("thread", "inline", "thread"):
            batches = flushed_batches(kill_after(lot, path, io, "", {}))
            check_batches(path, batches)
            wait_until_free(path)
        left = [name for name in os.listdir(os.path.dirname(path)) if name != os.path.basename(path)]
        check(left == [], f"files left behind: {left}")


@case
def a_lost_write_would_be_noticed():
    """The check finds a changed block."""
    lot = random.Random(2)
    with disks(size=DISK_BYTES, is_sparse=True) as (path,):
        batches = flushed_batches(kill_after(lot, path, "thread", "", {}))
        with open(path, "r+b") as file:
            file.seek(len(batches) * BATCH - BLOCK)
            file.write(bytes(512))
        with contextlib.suppress(Failure):
            check_batches(path, batches)
            raise AssertionError("a lost block was not noticed")


main()
