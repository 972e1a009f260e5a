# SPDX-License-Identifier: Apache-2.0
"""--timeout and signals count from the command's start: also while files are packed, unpacked and read.
Arguments: MAYFLY GUESTS-DIRECTORY [WORDS]."""
import os
import shutil
import signal
import struct
import time

import bzimage
import flat_kernel
import harness
from harness import TIMEOUT, boot, case, check, check_one_line, check_out, check_status, finish, guest_bytes
from harness import main, popen, temporary_directory, write_file

BEFORE = "before the guest was started"
# Longer than a start takes; what is packed here would take days.
LIMIT = "2"


def write_text(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def endless_packing(directory):
    """Arguments of a boot whose lists of modules take days to look through."""
    kernel = write_file(directory, "kernel", flat_kernel.linux64(flat_kernel.HALT))
    program = write_file(directory, "program", guest_bytes("hello"))
    os.chmod(program, 0o755)
    modules = os.path.join(directory, "modules")
    write_text(os.path.join(modules, "modules.dep"), "kernel/virtio_blk.ko:\nkernel/virtio_pci.ko:\n")
    write_text(os.path.join(modules, "modules.softdep"), "softdep virtio_blk pre:" + " two" * 500_000 + "\n")
    write_text(os.path.join(modules, "modules.alias"), "alias two three\n" * 500_000)
    disk = write_file(directory, "disk", bytes(1 << 20))
    return kernel, "--exec", program, "--modules", modules, "--disk", disk


def zstd_bomb(unpacked_bytes):
    """One frame of blocks that are a byte repeated 128 KiB times: RFC 8878, "Blocks", RLE_Block."""
    block_bytes = 128 << 10
    count = unpacked_bytes // block_bytes
    frame = struct.pack("<IBB", 0xFD2FB528, 0, 0x38)  # no checksum, a window of 128 KiB
    for index in range(count):
        frame += (int(index == count - 1) | 1 << 1 | block_bytes << 3).to_bytes(3, "little") + b"\0"
    return frame + struct.pack("<I", unpacked_bytes)


@case
def packing_ends_at_the_timeout():
    with temporary_directory() as directory:
        junit = os.path.join(directory, "junit.xml")
        outcome = boot(*endless_packing(directory), "--timeout", LIMIT, "--junit", junit)
        check_status(outcome, TIMEOUT)
        check_one_line(outcome, f"timeout: {LIMIT} s were over {BEFORE}")
        check_out(outcome, b"")
        with open(junit, encoding="utf-8") as file:
            check(BEFORE in file.read(), "the report does not say when")


@case
def packing_ends_at_signals_and_the_report_is_written():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with temporary_directory() as directory:
            junit = os.path.join(directory, "junit.xml")
            started = time.monotonic()
            process = popen(("boot", *endless_packing(directory), "--junit", junit))
            # Once it uses the CPU, it has read the lists, the last files that it opens.
            end = time.monotonic() + 30
            while time.monotonic() < end and process.poll() is None:
                with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
                    if int(stat.read().rpartition(")")[2].split()[11]) >= 20:  # utime, in ticks
                        break
                time.sleep(0.01)
            process.send_signal(number)
            outcome = finish(process, started)
            check_status(outcome, 128 + number)
            check(os.path.getsize(junit) > 0, "no report was written", outcome)


@case
def unpacking_a_kernel_ends_at_the_timeout():
    with temporary_directory() as directory:
        kernel = write_file(directory, "vmlinuz", bzimage.image(zstd_bomb(512 << 20)))
        outcome = boot(
            kernel, "--memory", "1G", "--kernel-cache", os.path.join(directory, "cache"), "--timeout", "0.01"
        )
        check_status(outcome, TIMEOUT)
        check_one_line(outcome, f"timeout: 0.01 s were over {BEFORE}")
        check(not os.path.exists(os.path.join(directory, "cache")), "something was cached", outcome)


@case
def a_tree_that_is_packed_ends_at_the_timeout():
    with temporary_directory() as directory:
        root = os.path.join(directory, "root")
        for outer in range(100):
            os.makedirs(os.path.join(root, str(outer)))
            for inner in range(100):
                os.symlink("nowhere", os.path.join(root, str(outer), str(inner)))
        program = shutil.copy(write_file(directory, "program", guest_bytes("hello")), root)
        os.chmod(program, 0o755)
        kernel = write_file(directory, "kernel", flat_kernel.linux64(flat_kernel.out32(0xF4, 0)))
        outcome = boot(kernel, "--root", root, "--exec", "/program", "--timeout", "0.002")
        check_status(outcome, TIMEOUT)
        check_one_line(outcome, BEFORE)


@case
def the_timeline_tells_how_far_it_came():
    with temporary_directory() as directory:
        outcome = boot(*endless_packing(directory), "--timeout", "1", "--timeline")
        check_status(outcome, TIMEOUT)
        check("main" in outcome.err and "first_kvm_run" not in outcome.err, "no timeline", outcome)


main()
