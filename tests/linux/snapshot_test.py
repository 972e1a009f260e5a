# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels that are saved to a directory while they work, and go on from there in another process. With a
program of --exec: vmx_test.py."""
import re
import signal

from harness import OK, case, check, check_status, kernel, linux_host, main
from guests import busybox_initramfs

BOOT_SECONDS = 300
COUNT = 60
INIT = f"""#!/bin/sh
mounts
echo "counting on $(grep -c ^processor /proc/cpuinfo)"
n=0
while [ $n -lt {COUNT} ]; do n=$((n + 1)); echo "number $n"; usleep 50000; done
echo "end"
poweroff -f
"""
VERSIONS = ("6.1", "6.12")
MACHINES = (("--profile", "modern", "--cpus", "2"), ("--profile", "legacy"))

host = linux_host(
    kernels=["6.1/bzImage", "6.12/vmlinux"],
    files={f"/work/initrd-{v}": busybox_initramfs(INIT, {}, kernel(v), []) for v in VERSIONS},
)
KERNELS = {"6.1": host.path("/kernels/6.1/bzImage"), "6.12": host.path("/kernels/6.12/vmlinux")}


def save(name, *words):
    """Boots until some numbers were printed, and a snapshot then: the output."""
    process = host.popen(["mayfly", "boot", "--snapshot", name, "--snapshot-at", "signal", *words])
    check(process.wait_for_output("number 5\\D", timeout=BOOT_SECONDS) is not None, "it does not count")
    process.signal(signal.SIGUSR2)
    outcome = process.wait(BOOT_SECONDS)
    check_status(outcome, OK)
    return outcome.out


def check_numbers(first, second):
    """No number is missing, none comes twice."""
    found = [int(number) for number in re.findall(rb"number (\d+)\D", first + second)]
    check(found == list(range(1, COUNT + 1)), f"numbers {found}")
    check(len(re.findall(rb"number", second)) > COUNT // 3, "the snapshot came late")


@case
def linux_goes_on_where_it_was():
    for version in VERSIONS:
        for machine in MACHINES:
            name = f"/tmp/{version}{machine[1]}"
            first = save(name, KERNELS[version], "--initrd", host.path(f"/work/initrd-{version}"), *machine,
                         "--append", "quiet")  # fmt: skip
            for _ in range(2):
                outcome = host.mayfly("restore", name, timeout=BOOT_SECONDS)
                check_status(outcome, OK)
                check(b"end" in outcome.out and b"WARNING" not in outcome.out, "its end", outcome)
                check_numbers(first, outcome.out)
            host.run(["rm", "-r", name])


if __name__ == "__main__":
    main()
