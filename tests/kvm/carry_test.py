# SPDX-License-Identifier: Apache-2.0
"""Guests whose machine is taken apart again and again, at moments that a seed chooses, and goes on as another
one in the same process: every built-in guest, on every machine and irqchip, sees no difference."""
import contextlib
import itertools
import os
import subprocess
import time

import harness
from harness import boot, case, check, check_status, guest, guest_file, main, popen
from virtio_harness import disks

SEEDS = (1, 2, 3)
# Guests that any machine can boot, with the processors that they want; no network: frames that are under way
# are lost with a tap.
ON_ANY = {"demo": 1, "apic": 1, "msi": 1, "doorbell": 1, "pveoi": 1, "kvmclock": 1, "steal": 1, "memory": 1,
          "bootinfo": 1, "hostile": 1, "flood": 1, "pciprobe": 1, "speed": 1, "hello": 1, "timer": 1, "ipi": 4,
          "smp": 4}
ON_LEGACY = {"ioapic": 1, "pic": 1, "pit": 1}
WITHOUT_IRQCHIP = ("irqwindow", "memory", "bootinfo", "hostile", "flood", "speed", "hello")


@contextlib.contextmanager
def carries(seed, apart_us, count=40):
    """Each machine runs for up to `apart_us`. Yields a function that counts the machines, once the guest has
    ended."""
    with harness.temporary_directory() as directory:
        log = os.path.join(directory, "carried")
        chosen = {"MAYFLY_CARRIES": f"{seed}:{apart_us}:{count}", "MAYFLY_CARRIES_LOG": log}
        before = {name: os.environ.get(name) for name in chosen}
        os.environ.update(chosen)

        def read():
            with open(log, encoding="utf-8") as file:
                return sum(int(line) for line in file)

        try:
            yield read
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def check_often(least, chosen, boot_for):
    """Checks that `boot_for(length)` leaves `least` machines behind. On a busy host a guest may end before
    that, so it is then booted for longer."""
    for length in (1, 10, 50):
        with carries(*chosen) as read:
            boot_for(length)
            count = read()
        if count >= least:
            return
    check(False, f"{count} machines were left behind, {least} wanted")


def check_carried(name, *options, apart_us=1500):
    """Checks a guest that reports its findings. \\returns how many machines were left behind."""
    carried = 0
    for seed in SEEDS:
        with carries(seed, apart_us) as read:
            outcome = boot(guest(name), *options)
            where = f"{name} {' '.join(options)}, seed {seed}"
            check(outcome.status == 0, f"{where}: status {outcome.status}", outcome)
            check(b"FAIL" not in outcome.out, f"{where}: the guest reports a failure", outcome)
            check(outcome.err == "", f"{where}: {outcome.err!r}", outcome)
            carried += read()
    return carried


def check_all(guests, *options, apart_us=1500):
    carried = sum(check_carried(name, "--cpus", str(cpus), "--testdev", *options, apart_us=apart_us)
                  for name, cpus in guests.items())
    check(carried > len(guests), f"{carried} machines were left behind")


@case
def guests_of_the_modern_machine():
    check_all(ON_ANY)


@case
def guests_of_the_legacy_machine():
    check_all(ON_ANY | ON_LEGACY, "--profile", "legacy")
    check_all(ON_LEGACY, "--profile", "legacy", apart_us=150)


@case
def guests_of_a_machine_without_irqchip():
    check_all(dict.fromkeys(WITHOUT_IRQCHIP, 1), "--profile", "legacy", "--irqchip", "none")


@case
def a_guests_last_output_is_shown_before_its_end():
    ends = ("exit=7", 7), ("poweroff", 0), ("reset", 0), ("triple", harness.CRASHED)
    for seed, (words, status) in itertools.product(range(12), ends):
        with carries(seed, 300):
            check_status(boot(guest("exits"), "--append", words), status)


@case
def registers_that_no_other_guest_uses():
    for word in ("", "vector", "deadline"):
        for machine in (("modern",), ("legacy",), ("legacy", "--irqchip", "none")):
            if word == "deadline" and "none" in machine:
                continue  # it has no LAPIC

            def boot_for(length):
                append = " ".join((word, f"ms={200 * length}"))
                outcome = boot(guest_file("registers"), "--profile", *machine, "--append", append)
                check_status(outcome, 0)
                check(b"ok " in outcome.out and b"FAIL" not in outcome.out, "a register has changed", outcome)

            check_often(6, (1, 3000), boot_for)


