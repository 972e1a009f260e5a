# SPDX-License-Identifier: Apache-2.0
"""A device that floods does not starve another: by counts of work done in between, not by time.

The I/O thread does at most 64 chains of a queue before it publishes them and turns to others. Without the
first bound batches are larger. Without the second it never leaves a ring that the guest refills fast enough,
and the flood's work during one request of the other device exceeds any ring's size.
"""
import contextlib
import json
import os
import re
import tempfile

from harness import boot, case, check, check_silent
from network_harness import Flood, Tap, check_guest, main, virtio

BATCH = 64
RING = 256
# Two rings are done before the guest looks: the full one, and the buffers made available during the request.
MOST = 4 * RING
DISK_BYTES = 4 << 20


def flood(words, *options, by_host=False):
    """The largest part of the flood done during one request, and mayfly's counts of each queue."""
    with tempfile.NamedTemporaryFile() as disk, tempfile.TemporaryDirectory() as directory:
        disk.write(bytes(DISK_BYTES))
        disk.flush()
        path = os.path.join(directory, "stats")
        devices = ("--net", "tap=t0", "--disk", disk.name, "--io", "thread", "--stats-json", path)
        with Tap("t0"), Flood("t0") if by_host else contextlib.nullcontext():
            outcome = boot(*virtio(f"device=fair {words}", *devices, *options))
        check_guest(outcome, b"ok fair\n", b"ok fair reset")
        check_silent(outcome)
        with open(path, encoding="utf-8") as file:
            stats = json.load(file)
    most = int(re.search(rb"fair most (\d+)", outcome.out).group(1))
    devices = stats["devices"] if "devices" in stats else stats["virtio"]["devices"]
    queues = {f"{device['name']} {queue['name']}": queue for device in devices for queue in device["queues"]}
    return most, queues, outcome


def check_batches(queues, name, outcome):
    """Checks that each batch is published, and asks for an interrupt, wanted or not."""
    queue = queues[name]
    requests, batches = queue["requests"], queue["interrupts_asked"]
    check(requests > 20 * BATCH, f"{requests} requests of {name} are not a flood", outcome)
    check(requests <= BATCH * batches, f"{requests} requests of {name} in {batches} batches", outcome)


@case
def a_disk_is_answered_while_frames_flood():
    for words in ("size=60000 rounds=300", "size=60 ring=packed rounds=4000", "size=1514 rounds=2000"):
        most, queues, outcome = flood(f"flood=net {words}")
        check(most <= MOST, f"{most} frames while one request of the disk waited", outcome)
        check_batches(queues, "net0 transmit0", outcome)


@case
def a_disk_is_answered_while_frames_flood_on_the_other_transports():
    for words, options in (
        ("transport=legacy", ("--profile", "legacy")),
        ("transport=mmio", ("--profile", "legacy", "--transport", "mmio")),
    ):
        most, _, outcome = flood(f"flood=net rounds=2000 {words}", *options)
        check(most <= MOST, f"{most} frames while one request of the disk waited", outcome)


@case
def a_frame_is_sent_while_a_disk_is_flooded():
    for words in ("ring=split", "ring=packed"):
        most, queues, outcome = flood(f"flood=blk rounds=2000 {words}")
        check(most <= MOST, f"{most} requests while one frame waited", outcome)
        check_batches(queues, "disk0 requests0", outcome)


@case
def a_host_that_floods_starves_no_disk():
    # The guest gives no room for frames: each readiness of the tap is a false alarm.
    most, _, outcome = flood("flood=net rounds=500", by_host=True)
    check(most <= MOST, f"{most} frames while one request of the disk waited", outcome)
    most, _, outcome = flood("flood=blk rounds=500", by_host=True)
    check(most <= MOST, f"{most} requests while one frame waited", outcome)


main()
