# SPDX-License-Identifier: Apache-2.0
"""A guest that misuses every virtio device in many ways: mayfly survives, prints little, writes nowhere that
it must not, and each device works again after a reset."""
import os
import time

from harness import Failure, case, check, check_status, guest_file, main, skip
from virtio_harness import (
    DISK_BYTES,
    PLACES,
    boot_and_count,
    boot_at,
    disks,
    net_options,
    noise,
    queue_counts,
    read_disk,
)

# The lines that a device may print about its driver, and a few about the host.
LINES_PER_DEVICE = 8
LINES_MORE = 8
ROUNDS = 200
# Requests of what=rewire that move nothing.
STAYING = 8


def check_survived(outcome, device_count):
    # Only the status counts: the console device may print any part of the guest's memory.
    check_status(outcome, 0)
    check(b"hostileio: done" in outcome.out, "the guest did not get to its end", outcome)
    lines = outcome.err.splitlines()
    check(len(lines) <= LINES_PER_DEVICE * device_count + LINES_MORE, f"{len(lines)} lines", outcome)
    for line in lines:
        check(line.startswith("mayfly: "), f"a line that is not ours: {line!r}", outcome)


def misuse(place, seeds, *options, io="auto"):
    if not os.path.exists(guest_file("hostileio")):
        skip("NOT BUILT: hostileio.elf is missing, hostile drivers were not tried")
    complaints = 0
    for seed in seeds:
        with disks(3) as paths:
            os.chmod(paths[2], 0o400)
            values = (paths[0], paths[1] + ",direct,queues=4", paths[2] + ",ro")
            devices = [word for value in values for word in ("--disk", value)]
            devices += ["--rng", "--console", "hvc", *net_options(), "--io", io, *options]
            append = f"seed={seed} count={ROUNDS}"
            outcome = boot_at(place, "hostileio", append, *devices, timeout=50)
            try:
                check_survived(outcome, 5 + len(net_options()) // 2)
            except Failure as failure:
                raise Failure(f"{place}, {io}, seed {seed}: {failure}") from None
            check(read_disk(paths[2]) == noise(), f"seed {seed}: a read-only disk was changed")
            sizes = {os.path.getsize(path) for path in paths}
            check(sizes == {DISK_BYTES}, f"seed {seed}: a disk has another size now: {sizes}")
            complaints += outcome.err.count("broke the rules")
    check(complaints > 0, "no rule was broken: nothing was tried")


@case
def modern_pci_inline():
    misuse("modern pci", (1, 2), io="inline")


@case
def modern_pci_on_the_io_thread():
    misuse("modern pci", (3, 4), io="thread")


@case
def legacy_pci():
    misuse("legacy pci", (5, 6))


@case
def transitional_ports():
    misuse("legacy ports", (7,), io="inline")
    misuse("legacy ports", (8,), io="thread")


@case
def mmio():
    misuse("legacy mmio", (9,), io="inline")
    misuse("legacy mmio", (10,), io="thread")


@case
def without_the_configuration_window():
    misuse("modern pci", (11,), "--config-window", "off")


@case
def with_little_memory():
    """In a small guest the end of RAM is near everything."""
    misuse("modern pci", (13,), "--memory", "24M", io="thread")


def check_orders(outcome):
    check_status(outcome, 0)
    check(b"FAIL" not in outcome.out and b"virtioorders: done" in outcome.out, "the guest reports a failure",
          outcome)


@case
def every_order_of_steps_with_requests_in_flight():
    """Start, stop, failures and resets in any order on each transport; the disk works after each reset."""
    for place in PLACES:
        for io in ("inline", "thread"):
            for options in (",queues=2", ",queues=2,iops=2000"):
                if io == "inline" and "iops" in options:
                    continue  # a limit needs the thread
                with disks() as paths:
                    words = f"seed={len(place)} count=120"
                    disk = ("--disk", paths[0] + options, "--io", io)
                    outcome = boot_at(place, "virtioorders", words, *disk, timeout=50)
                    try:
                        check_orders(outcome)
                        check("broke the rules" in outcome.err, "no rule was broken: nothing was tried", outcome)
                        check(outcome.err.count("\n") <= LINES_PER_DEVICE + LINES_MORE, "too many lines", outcome)
                    except Failure as failure:
                        raise Failure(f"{place}, {io}, {options}: {failure}") from None


@case
def doorbells_that_move_and_interrupts_rewritten_cost_the_host_little():
    """Each device is rewired at most 20 times a second, after 64 at once; no request is lost."""
    count = 1500
    with disks() as paths:
        options = ("--disk", paths[0], "--io", "thread")
        begin = time.monotonic()
        outcome, stats = boot_and_count("modern pci", "virtioorders", f"what=rewire count={count}", *options)
        seconds = time.monotonic() - begin
    check_orders(outcome)
    rewiring = stats["virtio"]["rewiring"]
    check(64 <= rewiring["granted"] <= 64 + 20 * seconds + 1, f"in {seconds} s: {rewiring}", outcome)
    # Two for each request, minus the granted ones; interrupts may merge.
    check(rewiring["put_off"] > count - 100, f"the limit did not hold: {rewiring}", outcome)
    counts = queue_counts(stats)
    check(counts["requests"] == count + STAYING, f"not all requests: {counts}", outcome)
    for way in ("interrupts_irqfd", "interrupts_signal_msi"):
        check(counts[way] > 0, f"none by {way}: {counts}", outcome)


@case
def a_driver_that_moves_its_doorbells_once_has_them_in_the_kernel_again():
    with disks() as paths:
        options = ("--disk", paths[0], "--io", "thread")
        outcome, stats = boot_and_count("modern pci", "virtioorders", "what=rewire count=20", *options)
    check_orders(outcome)
    counts = queue_counts(stats)
    # The first moves may come before the queue is the I/O thread's.
    check(counts["doorbells_caught"] >= STAYING, f"not caught where they stayed: {counts}", outcome)
    check(counts["interrupts_signal_msi"] == 0, f"not all by irqfd: {counts}", outcome)
    rewiring = stats["virtio"]["rewiring"]
    check(rewiring["put_off"] == 0 and rewiring["granted"] > 0, f"put off without need: {rewiring}", outcome)


main()
