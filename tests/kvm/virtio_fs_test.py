# SPDX-License-Identifier: Apache-2.0
"""--share: a directory as a guest of ours finds it, and the path of its requests."""
import os
import re

from harness import boot, case, check, check_refused, check_silent, check_status, guest_file, main
from harness import temporary_directory
from virtio_harness import PLACES, boot_and_count, boot_at, check_good, queue_counts

SIZE = 200_000
CONTENT = bytes(n * 7 % 251 for n in range(SIZE))
RINGS = ("", "ring=packed", "indirect=0 event_idx=0")


def digest(content):
    total = 0
    for byte in content:
        total = (total * 31 + byte) & ((1 << 64) - 1)
    return total


def shared(directory, content=CONTENT):
    with open(os.path.join(directory, "file"), "wb") as file:
        file.write(content)
    return directory


def check_read(outcome, tag="share0", content=CONTENT):
    check_good(outcome)
    check(f"share tag {tag}\n".encode() in outcome.out, "another tag", outcome)
    found = re.search(rb"share file (\d+) (?:0x)?([0-9a-f]+)", outcome.out)
    check(found is not None, "no file was read", outcome)
    check(int(found.group(1)) == len(content), "another size", outcome)
    check(int(found.group(2), 16) == digest(content), "not the file's content", outcome)


@case
def a_guest_reads_a_file_on_every_transport():
    with temporary_directory() as directory:
        shared(directory)
        for place in PLACES:
            if place == "legacy ports":
                continue
            for ring in RINGS:
                check_read(boot_at(place, "virtio", f"device=share rounds=5 {ring}", "--share", directory))


@case
def it_interrupts_as_the_machine_has_it():
    with temporary_directory() as directory:
        shared(directory)
        for place, irq in (("modern pci", "msix"), ("legacy pci", "intx"), ("legacy mmio", "edge")):
            check_read(boot_at(place, "virtio", f"device=share irq={irq}", "--share", directory))


@case
def it_has_no_legacy_interface():
    with temporary_directory() as directory:
        outcome = boot_at("legacy ports", "virtio", "device=share", "--share", shared(directory))
        check(b"no such device" in outcome.out, "there is one", outcome)
        check_silent(outcome)


@case
def a_guest_finds_each_share_by_its_tag():
    with temporary_directory() as first, temporary_directory() as second:
        options = ("--share", shared(first), "--share", shared(second, b"other") + ",tag=" + "t" * 36)
        check_read(boot_at("modern pci", "virtio", "device=share index=0", *options))
        check_read(
            boot_at("modern pci", "virtio", "device=share index=1", *options), tag="t" * 36, content=b"other"
        )


@case
def each_share_has_a_thread_of_its_own():
    with temporary_directory() as directory:
        options = ("--share", shared(directory), "--share", directory)
        outcome, stats = boot_and_count("modern pci", "virtio", "device=all", *options)
        check_good(outcome)
        devices = {device["name"]: device for device in stats["virtio"]["devices"]}
        for name in ("share0", "share1"):
            check(devices[name]["work"] == "thread", f"{devices[name]}")
            check(devices[name]["io_thread"]["turns"] > 0, f"{devices[name]}")
        check("io_thread" not in stats["virtio"], f"{stats['virtio']}")
        requests = queue_counts(stats, "share0", "requests0")
        check(requests["requests"] > 10 and requests["bytes"] > SIZE, f"{requests}")
        check(queue_counts(stats, "share0", "priority")["requests"] == 1, f"{stats['virtio']}")


@case
def a_share_that_nobody_takes_has_no_thread():
    with temporary_directory() as directory:
        outcome, stats = boot_and_count("modern pci", "virtio", "device=rng", "--rng", "--share", directory)
        check_good(outcome)
        (share,) = [device for device in stats["virtio"]["devices"] if device["name"] == "share0"]
        check("io_thread" not in share and share["work"] == "inline", f"{share}")


@case
def the_tag_of_each_share_is_printed():
    with temporary_directory() as directory:
        outcome = boot("--share", directory + ",ro,owner=1000:100,tag=data", "-v")
        check_status(outcome, 0)
        line = f"share0: {directory} has the tag data; read-only; all files are shown as 1000:100's"
        check(line in outcome.err, "not told", outcome)


@case
def an_impossible_share_is_refused():
    with temporary_directory() as directory:
        path = os.path.join(directory, "file")
        check_refused(boot("--share", path), "--share", path, "No such file")
        shared(directory)
        check_refused(boot("--share", path), "--share", path)
        check_refused(boot("--share", directory + ":/mnt"), "/mnt", "mount -t virtiofs share0 /mnt")
        check_refused(boot("--share", directory + ",rw"), "'rw'", "DIR[:MOUNT]")


main()
