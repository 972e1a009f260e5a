# SPDX-License-Identifier: Apache-2.0
"""Disks at full speed, counted: returns to user space, doorbells that the kernel catches, calls of io_uring;
and mayfly and the guest agree about them."""
import glob
import json
import os
import subprocess

from harness import HANG_SECONDS, Failure, case, check, guest_file, main, popen, skip
from harness import temporary_directory
from virtio_harness import PLACES, boot_and_count, check_good, disks, iobench_lines, queue_counts
from virtio_harness import returns_but_console, words

PAGE = 4096


def bench(place, io, options="", **plan):
    """One round of iobench from the first request on: its line, and mayfly's counts."""
    plan = {"dev": "blk", "warmup": 0, **plan}
    with disks() as (path,):
        outcome, stats = boot_and_count(place, "iobench", words(plan), "--disk", path + options, "--io", io)
    check_good(outcome)
    lines = iobench_lines(outcome.out)
    check(len(lines) == plan.get("rounds", 1), f"{len(lines)} lines", outcome)
    return lines, stats


def check_agreement(lines, stats, device="disk0"):
    queue = queue_counts(stats, device)
    for key, theirs in (("requests", "requests"), ("bytes", "bytes")):
        total = sum(line[theirs] for line in lines)
        check(queue[key] == total, f"{key}: the guest had {total}, mayfly counts {queue[key]}")
    rung = sum(line["rung"] for line in lines)
    doorbells = queue["doorbells_trapped"] + queue["doorbells_caught"]
    check(doorbells == rung, f"the guest rang {rung} times, mayfly counts {queue}")
    sent = sum(queue["interrupts_" + how] for how in ("irqfd", "signal_msi", "line"))
    check(queue["interrupts_sent"] == sent, f"{queue}")
    asked = sent + queue["interrupts_suppressed"] + queue["interrupts_pending"]
    check(queue["interrupts_asked"] == asked, f"{queue}")
    # Two may arrive as one, where the first was not taken yet; none comes from nowhere.
    seen = sum(line["interrupts"] for line in lines)
    check(seen <= sent, f"the guest saw {seen} interrupts, mayfly sent {sent}")
    return queue


@case
def counts_agree_with_the_guests():
    for place, irqs in (
        ("modern pci", ("none", "msix")),
        ("legacy pci", ("none", "msix", "intx")),
        ("legacy ports", ("none", "intx")),
        ("legacy mmio", ("none", "edge")),
    ):
        for irq in irqs:
            for io in ("inline", "thread", "auto"):
                for depth, op, size in ((1, "read", PAGE), (8, "write", 2 * PAGE), (32, "read", 512)):
                    plan = {"irq": irq, "depth": depth, "op": op, "size": size, "count": 200}
                    try:
                        lines, stats = bench(place, io, **plan)
                        queue = check_agreement(lines, stats)
                    except Failure as failure:
                        raise Failure(f"{place} {io} {plan}: {failure}") from None
                    if irq == "none":
                        check(queue["interrupts_sent"] <= 1, f"unwanted interrupts: {queue}")
                    else:
                        check(lines[0]["interrupts"] > 0, f"{place} {io} {plan}: no interrupt seen")


def returns_at_two_lengths(place, io, **plan):
    """Returns to user space of a short and a long run, without the console's and without doorbells that
    trapped; and those doorbells."""
    result = []
    for count in (1000, 9000):
        lines, stats = bench(place, io, count=count, **plan)
        queue = check_agreement(lines, stats)
        trapped = queue["doorbells_trapped"]
        result.append((count, returns_but_console(stats) - trapped, trapped, stats))
    return result


@case
def requests_on_the_io_thread_return_to_user_space_never():
    for depth in (8, 32):
        for irq in ("none", "msix"):
            short, long = returns_at_two_lengths("modern pci", "thread", depth=depth, irq=irq)
            about = f"depth {depth}, irq {irq}: {short}\n{long}"
            check(short[1] == long[1], f"{long[1] - short[1]} returns for 8000 more requests, {about}")
            # The first may ring while the thread takes them over; until then nothing completes.
            check(max(short[2], long[2]) <= 2, f"doorbells trap for long: {about}")
            check(long[3]["virtio"]["devices"][0]["work"] == "thread", about)
            check(long[3]["interrupted"] == 0, f"vCPUs were interrupted: {about}")


@case
def every_transports_doorbell_stays_in_the_kernel():
    caught = 0
    for place in PLACES:
        for depth in (1, 32):
            short, long = returns_at_two_lengths(place, "thread", depth=depth, irq="none")
            check(long[2] <= 2, f"{place}: doorbells trap for long: {long}")
            check(short[1] == long[1], f"{place}: returns for requests: {short}\n{long}")
            # No doorbell is caught where the thread never slept.
            caught += queue_counts(long[3])["doorbells_caught"]
    check(caught > 0, "no doorbell was ever caught")


