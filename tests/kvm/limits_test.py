# SPDX-License-Identifier: Apache-2.0
"""A host that allows little: few threads, descriptors, bytes of a file or of memory. One line, status 125."""
import os
import resource
import shutil
import subprocess

import harness
from harness import FAILED, boot, case, check, check_one_line, check_refused, check_status, guest, main, skip
from harness import temporary_directory


def limited(what, limit):
    return lambda: resource.setrlimit(what, (limit, limit))


@case
def too_few_descriptors():
    for limit in range(4, 16):
        outcome = boot(
            guest("hello"), "--cpus", 4, "--timeout", 20, preexec_fn=limited(resource.RLIMIT_NOFILE, limit)
        )
        if outcome.status != 0:
            check_refused(outcome, "oo many open files")
    check_status(outcome, 0)


@case
def too_little_address_space():
    harness.skip_if_sanitized()
    outcome = boot(guest("hello"), "--memory", "1G", preexec_fn=limited(resource.RLIMIT_AS, 512 << 20))
    check_refused(outcome, "annot allocate memory")


@case
def a_console_file_that_may_not_grow():
    with temporary_directory() as directory:
        path = os.path.join(directory, "console")
        outcome = boot(guest("hello"), "--console", path, preexec_fn=limited(resource.RLIMIT_FSIZE, 5))
        check_status(outcome, FAILED)
        check_one_line(outcome, "console", "ile too large")


@case
def a_configuration_space_that_may_not_be_written():
    with temporary_directory() as directory:
        disk = os.path.join(directory, "disk")
        with open(disk, "wb") as file:
            file.truncate(1 << 20)
        for limit in (0, 100 << 10):
            outcome = boot(
                guest("hello"), "--disk", disk, preexec_fn=limited(resource.RLIMIT_FSIZE, limit)
            )
            check_refused(outcome, "ulimit -f")


@case
def too_few_threads():
    if os.geteuid() != 0:
        skip("needs root to become a user whose threads are counted")
    # Such a user may have no right to /dev/kvm, nor to the build directory.
    wrapper = ("unshare", "-m", "--propagation", "private", "sh", "-ec")
    wrapper += ('mount -t tmpfs -o dev,mode=755 none /dev; mknod -m 666 /dev/kvm c 10 232; exec "$@"', "sh")
    wrapper += ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "prlimit", "--nproc=1")
    if subprocess.run([*wrapper, "true"], capture_output=True).returncode != 0:
        skip("no mount namespace here")
    original = harness.mayfly_path
    with temporary_directory() as directory:
        os.chmod(directory, 0o755)
        harness.mayfly_path = os.path.join(directory, "mayfly")
        shutil.copy(original, harness.mayfly_path)
        try:
            # KVM's own thread for the VM counts as well, so that even one vCPU may be too much.
            for cpus in (1, 4):
                outcome = boot(guest("hello"), "--cpus", cpus, "--timeout", 20, wrapper=wrapper)
                if cpus == 1 and outcome.status == 0:
                    continue
                check_refused(outcome, "ulimit -u")
        finally:
            harness.mayfly_path = original


main()
