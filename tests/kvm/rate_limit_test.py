# SPDX-License-Identifier: Apache-2.0
"""Rate limits of disks and networks: no guest is ever faster than they allow, and waiting costs no CPU.

Only lower bounds of times are tested: N requests at R a second with a burst of B take (N - B) / R seconds at
least, however busy the host is.
"""
import json
import os
import tempfile
import time

from harness import Failure, boot, case, check, check_silent, check_status, guest_file
from network_harness import AtEnd, Flood, Tap, main

DISK_BYTES = 8 << 20


class Run:
    """A run of iobench: its time by the clock, and mayfly's counts."""

    def __init__(self, words, *options):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "stats")
            started = time.monotonic()
            arguments = ("--append", words, "--timeout", 50, "--stats-json", path)
            self.outcome = boot(guest_file("iobench"), *arguments, *options)
            self.seconds = time.monotonic() - started
            check_status(self.outcome, 0)
            check(b"FAIL" not in self.outcome.out, "the guest reports a failure", self.outcome)
            check_silent(self.outcome)
            with open(path, encoding="utf-8") as file:
                self.stats = json.load(file)

    def queue(self, name):
        for device in find_key(self.stats, "devices"):
            for queue in device["queues"]:
                if queue["name"] == name:
                    return queue
        raise Failure(f"no queue {name} in {self.stats}")

    def check_took(self, seconds):
        check(self.seconds >= seconds, f"faster than allowed: {seconds:.2f} s at least", self.outcome)

    def check_slept(self, waits_max):
        """Checks that the I/O thread turned about as often as a wait ended, and did not poll forever."""
        loop = find_key(self.stats, "io_thread")
        for count in ("turns", "io_uring_enter"):
            check(loop[count] <= waits_max, f"{count}: {waits_max} are enough, not {loop}", self.outcome)


def find_key(tree, key):
    if key in tree:
        return tree[key]
    for value in tree.values():
        if isinstance(value, dict) and (found := find_key(value, key)) is not None:
            return found
    return None


def disk(words, limits, machine=()):
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(DISK_BYTES)
        return Run(f"dev=blk warmup=0 {words}", "--disk", f"{file.name},{limits}", *machine)


def net(words, limits, end=AtEnd, machine=()):
    with Tap("t0"), end("t0") as seen:
        run = Run(f"dev=net warmup=0 {words}", "--net", f"tap=t0,{limits}", *machine)
    return run, seen


@case
def disk_requests_a_second():
    for words, machine in (
        ("depth=1", ()),
        ("depth=32 ring=packed op=write", ()),
        ("depth=32 irq=msix", ("--io", "inline")),
        ("depth=8 transport=mmio", ("--profile", "legacy", "--transport", "mmio", "--io", "thread")),
    ):
        run = disk(f"size=4096 count=150 {words}", "iops=100:30", machine)
        run.check_took((150 - 30) / 100)
        requests = run.queue("requests0")["requests"]
        check(requests == 150, f"{requests} requests were counted", run.outcome)
        # A wake-up for each request, its doorbell, its timer; a busy loop has a million.
        run.check_slept(20 * 150)


@case
def disk_bytes_a_second():
    for words, limits, bytes_in_all, rate, burst in (
        ("size=4096 depth=8 count=100", "bw=256K:64K", 100 * 4096, 256 << 10, 64 << 10),
        # Each larger than the burst: served, and paid for afterwards.
        ("size=131072 depth=4 count=12 op=write", "bw=1M:64K", 11 * 131072, 1 << 20, 64 << 10),
    ):
        run = disk(words, limits)
        run.check_took((bytes_in_all - burst) / rate)
        run.check_slept(20 * 100)


@case
def both_limits_of_a_disk_hold():
    run = disk("size=4096 depth=8 count=100", "iops=1000000,bw=256K:64K")
    run.check_took((100 * 4096 - (64 << 10)) / (256 << 10))
    run = disk("size=4096 depth=8 count=100", "iops=80:20,bw=1G")
    run.check_took((100 - 20) / 80)


@case
def without_a_burst_a_tenth_of_a_second_is_one():
    run = disk("size=512 depth=1 count=120", "iops=100")
    run.check_took((120 - 10) / 100)


@case
def a_reset_of_a_disk_does_not_refill_its_bucket():
    # Ten times 20 requests: with a full bucket after each reset none would ever wait.
    run = disk("size=512 depth=8 count=20 resets=9", "iops=100:40")
    check(run.outcome.out.count(b"iobench dev=blk") == 10, "not ten rounds", run.outcome)
    run.check_took((200 - 40) / 100)


@case
def a_reset_of_a_network_does_not_refill_its_bucket():
    run, _ = net("op=send count=20 resets=9 depth=16", "pps=100:40")
    check(run.outcome.out.count(b"iobench dev=net") == 10, "not ten rounds", run.outcome)
    run.check_took((200 - 40) / 100)


@case
def a_limited_disk_leaves_others_alone():
    with tempfile.NamedTemporaryFile() as slow, tempfile.NamedTemporaryFile() as fast:
        for file in (slow, fast):
            file.truncate(DISK_BYTES)
        disks = ("--disk", f"{slow.name},iops=1:1", "--disk", fast.name)
        # At the slow disk's rate it would take hours.
        run = Run("dev=blk warmup=0 count=20000 depth=8 index=1", *disks)
    check(run.outcome.out.count(b"requests=20000") == 1, "not all requests", run.outcome)


@case
def frames_sent_a_second():
    for words, machine in (
        ("depth=64", ()),
        ("depth=8 ring=packed irq=msix", ("--profile", "legacy")),
        ("depth=1 transport=mmio", ("--profile", "legacy", "--transport", "mmio")),
    ):
        run, seen = net(f"op=send count=150 {words}", "pps=100:30", machine=machine)
        run.check_took((150 - 30) / 100)
        check(seen.frames == 150, f"{seen.frames} frames came out", run.outcome)
        run.check_slept(20 * 150)


@case
def bytes_sent_a_second():
    run, seen = net("op=send size=1460 count=200 depth=32", "bw=128K:32K")
    run.check_took((200 * 1460 - (32 << 10)) / (128 << 10))
    check(seen.frames == 200, f"{seen.frames} frames came out", run.outcome)
    run.check_slept(20 * 200)
    run, seen = net("op=send size=65000 count=8 depth=4", "bw=256K:64K")
    run.check_took((7 * 65000 - (64 << 10)) / (256 << 10))
    check(seen.frames == 8, f"{seen.frames} frames came out", run.outcome)


@case
def frames_received_a_second():
    # A frame's cost is known only when it has come: the last may be taken on credit.
    run, _ = net("op=receive size=1500 count=150 depth=64", "pps=100:30", end=Flood)
    run.check_took((150 - 30 - 1) / 100)
    check(run.queue("receive0")["requests"] <= 150 + 1 + 64, "more was taken", run.outcome)
    # The flood wakes it, too, but not for each of its frames.
    run.check_slept(20 * 150 + 20_000)


@case
def bytes_received_a_second():
    run, _ = net("op=receive size=1500 count=150 depth=64", "bw=128K:32K", end=Flood)
    run.check_took((149 * 1500 - (32 << 10)) / (128 << 10))


main()
