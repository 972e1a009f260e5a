# SPDX-License-Identifier: Apache-2.0
"""Our own disk driver on every transport, ring, interrupt, thread and kind of --disk: the file has exactly
the data that it wrote."""
import itertools
import random

from harness import Failure, case, check, check_status, main
from virtio_harness import PLACES, SECTOR, boot_at, check_bytes, check_good, disks, fill, noise, read_disk
from virtio_harness import words

INTERRUPTS = {
    "modern pci": ("none", "msix"),
    "legacy pci": ("none", "msix", "intx"),
    "legacy ports": ("none", "msix", "intx"),
    "legacy mmio": ("none", "edge"),
}
THREADS = ("inline", "thread", "auto")
DISKS = ("", ",direct", ",queues=4", ",direct,queues=4,id=a name")

_deep = [fill(300 + n, 64 << 10) for n in range(32)]
_last_deep = fill(410, 2 << 20)


def combinations():
    """Every place x interrupt x ring x thread; the rest at random, the same each time."""
    lot = random.Random(3)
    for place in PLACES:
        rings = ("split",) if place == "legacy ports" else ("split", "packed")
        for irq, ring, io in itertools.product(INTERRUPTS[place], rings, THREADS):
            driver = {"irq": irq, "ring": ring, "event_idx": lot.randrange(2), "indirect": lot.randrange(2)}
            yield place, driver, io, lot.choice(DISKS)


def check_disk(disk, place, queues):
    """The data that the guest's checks leave on a disk, in their order: see virtio_checks/block.cc."""
    expected = bytearray(noise())

    def put(sector, data):
        expected[sector * SECTOR : sector * SECTOR + len(data)] = data

    for seed, size in enumerate((512, 1024, 4096, 65536, 131072), 1):
        put(seed * 511, fill(seed, size))
    put(0, fill(6, SECTOR))
    put(3000, fill(77, 8192))
    for queue in range(queues):
        put(1000 + queue * 8, fill(100 + queue, 4096))
    put(2048, fill(201, 16 * SECTOR))
    put(2052, bytes(8 * SECTOR))
    put(6144, bytes(2048 * SECTOR))
    if place != "legacy ports":
        put(64, fill(500, 4096))
    put(4096, fill(400, 65536))
    put(4224, fill(411, 4096))
    # Written by requests that a reset interrupted: each sector is old or new.
    torn = range(8192, 8192 + 4096)
    for n in torn:
        at = (n - torn[0]) * SECTOR
        found = disk[n * SECTOR : (n + 1) * SECTOR]
        before = _deep[at >> 16][at & 0xFFFF : (at & 0xFFFF) + SECTOR]
        check(found in (before, _last_deep[at : at + SECTOR]), f"sector {n} was never written so")
        put(n, found)
    check_bytes("data", disk, 0, bytes(expected))


def run_one(place, driver, io, options):
    with disks() as (path,):
        append = "device=blk " + words(driver)
        outcome = boot_at(place, "virtio", append, "--disk", path + options, "--io", io)
        check_good(outcome)
        for name in ("blk write and read", "blk data in pieces", "blk 32 in flight", "blk sound at the end"):
            check(f"ok {name}\n".encode() in outcome.out, f"the guest did not check {name!r}", outcome)
        if driver["irq"] != "none":
            check(b"ok blk interrupts\n" in outcome.out, "no interrupts were checked", outcome)
        check_disk(read_disk(path), place, 4 if "queues=4" in options else 1)


def run_all(place):
    for combination in combinations():
        if combination[0] != place:
            continue
        try:
            run_one(*combination)
        except Failure as failure:
            raise Failure(f"{combination}: {failure}") from None


@case
def every_value_is_in_several_combinations():
    all_of_them = list(combinations())
    for axis in ("irq", "ring", "event_idx", "indirect"):
        values = [driver[axis] for _, driver, _, _ in all_of_them]
        for value in set(values):
            check(values.count(value) >= 5, f"{axis}={value} only {values.count(value)} times")
    packed = [(d["event_idx"], d["indirect"]) for _, d, _, _ in all_of_them if d["ring"] == "packed"]
    check(len(set(packed)) == 4, f"packed rings only with {set(packed)}")
    for index, values in ((2, THREADS), (3, DISKS)):
        for value in values:
            count = sum(combination[index] == value for combination in all_of_them)
            check(count >= 5, f"{value!r} only {count} times")


@case
def modern_pci():
    run_all("modern pci")


@case
def legacy_pci():
    run_all("legacy pci")


@case
def transitional_ports():
    run_all("legacy ports")


@case
def mmio():
    run_all("legacy mmio")


@case
def a_read_only_disk_is_read_and_never_written():
    for place, io in zip(PLACES, ("inline", "thread", "auto", "thread")):
        for options in (",ro", ",ro,direct"):
            with disks() as (path,):
                append = "device=blk irq=none"
                outcome = boot_at(place, "virtio", append, "--disk", path + options, "--io", io)
                check_good(outcome)
                check(b"ok blk write to a read-only disk\n" in outcome.out, "not read-only", outcome)
                check(read_disk(path) == noise(), f"{place}: a read-only disk was changed", outcome)


@case
def each_disk_has_its_own_file_and_name():
    with disks(3) as paths:
        options = [word for path in paths for word in ("--disk", path)]
        options[-1] += ",id=the last"
        check_good(boot_at("modern pci", "virtio", "device=blk index=2", *options))
        check(read_disk(paths[0]) == noise() == read_disk(paths[1]), "another disk was written")
        check_disk(read_disk(paths[2]), "modern pci", 1)
        outcome = boot_at("modern pci", "virtio", "device=all", *options)
        check_good(outcome)
        ids = [line for line in outcome.out.splitlines() if line.startswith(b"blk id ")]
        check(ids == [b"blk id disk0", b"blk id disk1", b"blk id the last"], f"{ids}")
        for path in paths:
            check_disk(read_disk(path), "modern pci", 1)


@case
def the_end_of_a_disk_that_no_block_divides():
    """The disk's last sectors are less than a page, and less than O_DIRECT permits."""
    size = (8 << 20) + 3 * SECTOR
    for options in ("", ",direct"):
        with disks(size=size) as (path,):
            outcome = boot_at("modern pci", "virtio", "device=blk", "--disk", path + options)
            check_good(outcome)
            check(f"blk sectors {size // SECTOR} ".encode() in outcome.out, "not its size", outcome)
            disk = read_disk(path)
            check(len(disk) == size, f"the file has {len(disk)} bytes now")
            check_bytes("end", disk, 8 << 20, noise(size)[8 << 20 :])


@case
def a_guest_that_finds_no_disk_says_so():
    """The checks above can fail."""
    outcome = boot_at("modern pci", "virtio", "device=blk")
    check_status(outcome, 1)
    check(b"FAIL virtio: no such device" in outcome.out, "found a disk where none is", outcome)


main()
