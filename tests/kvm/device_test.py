# SPDX-License-Identifier: Apache-2.0
"""A /dev/kvm that is missing, forbidden, something else, busy or failing: one line, status 125."""
import os
import shutil
import subprocess

from harness import boot, case, check, check_match, check_out, check_refused, guest, guest_file, main, skip


def in_namespace(set_up):
    """A command that runs what follows in a mount namespace of its own, after the shell commands `set_up`."""
    if os.geteuid() != 0:
        skip("needs root to change /dev")
    wrapper = ("unshare", "-m", "--propagation", "private", "sh", "-ec", set_up + '; exec "$@"', "sh")
    tried = subprocess.run([*wrapper, "true"], capture_output=True)
    if tried.returncode != 0:
        skip(f"no mount namespace here: {tried.stderr.decode().strip()}")
    return wrapper


@case
def missing():
    wrapper = in_namespace("mount -t tmpfs none /dev")
    for kernel in (guest("hello"), guest_file("hello")):
        check_refused(boot(kernel, wrapper=wrapper), "/dev/kvm", "does not exist", "kvm_intel")


@case
def forbidden_to_this_user():
    wrapper = (
        *in_namespace("mount -t tmpfs -o dev,mode=755 none /dev; mknod -m 600 /dev/kvm c 10 232"),
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    )
    check_refused(boot(guest("hello"), wrapper=wrapper), "/dev/kvm", "no right", "usermod -aG kvm")


@case
def something_else():
    for other in ("/dev/null", "/dev/zero", "/etc/passwd"):
        check_refused(
            boot(guest("hello"), wrapper=in_namespace(f"mount --bind {other} /dev/kvm")),
            "/dev/kvm",
            "not KVM",
        )
    check_refused(
        boot(guest("hello"), wrapper=in_namespace("mount -t tmpfs none /dev; mkdir /dev/kvm")), "/dev/kvm"
    )


@case
def a_missing_driver():
    wrapper = in_namespace("mount -t tmpfs -o dev none /dev; mknod /dev/kvm c 10 231")
    check_refused(boot(guest("hello"), wrapper=wrapper), "/dev/kvm")


def with_failing_ioctl(number, error):
    return (
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=ioctl",
        "-e",
        f"inject=ioctl:error={error}:when={number}",
    )


@case
def every_ioctl_may_fail():
    if shutil.which("strace") is None:
        skip("strace is not installed")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0:
        skip("strace may not trace here")
    seen = set()
    # KVM_RUN and what follows it is left to other tests; a boot makes fewer than 40 ioctls before.
    for number in range(1, 41):
        outcome = boot(
            guest("hello"), "--console", "null", "--timeout", 20, wrapper=with_failing_ioctl(number, "ENOMEM")
        )
        check(outcome.status in (0, 125), f"ioctl {number}: status", outcome)
        check_out(outcome, b"")
        if outcome.status == 0:
            seen.add("tolerated")
            continue
        check(
            len(outcome.err.splitlines()) == 1 and outcome.err.startswith("mayfly: "),
            f"ioctl {number}",
            outcome,
        )
        seen.add(outcome.err)
    check(len(seen) > 8, f"only {len(seen)} different endings")


@case
def virtualisation_in_use_by_another():
    if shutil.which("strace") is None:
        skip("strace is not installed")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0:
        skip("strace may not trace here")
    outcomes = [
        boot(guest("hello"), "--console", "null", wrapper=with_failing_ioctl(n, "EBUSY")) for n in range(1, 5)
    ]
    said = [o for o in outcomes if "virtualisation is in use" in o.err]
    check(len(said) == 1, "KVM_CREATE_VM was not among the first ioctls: " + "\n".join(map(str, outcomes)))
    check_refused(said[0], "KVM_CREATE_VM", "another hypervisor")
    check_match(said[0], r"VirtualBox")


main()
