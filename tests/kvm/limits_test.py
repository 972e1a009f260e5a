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


COMMANDS = (("boot", guest("hello"), "--cpus", 4, "--timeout", 20), ("doctor", "--json"), ("version",))


def check_good_or_told(outcome, *parts):
    """run() has checked that no signal ended mayfly."""
    if outcome.status != 0:
        check_refused(outcome, *parts)


@case
def little_address_space_is_told_by_every_command():
    harness.skip_if_sanitized()
    # Linux kills a program whose own 5 MiB it could not map, before an instruction of it has run.
    for mebibytes in (5.25, 5.5, 6, 7, 8, 12, 20, 64, 100, 128, 131, 133, 134, 136, 500):
        for command in COMMANDS:
            outcome = harness.run(*command, preexec_fn=limited(resource.RLIMIT_AS, int(mebibytes * 1024) << 10))
            check_good_or_told(outcome, "emory" if mebibytes < 128 else "ulimit -v")
            check(mebibytes < 500 or outcome.status == 0, "500 MiB are enough", outcome)


@case
def a_small_stack_is_told_by_every_command():
    harness.skip_if_sanitized("a sanitizer's stack frames are larger")
    # Linux leaves up to 8 KiB free at random, and may kill a program that has no more than that.
    for kibibytes in (24, 32, 48, 64, 80, 96, 100, 104, 112, 116, 120, 128, 8192):
        for command in COMMANDS:
            outcome = harness.run(*command, preexec_fn=limited(resource.RLIMIT_STACK, kibibytes << 10))
            check_good_or_told(outcome, f"(ulimit -s) of {kibibytes} KiB", "needs 96 KiB")
            check(kibibytes < 128 or outcome.status == 0, "128 KiB are enough", outcome)
            check(kibibytes > 96 or outcome.status != 0, "a limit was not seen", outcome)


@case
def a_large_environment_takes_of_the_stack():
    harness.skip_if_sanitized("a sanitizer's stack frames are larger")
    environment = {**os.environ, "PADDING": "x" * (100 << 10)}
    few = limited(resource.RLIMIT_STACK, 160 << 10)
    outcome = boot(guest("hello"), preexec_fn=few, env=environment)
    check_refused(outcome, "(ulimit -s) of 160 KiB", "needs 96 KiB")
    check_status(boot(guest("hello"), preexec_fn=few), 0)


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