@case
def a_hot_queue_is_promoted_and_a_cold_one_is_not():
    if len(os.sched_getaffinity(0)) < 2:
        skip("a thread that shares its only CPU with the guest does not help, and none is started")
    lines, stats = bench("modern pci", "auto", depth=8, count=20000)
    queue = check_agreement(lines, stats)
    check(stats["virtio"]["devices"][0]["work"] == "thread", f"not promoted: {stats}")
    # Inline, each batch of eight would ring. Caught doorbells may be missing: a thread that is awake wants
    # none.
    check(queue["doorbells_trapped"] < queue["requests"] / 8 / 2, f"not promoted: {queue}")
    # A host that stalls makes any request slow enough for promotion: not each time.
    for _ in range(8):
        lines, stats = bench("modern pci", "auto", depth=1, count=5)
        check_agreement(lines, stats)
        if stats["virtio"]["devices"][0]["work"] == "inline":
            break
    check(stats["virtio"]["devices"][0]["work"] == "inline", f"promoted by 5 requests: {stats}")
    check("io_thread" not in stats["virtio"], f"a thread for nothing: {stats}")


@case
def inline_a_request_returns_once():
    for irq in ("none", "msix"):
        short, long = returns_at_two_lengths("modern pci", "inline", depth=1, irq=irq)
        check(short[1] == long[1], f"returns besides doorbells: {short}\n{long}")
        for count, _, trapped, stats in (short, long):
            check(0 < trapped <= count, f"{trapped} doorbells for {count} requests")
            check("io_thread" not in stats["virtio"], f"a thread: {stats}")


@case
def io_uring_is_entered_seldom_at_depth_32():
    """Past the page cache each request completes for itself, later: on a slow disk that takes an entry to
    begin it and one to wait for it, but no more."""
    for irq in ("none", "msix"):
        for op, options, most in (("read", "", 0.3), ("write", "", 0.3), ("read", ",direct", 2.1)):
            counts = []
            # A write to a page that the host is just writing to its disk waits: not in each round.
            while not counts or (counts[-1] > most * 20000 and len(counts) < 5):
                os.sync()
                lines, stats = bench("modern pci", "thread", options, depth=32, irq=irq, op=op, count=20000)
                check_agreement(lines, stats)
                counts.append(stats["virtio"]["io_thread"]["io_uring_enter"])
            check(counts[-1] <= most * 20000, f"{op}{options}, irq {irq}: {counts} for 20000 requests")


@case
def interrupts_go_by_irqfd():
    for place, irq in (("modern pci", "msix"), ("legacy pci", "msix"), ("legacy mmio", "edge")):
        lines, stats = bench(place, "thread", depth=8, irq=irq, count=5000)
        queue = check_agreement(lines, stats)
        check(queue["interrupts_irqfd"] > 0, f"{place}: {queue}")
        check(queue["interrupts_signal_msi"] == queue["interrupts_line"] == 0, f"{place}: {queue}")


def thread_names(pid):
    names = set()
    for path in glob.glob(f"/proc/{pid}/task/*/comm"):
        try:
            with open(path, encoding="utf-8") as file:
                names.add(file.read().strip())
        except OSError:
            continue  # it ended just now
    return names


@case
def cached_requests_make_no_workers():
    with disks() as (path,), temporary_directory() as directory:
        stats = os.path.join(directory, "stats")
        plan = {"dev": "blk", "op": "read", "depth": 32, "irq": "msix", "count": 200000}
        arguments = ("--io", "thread", "--disk", path, "--append", words(plan), "--timeout", 40)
        process = popen(["boot", guest_file("iobench"), *arguments, "--stats-json", stats])
        seen, most = set(), 0
        for _ in range(HANG_SECONDS * 100):
            names = thread_names(process.pid)
            seen |= names
            most = max(most, len(glob.glob(f"/proc/{process.pid}/task/*")))
            try:
                process.wait(0.01)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            process.kill()
        out, err = process.communicate()
        check(process.returncode == 0, f"status {process.returncode}: {out} {err}")
        with open(stats, encoding="utf-8") as file:
            check(json.load(file)["virtio"]["devices"][0]["work"] == "thread", "no I/O thread")
    check(most >= 3, f"the threads were not seen: {seen}, at most {most} at once")
    check(not [name for name in seen if name.startswith("iou-")], f"workers of io_uring: {seen}")


@case
def several_queues_and_disks_are_counted_apart():
    with disks(2) as paths:
        options = ("--disk", paths[0], "--disk", paths[1] + ",queues=4")
        plan = words({"dev": "blk", "index": 1, "depth": 8, "count": 500, "warmup": 0, "rounds": 3})
        outcome, stats = boot_and_count("modern pci", "iobench", plan, *options)
        check_good(outcome)
    check_agreement(iobench_lines(outcome.out), stats, "disk1")
    for device, queue in (("disk0", "requests0"), ("disk1", "requests1"), ("disk1", "requests3")):
        counts = queue_counts(stats, device, queue)
        check(all(value == 0 for key, value in counts.items() if key != "name"), f"{counts}")


main()
