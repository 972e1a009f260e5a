#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pause_cost: how long a machine takes to stand still, and to go on.

mayfly_pausing (tests/kvm/pause) is mayfly, and pauses its machine at random moments: an idle one without
devices, and one that keeps 32 reads of a disk in flight, with interrupts. A pause ends when every vCPU is out
of KVM_RUN, all requests are done, and the I/O thread is parked.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

from support import results

SECONDS = 8
DISK_BYTES = 16 << 20
IDLE_PAUSE_MAX_US, RESUME_MAX_US, DISK_PAUSE_MAX_US = 200, 100, 1000
PLAN = "1:2000:200"  # moments by seed 1, up to 2 ms apart, standing still for up to 0.2 ms


def pauses(options, out, boot):
    """(microseconds of each pause, of each resume)"""
    log = out / "pauses"
    log.unlink(missing_ok=True)
    done = subprocess.run([options.pausing, "boot", *boot], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          env={**os.environ, "MAYFLY_PAUSES": PLAN, "MAYFLY_PAUSES_LOG": str(log)})
    if done.returncode != options.status.get(boot[0], 0):
        raise RuntimeError(f"{boot}: status {done.returncode}: {done.stderr.decode()}")
    taken = json.loads(log.read_text())
    log.unlink()
    return [[ns / 1000 for ns in taken[name]] for name in ("pause_ns", "resume_ns")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pausing", required=True)
    parser.add_argument("--guest", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    options = parser.parse_args()
    options.status = {"builtin:idle": 124}
    bench = results.Bench("pause_cost", options.out)
    results.note_if_busy(bench)
    disk = options.out / "pause_disk"
    disk.write_bytes(os.urandom(DISK_BYTES))
    contenders = (
        ("idle, no device", IDLE_PAUSE_MAX_US, ["builtin:idle", "--timeout", str(SECONDS)]),
        ("32 reads of a disk in flight", DISK_PAUSE_MAX_US,
         [options.guest, "--disk", str(disk), "--append", "dev=blk op=read depth=32 count=1000000 irq=1"]))
    for name, pause_max_us, boot in contenders:
        paused, resumed = pauses(options, options.out, boot)
        median = bench.add_spread("pause() to paused", name, "us", paused, 0)["median"]
        bench.add_limit(f"pause, {name}, median", median, pause_max_us, unit="us")
        median = bench.add_spread("resume()", name, "us", resumed, 0)["median"]
        bench.add_limit(f"resume, {name}, median", median, RESUME_MAX_US, unit="us")
    disk.unlink()
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