@case
def a_line_that_stays_high_interrupts_on():
    def boot_for(length):
        words = f"level ms={200 * length}"
        outcome = boot(guest_file("registers"), "--profile", "legacy", "--testdev", "--append", words)
        check_status(outcome, 0)
        check(b"ok a level" in outcome.out and b"FAIL" not in outcome.out, "it fell silent", outcome)

    for seed in SEEDS:
        check_often(3, (seed, 3000), boot_for)


@case
def a_restored_guest_gets_typed_input():
    """Input that was read and not delivered is lost with a machine, so it is typed again."""
    serial = (guest("echo"),), (guest("echo"), "--append", "irq", "--profile", "legacy")
    hvc = guest_file("virtio"), "--console", "hvc", "--append", "device=console echo=1"
    for words in (*serial, hvc):
        with carries(1, 20_000, 20) as read:
            process = popen(("boot", *words), stdin=subprocess.PIPE)
            os.set_blocking(process.stdout.fileno(), False)
            # For a second, enough for a machine or two on a busy host.
            for key, seconds in ((b"a", 1), (b"q", 0)):
                begin = time.monotonic()
                end = begin + 20
                seen = b""
                while process.poll() is None and (key not in seen or time.monotonic() < begin + seconds):
                    check(time.monotonic() < end, f"{key!r} did not reach the guest")
                    with contextlib.suppress(BrokenPipeError):
                        process.stdin.write(key)
                        process.stdin.flush()
                    time.sleep(0.05)
                    seen += process.stdout.read() or b""
            check(process.wait(timeout=20) == 0, f"status {process.returncode}")
            check(read() > 0, "no machine was left behind")


@case
def a_guest_that_halts_forever_halts_forever():
    """The guest stays behind its HLT: only an interrupt wakes it, and none comes."""
    machines = (), ("--profile", "legacy", "--irqchip", "none")
    guests = (guest("idle"),), (guest("idle"), "--append", "spin"), (guest_file("registers"), "--append", "halt")
    for options, words in itertools.product(machines, guests):
        with carries(1, 1000, 30):
            process = popen(("boot", *words, *options))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
            check(process.poll() is None, f"{options}: it ended, status {process.returncode}")
            process.kill()
            process.wait()


@case
def configuration_by_ports_is_the_same_as_by_memory():
    """The address port's value may be all that is left of a guest's access."""
    with disks(2, is_sparse=True) as paths:
        options = ("--profile", "legacy", "--disk", paths[0], "--disk", paths[1])

        def findings(words):
            outcome = boot(guest("pciprobe"), "--append", words, *options)
            check_status(outcome, 0)
            return [line for line in outcome.out.splitlines() if not line.startswith(b"pci by ")]

        expected = findings("readonly=1")
        for seed in range(6):
            with carries(seed, 400):
                check(findings("readonly=1 cf8") == expected, f"seed {seed}: something else was found")


@case
def doorbells_and_interrupts_that_move():
    with disks() as (disk,):
        # The first way moves once and stays there; a restored machine polls its rings, so the last requests
        # must do without a restore.
        ways = ("count=1 stay=", 1500, 3000, 4, "inline"), ("count=", 101, 100, 100, "thread")
        for seed, (counted, count, apart_us, machines, io) in itertools.product(SEEDS, ways):
            def boot_for(length):
                words = f"what=rewire {counted}{count * length}"
                outcome = boot(guest_file("virtioorders"), "--disk", disk, "--io", io, "--append", words)
                check_status(outcome, 0)
                check(b"FAIL" not in outcome.out and b"done" in outcome.out, "something was lost", outcome)

            check_often(3, (seed, apart_us, machines), boot_for)


@case
def disks_that_are_measured():
    with disks() as (disk,):
        for io, seed in itertools.product(("inline", "thread"), SEEDS):
            def boot_for(length):
                words = f"dev=blk op=write size=4096 depth=16 count={4000 * length} irq=1"
                check_status(boot(guest("iobench"), "--disk", disk, "--io", io, "--append", words), 0)

            check_often(6, (seed, 3000), boot_for)


@case
def a_machine_with_a_shared_directory_stays_where_it_is():
    with harness.temporary_directory() as directory, carries(1, 0):
        outcome = boot(guest("timer"), "--share", directory)
        check_status(outcome, 70)
        check(f"carrying: save: a machine that shares {directory}" in outcome.err, "not refused so", outcome)


if __name__ == "__main__":
    main()
