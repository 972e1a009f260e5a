# SPDX-License-Identifier: Apache-2.0
"""Disks that fail while the guest uses them: it gets an I/O error, the machine goes on, and data written
before is kept."""
import contextlib
import os
import re
import resource
import signal
import subprocess

from harness import Failure, case, check, check_status, finish, guest_file, main, popen, skip
from harness import temporary_directory
from virtio_harness import boot_at, busy_guest, check_bytes, disks, fill, iobench_lines, mounted, read_disk

BLOCK = 4096
BATCH_BLOCKS = 8
BATCH = BLOCK * BATCH_BLOCKS
LIMIT = 4 << 20
ROUNDS, REQUESTS = 100, 500


def batch_bytes(batch):
    """The content of virtio_checks/journal.cc's batch N."""
    return b"".join(fill(batch * BATCH_BLOCKS + n + 1, BLOCK) for n in range(BATCH_BLOCKS))


def told(output, word):
    return [int(text) for text in re.findall(rf"^{word} (\d+)\n".encode(), output, re.M)]


def check_journal_against_limit(path, io, outcome):
    """Whole batches below the limit are flushed and on the disk; those beyond were refused."""
    check_status(outcome, 0)
    check(b"ok journal written\n" in outcome.out, "the guest did not get to its end", outcome)
    flushed, refused = told(outcome.out, "flushed"), told(outcome.out, "refused")
    whole = LIMIT // BATCH
    check(len(flushed) + len(refused) == 2 * whole, f"{io}: not every batch was reported", outcome)
    check(len(refused) >= whole - 1, f"{io}: {len(refused)} batches refused", outcome)
    check(len(flushed) >= whole - 16, f"{io}: only {len(flushed)} batches flushed", outcome)
    disk = read_disk(path)
    for batch in flushed:
        check_bytes(f"{io}, batch {batch}", disk, batch * BATCH, batch_bytes(batch))
    # A failure is worth some lines, but not one for each request.
    check(len(outcome.err.splitlines()) <= 16, f"{io}: too many lines", outcome)


def sparse_disk(directory):
    path = os.path.join(directory, "disk")
    with open(path, "wb") as file:
        file.truncate(16 << 20)
    return path


@case
def a_full_file_system_below_a_sparse_disk():
    append = f"device=blk mode=journal count={2 * LIMIT // BATCH}"
    for io in ("inline", "thread"):
        with mounted("tmpfs", f"size={LIMIT}") as directory:
            path = sparse_disk(directory)
            outcome = boot_at("modern pci", "virtio", append, "--disk", path, "--io", io)
            check_journal_against_limit(path, io, outcome)


