# SPDX-License-Identifier: Apache-2.0
"""PCI as a guest finds it: probing costs no exits, with as many disks as are possible."""
import re

from harness import boot, case, check, check_out, check_refused, check_status, guest, guest_file, main
from virtio_harness import PLACES, boot_and_count, boot_at, check_good, disks, net_options, returns_at, rows

WINDOW = range(0xE0000000, 0xE0200000)
DISKS_MAX = 64


def probe(place, append, window, paths):
    devices = ["--rng", "--console", "hvc", *net_options()]
    for path in paths:
        devices += ["--disk", path]
    outcome, stats = boot_and_count(place, "pciprobe", append, *devices, "--config-window", window)
    check_good(outcome)
    check(stats["at_other_addresses"] == 0, f"the table of addresses was too small: {stats}")
    return outcome, stats


def reads_in_window(stats):
    return sum(row["returns"] for row in rows(stats, "mmio read") if row["address"] in WINDOW)


@case
def looking_at_every_device_costs_no_read_exit():
    with disks(2, is_sparse=True) as paths:
        for place in ("modern pci", "legacy pci"):
            outcome, stats = probe(place, "readonly=1", "on", paths)
            check(rows(stats, "mmio read") == [], f"{place}: {rows(stats, 'mmio read')}")
            check(rows(stats, "port in") == [], f"{place}: {rows(stats, 'port in')}")
            count = 4 + len(net_options()) // 2
            summary = f"pciprobe functions {count + 1} virtio {count}\n".encode()
            check(summary in outcome.out, f"not {count} devices", outcome)


@case
def without_the_window_the_same_is_seen_by_many_exits():
    with disks(2, is_sparse=True) as paths:
        for place in ("modern pci", "legacy pci"):
            quick, _ = probe(place, "readonly=1", "on", paths)
            slow, stats = probe(place, "readonly=1", "off", paths)
            check(reads_in_window(stats) > 100, f"{place}: only {reads_in_window(stats)} exits")
            check_out(slow, quick.out)


@case
def the_window_shows_what_was_written():
    """BARs sized and moved, MSI-X enabled and masked: the same verdicts, and no read in the window is an exit
    while the window is there."""
    with disks(2, is_sparse=True) as paths:
        for place in ("modern pci", "legacy pci"):
            quick, stats = probe(place, "readonly=0", "on", paths)
            inside = [row for row in rows(stats, "mmio read") if row["address"] in WINDOW]
            # Where a BAR was moved away, or decoding is off, no device answers: that takes an exit.
            moved = 2 * (4 + len(net_options()) // 2)
            check(sum(row["returns"] for row in inside) <= moved, f"{place}: {inside}")
            slow, stats = probe(place, "readonly=0", "off", paths)
            check(reads_in_window(stats) > 100, f"{place}: only {reads_in_window(stats)} exits")
            check_out(slow, quick.out)
            check(b"ok msix unmasked\n" in quick.out, "MSI-X was not tried", quick)


@case
def by_ports_the_same_is_found():
    def findings(outcome):
        return [line for line in outcome.out.splitlines() if not line.startswith(b"pci by ")]

    with disks(2, is_sparse=True) as paths:
        by_ecam, _ = probe("legacy pci", "readonly=1", "on", paths)
        for window in ("on", "off"):
            by_ports, stats = probe("legacy pci", "readonly=1 cf8", window, paths)
            check(b"pci by ports\n" in by_ports.out, "not by ports", by_ports)
            check(returns_at(stats, "port in", 0xCFC) > 100, f"{stats}")
            check(findings(by_ports) == findings(by_ecam), f"{by_ecam}\n{by_ports}")


@case
def as_many_disks_as_there_may_be_in_their_order():
    with disks(DISKS_MAX, size=4096, is_sparse=True) as paths:
        options = []
        for n, path in enumerate(paths):
            with open(path, "ab") as file:
                file.truncate((n + 1) << 20)
            options += ["--disk", path]
        for place in ("modern pci", "legacy pci"):
            outcome = boot_at(place, "pciprobe", "readonly=1", *options)
            check_good(outcome)
            seen = re.findall(rb"pci (\d+)\.(\d+) config 0: 0x([0-9a-f]+) 0x0 ", outcome.out)
            sectors = [int(text, 16) for _, _, text in seen]
            check(sectors == [(n + 1) << 11 for n in range(DISKS_MAX)], f"{place}: {sectors}", outcome)
            functions = [(int(slot), int(function)) for slot, function, _ in seen]
            check(functions == sorted(set(functions)), f"{place}: {functions}", outcome)
            check(functions[-1][0] < 32 and max(f for _, f in functions) > 0, f"{place}: {functions}")
            outcome = boot_at(place, "virtio", f"device=blk index={DISKS_MAX - 1}", *options)
            check_good(outcome)
            check(f"blk sectors {DISKS_MAX << 11} ".encode() in outcome.out, "another disk", outcome)
            check(b"\nblk id disk63\n" in outcome.out, "another disk's name", outcome)


@case
def one_disk_more_is_refused():
    with disks(1, is_sparse=True) as (path,):
        outcome = boot(guest("hello"), *["--disk", path + ",ro"] * (DISKS_MAX + 1))
        check_refused(outcome, "--disk", "65", "64")


@case
def mmio_takes_what_it_has_pins_for_and_says_so():
    with disks(DISKS_MAX, size=8 << 20, is_sparse=True) as paths:
        for count in range(1, DISKS_MAX):
            options = [word for path in paths[:count] for word in ("--disk", path)]
            outcome = boot(guest("hello"), "--transport", "mmio", *options, "--timeout", 20)
            if outcome.status != 0:
                break
        check_refused(outcome, f"{count} devices", f"at most {count - 1}", "--transport pci")
        check(count > 4, f"only {count - 1} devices", outcome)
        last = boot_at("legacy mmio", "virtio", f"device=blk index={count - 2}", *options[:-2])
        check_good(last)
        check(f"blk id disk{count - 2}\n".encode() in last.out, "another disk", last)
    outcome = boot(guest("hello"), "--transport", "mmio", "--profile", "modern", "--rng")
    check_refused(outcome, "--transport mmio", "modern", "--profile legacy")


@case
def the_other_devices_work_everywhere():
    for place in PLACES:
        for io in ("inline", "thread"):
            irq = {"modern pci": "msix", "legacy mmio": "edge"}.get(place, "intx")
            options = ("--rng", "--console", "hvc", "--io", io)
            outcome = boot_at(place, "virtio", f"device=rng irq={irq}", *options)
            check_good(outcome)
            check_status(outcome, 0)
            check(outcome.out.count(b"ok ") >= 2, "nothing was checked", outcome)


@case
def config_window_says_on_or_off():
    outcome = boot(guest_file("pciprobe"), "--config-window", "maybe")
    check_refused(outcome, "--config-window", "maybe", "on", "off")


main()
