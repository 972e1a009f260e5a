# SPDX-License-Identifier: Apache-2.0
"""Once mayfly has ended, its caller need not wait for any part of the machine. Arguments: MAYFLY
GUESTS-DIRECTORY [WORDS]."""
import contextlib
import ctypes
import glob
import os
import select
import signal
import subprocess
import time

import harness
from harness import case, check, main, skip, temporary_directory

PROFILES = ("modern", "legacy")
# Grace periods of a busy host; on an idle one the VM is gone within 40 ms.
GONE_SECONDS = 10
# A busy host may check so late that the VM is gone already.
TRIES = 50
MNT_DETACH = 2
CGROUP_ROOTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpu")
libc = ctypes.CDLL(None, use_errno=True)


def start(profile, guest="builtin:hello", **options):
    return subprocess.Popen([harness.mayfly_path, "boot", guest, "--profile", profile], stdin=subprocess.DEVNULL,
                            **options)


@case
def nobody_keeps_the_callers_pipes():
    for profile in PROFILES:
        reader, writer = os.pipe()
        process = start(profile, stdout=writer, stderr=writer)
        os.close(writer)
        process.wait(timeout=60)
        out = b""
        while True:
            ready, _, _ = select.select([reader], [], [], 0)
            check(bool(ready), f"{profile}: another process may still write to the pipe")
            piece = os.read(reader, 4096)
            if not piece:
                break
            out += piece
        os.close(reader)
        check(out == b"Hello from mayfly\n", f"{profile}: {out!r}")


@case
def a_boots_cgroup_can_be_removed_at_once():
    root = next((root for root in CGROUP_ROOTS if os.path.exists(f"{root}/cgroup.procs")), None)
    if root is None or not os.access(root, os.W_OK):
        skip("no cgroups that this user may make")
    for profile in PROFILES:
        cgroup = f"{root}/mayfly-test-{os.getpid()}"
        os.mkdir(cgroup)
        try:
            process = start(profile, stdout=subprocess.DEVNULL,
                            preexec_fn=lambda: open(f"{cgroup}/cgroup.procs", "w", encoding="ascii").write("0"))
            process.wait(timeout=60)
        finally:
            os.rmdir(cgroup)


@contextlib.contextmanager
def vms_of():
    """A function that says whether KVM still has the VM of a process."""
    with temporary_directory() as place:
        if libc.mount(b"none", place.encode(), b"debugfs", 0, None) != 0:
            skip(f"debugfs cannot be mounted: {os.strerror(ctypes.get_errno())}")
        try:
            yield lambda process: bool(glob.glob(f"{place}/kvm/{process.pid}-*"))
        finally:
            libc.umount2(place.encode(), MNT_DETACH)


@case
def nobody_waits_for_the_vm_to_be_taken_apart():
    # The switch exists since Linux 6.6.
    switch = "/proc/sys/kernel/io_uring_disabled"
    if os.path.exists(switch) and open(switch, encoding="ascii").read().strip() != "0":
        skip("io_uring is switched off on this host")
    with vms_of() as has_vm:
        for profile in PROFILES:
            for _ in range(TRIES):
                process = start(profile, stdout=subprocess.DEVNULL)
                process.wait(timeout=60)
                if has_vm(process):
                    break
            else:
                check(False, f"{profile}: each of {TRIES} VMs was gone before mayfly was")


@case
def the_vm_is_gone_soon():
    with vms_of() as has_vm:
        for profile in PROFILES:
            process = start(profile, guest="builtin:idle", stdout=subprocess.DEVNULL)
            deadline = time.monotonic() + GONE_SECONDS
            while not has_vm(process):
                check(time.monotonic() < deadline, "KVM shows no VM in debugfs")
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            deadline = time.monotonic() + GONE_SECONDS
            while has_vm(process):
                check(time.monotonic() < deadline, f"{profile}: the VM is still there")
                time.sleep(0.01)


if __name__ == "__main__":
    main()