@case
def a_full_file_system_and_another_disk():
    """The full disk does not hinder the other."""
    with mounted("tmpfs", f"size={LIMIT}") as directory, disks() as (other,):
        path = sparse_disk(directory)
        options = ("--disk", path, "--disk", other, "--io", "thread")
        for index, word, disk in ((0, "refused", path), (1, "flushed", other)):
            append = f"device=blk mode=journal index={index} count={2 * LIMIT // BATCH}"
            outcome = boot_at("modern pci", "virtio", append, *options)
            check_status(outcome, 0)
            check(2 * LIMIT // BATCH - 1 in told(outcome.out, word), f"last batch not {word}", outcome)
            for batch in told(outcome.out, "flushed"):
                check_bytes(f"batch {batch}", read_disk(disk), batch * BATCH, batch_bytes(batch))


@case
def a_limit_of_the_process_on_file_sizes():
    """setrlimit(2), RLIMIT_FSIZE: its signal, SIGXFSZ, would kill."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))

    append = f"device=blk mode=journal count={2 * LIMIT // BATCH}"
    for io in ("inline", "thread"):
        for option in ("", ",direct"):
            with temporary_directory() as directory:
                path = sparse_disk(directory)
                process = popen(
                    ["boot", guest_file("virtio"), "--append", append, "--disk", path + option, "--io", io],
                    preexec_fn=limit,
                )
                check_journal_against_limit(path, io + option, finish(process, 0))


def reading_guest(path, io):
    return busy_guest(path, "read", io, ROUNDS, REQUESTS)


def check_reading_failed(process, about):
    """Later rounds had errors, and the guest ended by itself, with as many failures as it had such rounds."""
    process.send_signal(signal.SIGCONT)
    outcome = finish(process, 0)
    lines = iobench_lines(outcome.out)
    failed = [line for line in lines if line["errors"] != 0]
    check(len(lines) == ROUNDS - 1, f"{about}: {len(lines)} rounds more", outcome)
    check(failed, f"{about}: no errors", outcome)
    check_status(outcome, len(failed))
    check(all(line["requests"] == REQUESTS for line in lines), f"{about}: requests went astray", outcome)
    check(len(outcome.err.splitlines()) <= 16, f"{about}: too many lines", outcome)
    return outcome, lines


@case
def a_file_cut_off_while_it_is_read():
    for io in ("inline", "thread", "auto"):
        for option in ("", ",direct"):
            with disks() as (path,), reading_guest(path + option, io) as process:
                os.truncate(path, 0)
                _, lines = check_reading_failed(process, io + option)
                check(lines[-1]["errors"] == REQUESTS, f"{io}{option}: read beyond the answer: {lines[-1]}")


@case
def a_file_cut_off_in_the_middle():
    """The rest can be read, to the last sector."""
    for io in ("inline", "thread"):
        with disks() as (path,), reading_guest(path, io) as process:
            os.truncate(path, (8 << 20) + 512)
            outcome, lines = check_reading_failed(process, io)
            check(0 < lines[-1]["errors"] < REQUESTS, "all or nothing was read", outcome)


@case
def a_file_deleted_while_it_is_used():
    """The file's name is gone, but not the file."""
    for io in ("inline", "thread"):
        with disks() as (path,), reading_guest(path, io) as process:
            os.unlink(path)
            process.send_signal(signal.SIGCONT)
            outcome = finish(process, 0)
            check_status(outcome, 0)


@contextlib.contextmanager
def loop_device(path):
    attach = subprocess.run(
        ["losetup", "--find", "--show", path], capture_output=True, text=True, check=False
    )
    if attach.returncode != 0:
        skip(f"no loop device: {attach.stderr.strip()}")
    device = attach.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def ours(device):
    """Whether the loop device is attached to a file of this test, so that no other is touched."""
    backing = f"/sys/block/{os.path.basename(device)}/loop/backing_file"
    with contextlib.suppress(OSError), open(backing, encoding="utf-8") as file:
        return "mayfly-kvm-" in file.read()
    return False


@case
def a_block_device_whose_medium_is_gone():
    """Like a drive that is pulled out: its size becomes 0, and every transfer fails."""
    with disks() as (path,):
        for io in ("inline", "thread"):
            for option in ("", ",direct"):
                with open(path, "r+b") as file:
                    file.truncate(16 << 20)
                with loop_device(path) as device:
                    check(ours(device), f"{device} belongs to another process")
                    try:
                        with reading_guest(device + option, io) as process:
                            os.truncate(path, 0)
                            subprocess.run(["losetup", "--set-capacity", device], check=True)
                            check_reading_failed(process, io + option)
                    except Failure as failure:
                        raise Failure(f"{io}{option}: {failure}") from None


@case
def a_block_device_is_a_disk():
    with disks(is_sparse=True) as (path,), loop_device(path) as device:
        check(ours(device), f"{device} belongs to another process")
        for option in ("", ",direct"):
            outcome = boot_at("modern pci", "virtio", "device=blk", "--disk", device + option)
            check_status(outcome, 0)
            check(b"FAIL" not in outcome.out, "the guest reports a failure", outcome)
        with open(device, "rb") as file:
            check_bytes("first sector", file.read(512), 0, fill(6, 512))


@case
def a_disk_that_can_only_be_read_is_not_written():
    """A read-only mount, seen at the start; a change is not reported while running."""
    with mounted("tmpfs", "size=32m") as directory:
        path = sparse_disk(directory)
        subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
        outcome = boot_at("modern pci", "virtio", "device=blk", "--disk", path)
        check_status(outcome, 125)
        check("for writing" in outcome.err and "Read-only file system" in outcome.err, "no reason", outcome)
        check(",ro" in outcome.err, "no remedy", outcome)
        outcome = boot_at("modern pci", "virtio", "device=blk", "--disk", path + ",ro")
        check_status(outcome, 0)


main()
