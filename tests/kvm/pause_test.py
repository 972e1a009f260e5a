# SPDX-License-Identifier: Apache-2.0
"""Machines that are paused and resumed at random moments (pause/pausing.cc), and taken apart in one process.

Whole test programs run on such machines as well: kvm_paused_* in meson.build.
"""
import contextlib
import json
import os
import subprocess
import time

import harness
from harness import boot, case, check, check_status, finish, guest, guest_file, popen, skip, temporary_directory
from network_harness import ON_EVERY_MACHINE, Echo, Tap, interrupts_of, main, options_of, virtio
from virtio_harness import PLACES, boot_at, check_good, disks

PAUSES_MIN = 10_000
ROUNDS_MAX = 100
STALLED_SECONDS = 3
FLOOD_BYTES = 200_000


@contextlib.contextmanager
def pauses(plan):
    """Machines pause by this plan; yields a function that reads the lines about them."""
    with temporary_directory() as directory:
        log = os.path.join(directory, "pauses")
        os.environ.update(MAYFLY_PAUSES=plan, MAYFLY_PAUSES_LOG=log)
        try:
            yield lambda: lines_of(log)
        finally:
            del os.environ["MAYFLY_PAUSES"], os.environ["MAYFLY_PAUSES_LOG"]


def lines_of(log):
    with open(log, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def again_and_again(seed, run):
    """Repeats with other moments, until there were enough pauses."""
    total = 0
    for number in range(ROUNDS_MAX):
        with pauses(f"{seed + number}:60:20") as lines:
            run(number)
            total += sum(len(line["pause_ns"]) for line in lines())
        if total >= PAUSES_MIN:
            return
    check(False, f"only {total} pauses in {ROUNDS_MAX} rounds")


@case
def ten_thousand_pauses_under_load_lose_no_byte_of_a_disk_and_no_interrupt():
    for place, (profile, _, driver) in PLACES.items():

        def run(number, place=place, interrupts=interrupts_of(profile, driver)):
            ring = ("", "event_idx=0", "indirect=0")[number % 3]
            packed = "ring=packed" if number % 2 and place != "legacy ports" else ""
            with disks() as (disk,):
                words = f"device=blk irq={interrupts} {ring} {packed}"
                io = ("auto", "thread", "inline")[number % 3]
                check_good(boot_at(place, "virtio", words, "--disk", disk, "--io", io))

        again_and_again(100, run)


@case
def ten_thousand_pauses_under_load_lose_no_frame_and_no_interrupt():
    for profile, transport in ON_EVERY_MACHINE:
        with Tap("t0"), Echo("t0"):

            def run(number, profile=profile, transport=transport):
                ring = "packed" if number % 2 and transport != "legacy" else "split"
                words = f"device=net transport={transport} irq={interrupts_of(profile, transport)} ring={ring}"
                words += " frames=4096"
                check_good(boot(*virtio(words, *options_of("t0", profile, transport))))

            again_and_again(200, run)


@case
def a_reader_that_has_stalled_makes_a_pause_fail_in_time_and_the_machine_goes_on():
    with pauses("1:20000:0:30") as lines:
        began = time.monotonic()
        process = popen(("boot", guest_file("flood"), "--append", f"bytes={FLOOD_BYTES} rep", "--timeout", "60"))
        time.sleep(STALLED_SECONDS)  # its output is not read
        outcome = finish(process, began)
        check_status(outcome, 0)
        (line,) = lines()
    check(len(outcome.out) == FLOOD_BYTES, f"{len(outcome.out)} bytes came, not {FLOOD_BYTES}")
    check(line["failed"] > 0, "no pause failed")
    why = "vCPU 0 does not stop within 30 ms"
    check(why in line["whys"], f"other reasons: {line['whys']}")


@contextlib.contextmanager
def file_system_to_freeze():
    """A directory whose writes hang between fsfreeze -f and -u."""
    with temporary_directory() as directory:
        image, place = (os.path.join(directory, name) for name in ("image", "place"))
        with open(image, "wb") as file:
            file.truncate(64 << 20)
        os.mkdir(place)
        for command in (("mkfs.ext4", "-q", "-F", image), ("mount", "-o", "loop", image, place)):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                skip(f"{command[0]}: {done.stderr.strip()}")
        try:
            yield place
        finally:
            subprocess.run(("fsfreeze", "-u", place), capture_output=True, check=False)
            subprocess.run(("umount", place), check=True)


def await_hanging_write(pid):
    """Waits until a thread sleeps where no signal wakes it; how soon depends on the build and the host's
    load."""
    deadline = time.monotonic() + 20
    while True:
        check(time.monotonic() < deadline, "the guest has written nothing")
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/task/{task}/stat", "rb") as file:
                if file.read().rpartition(b")")[2].split()[0] == b"D":
                    return
        time.sleep(0.001)


@case
def a_disk_that_hangs_makes_pauses_fail_in_time_and_no_request_is_lost():
    """Writes by the I/O thread, and by the vCPU, which then waits for the host itself."""
    by_vcpu = "vCPU 0 does not stop within 300 ms"
    # The vCPU waits as well, for a device whose thread hangs, if it rings before the thread listens.
    whys = {
        "thread": ("the I/O thread did not finish its work in time",
                   "disk0: the host did not finish", by_vcpu),
        "inline": (by_vcpu,),
    }
    for io, expected in whys.items():
        with file_system_to_freeze() as place, pauses("1:20000:0:300") as lines:
            disk = os.path.join(place, "disk")
            with open(disk, "wb") as file:
                file.truncate(16 << 20)
            # From the first write on: a freeze under way waits for writes, so that a guest could be done first.
            subprocess.run(("fsfreeze", "-f", place), check=True)
            began = time.monotonic()
            words = "dev=blk op=write size=4096 depth=4 count=30000 irq=1"
            process = popen(("boot", guest("iobench"), "--disk", disk, "--io", io, "--append", words))
            await_hanging_write(process.pid)
            time.sleep(1.5)
            subprocess.run(("fsfreeze", "-u", place), check=True)
            outcome = finish(process, began)
            check_status(outcome, 0)
            check(b"requests=30000" in outcome.out and b"errors=0" in outcome.out, "a request was lost", outcome)
            (line,) = lines()
        check(line["failed"] > 0 and len(line["pause_ns"]) > 0, f"{io}: {line['failed']} pauses failed")
        check(any(why.startswith(expected) for why in line["whys"]), f"{io}: other reasons: {line['whys']}")


def many(count, *options):
    program = os.path.join(os.path.dirname(harness.mayfly_path), "many_machines")
    done = subprocess.run([program, str(count), *options], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=200, check=False)
    check(done.returncode == 0, f"{done.stdout}{done.stderr}")


@case
def a_thousand_machines_in_one_process_leave_nothing():
    with disks() as (disk,):
        devices = ("--disk", disk, "--rng", "--console", "null,hvc", "--testdev")
        many(1000, "--cpus", "2", *devices, "builtin:hello")
    many(100, "--cpus", "1", "--irqchip", "none", "builtin:hello")
    many(100, "--cpus", "1", "--profile", "legacy", "builtin:hello")
    many(60, "--cpus", "1", "--testdev", "builtin:msi")  # with trains of interrupts under way


@case
def machines_whose_devices_have_worked_leave_nothing():
    with disks() as (disk,):
        for io in ("inline", "thread"):
            words = ("--cpus", "1", "--disk", disk, "--io", io, "--append", "device=blk")
            many(70, *words, guest_file("virtio"))


if __name__ == "__main__":
    main()
