# SPDX-License-Identifier: Apache-2.0
"""A guest that misuses every virtio device in every way it can think of: mayfly lives, says little, writes
nowhere it must not, and each device works again after a reset."""
import os

from harness import Failure, case, check, check_status, guest_file, main, skip
from virtio_harness import DISK_BYTES, boot_at, disks, net_options, noise, read_disk

# As many as a device may say about its driver, and a few that are about the host.
LINES_PER_DEVICE = 8
LINES_MORE = 8
ROUNDS = 200


def check_survived(outcome, device_count):
    # Only the status tells: what the console's device prints may be any of the guest's memory.
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
    """The end of RAM is near everything."""
    misuse("modern pci", (13,), "--memory", "24M", io="thread")


main()
