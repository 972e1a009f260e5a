# SPDX-License-Identifier: Apache-2.0
"""--disk FILE,overlay: the guest reads its own writes, and the file is unchanged at the end."""
import contextlib
import os
import resource
import signal

from harness import boot, case, check, check_silent, check_status, finish, guest, main
from virtio_harness import PLACES, boot_at, busy_guest, check_good, disks, iobench_lines, noise, read_disk, words

ROUNDS, REQUESTS = 60, 500


@contextlib.contextmanager
def untouched_disk():
    """A disk of noise, which must be the same at the end, its times included."""
    with disks() as (path,):
        before = os.stat(path)
        yield path
        after = os.stat(path)
        check(read_disk(path) == noise(), "the file was changed")
        for time in ("st_mtime_ns", "st_ctime_ns"):
            check(getattr(before, time) == getattr(after, time), f"the file's {time} was changed")
        check(os.listdir(os.path.dirname(path)) == [os.path.basename(path)], "files were left behind")


@case
def every_check_of_a_writable_disk_passes_and_nothing_is_written():
    """On every transport and thread: writes, data in pieces, zeroes, discards, resets in mid-flight."""
    options = ("", ",direct", ",queues=4", ",direct,queues=2,id=a name")
    for turn, place in enumerate(PLACES):
        for io, option in zip(("inline", "thread", "auto"), options[turn:] + options[:turn]):
            driver = {"irq": "none", "ring": "split" if place == "legacy ports" else "packed"}
            with untouched_disk() as path:
                append = "device=blk " + words(driver)
                outcome = boot_at(place, "virtio", append, "--disk", f"{path},overlay{option}", "--io", io)
                check_good(outcome)
                for name in (
                    "blk write and read",
                    "blk data in pieces",
                    "blk flush",
                    "blk write zeroes",
                    "blk write zeroes, unmapped",
                    "blk discard",
                    "blk 32 in flight",
                    "blk reset with writes in flight",
                    "blk sound at the end",
                ):
                    check(f"ok {name}".encode() in outcome.out, f"no check of {name!r}", outcome)


@case
def a_guest_that_fills_its_disk():
    for io in ("inline", "thread"):
        with untouched_disk() as path:
            outcome = boot_at("modern pci", "virtio", "device=blk mode=journal", "--disk", path + ",overlay",
                              "--io", io)
            check_good(outcome)
            check(outcome.out.count(b"flushed ") == 512, f"{io}: not every batch was written", outcome)


@case
def a_disk_larger_than_any_memory():
    with disks(size=1 << 42, is_sparse=True) as (path,):
        for io in ("inline", "thread"):
            append = "device=blk mode=journal count=64"
            outcome = boot_at("modern pci", "virtio", append, "--disk", path + ",overlay", "--io", io)
            check_good(outcome)
            check(outcome.out.count(b"flushed ") == 64, f"{io}: not every batch was written", outcome)
        check(os.stat(path).st_blocks == 0, "the file was written")


@case
def two_layers_of_one_file_are_two_disks():
    with untouched_disk() as path:
        both = ("--disk", path + ",overlay", "--disk", path + ",overlay")
        for index in range(2):
            check_good(boot_at("modern pci", "virtio", f"device=blk index={index}", *both))


def layer_of(pid):
    """The layer's memory file of a running mayfly, by its size in bytes."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{name}"
        if os.readlink(path).startswith("/memfd:disk"):
            return os.stat(path).st_blocks * 512
    return check(False, "no layer")


def writing_guest(path, io):
    return busy_guest(path, "write", io, ROUNDS, REQUESTS)


@case
def a_host_without_memory_is_an_io_error():
    """A limit stands in for it: the layer's file fails in the same place, with another number."""
    for io in ("inline", "thread"):
        with untouched_disk() as path, writing_guest(path + ",overlay", io) as process:
            check(0 < layer_of(process.pid) <= 16 << 20, "the layer is not what was written")
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            process.send_signal(signal.SIGCONT)
            outcome = finish(process, 0)
            lines = iobench_lines(outcome.out)
            failed = [line for line in lines if line["errors"] != 0]
            check(len(lines) == ROUNDS - 1 and failed, f"{io}: {len(failed)} of {len(lines)} failed", outcome)
            check_status(outcome, len(failed))
            check(all(line["requests"] == REQUESTS for line in lines), "requests went astray", outcome)
            check(len(outcome.err.splitlines()) <= 16, f"{io}: too many lines", outcome)


@case
def a_killed_mayfly_leaves_nothing():
    with untouched_disk() as path, writing_guest(path + ",overlay", "thread") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()


@case
def a_guest_that_asks_nothing_of_it():
    with untouched_disk() as path:
        outcome = boot(guest("hello"), "--disk", path + ",overlay", "--timeout", 20)
        check_status(outcome, 0)
        check_silent(outcome)


main()
