# SPDX-License-Identifier: Apache-2.0
"""How a Linux guest ends is mayfly's status: power-off and reboot 0, a panic 126, a timeout 124."""
import gzip
import io
import signal
import time
import xml.etree.ElementTree as ElementTree

from harness import CRASHED, OK, TIMEOUT, case, check, check_status, linux_host, main
from jobs import clean_lines, jobs_initramfs
from cpio import CpioWriter  # beside the lab, where harness has Python look

BOOT_SECONDS = 300
STILL_SECONDS = 3

JOBS = {
    "power": "poweroff -f",
    "reboot": "reboot -f",
    "exit": "exit 3",
    "sysrq": "echo c > /proc/sysrq-trigger; sleep 1000",
    "oom": "echo 1 > /proc/sys/vm/panic_on_oom; tail /dev/zero",
    "sleep": "echo SLEEPING; sleep 1000",
    "cat": "cat /first /second",
}


def archive(name):
    """An initramfs with one file, which holds its own name."""
    out = io.BytesIO()
    writer = CpioWriter(out)
    writer.data(name, f"this is {name}\n".encode(), 0o644)
    writer.close()
    return out.getvalue()


def packed(data):
    """By gzip, in a file whose size is not a multiple of 4."""
    files = (gzip.compress(data, mtime=0) + bytes(count) for count in range(2))
    return next(file for file in files if len(file) % 4)


FILES = {
    "/work/initrd": jobs_initramfs(JOBS),
    "/work/first": packed(archive("first")),
    "/work/second": archive("second"),
}
host = linux_host(kernels=["6.1/vmlinux", "6.12/vmlinux"], files=FILES)


def arguments(job, *options, version="6.12", append=""):
    words = f"quiet {append} job={job}"
    return [
        "boot",
        host.path(f"/kernels/{version}/vmlinux"),
        "--initrd",
        host.path("/work/initrd"),
        "--append",
        words,
        *options,
    ]


def end_of(job, *options, **more):
    return host.mayfly(*arguments(job, *options, **more), timeout=BOOT_SECONDS)


def check_panic(outcome, reason, told=""):
    """The guest's own words are on its console, and in mayfly's message, which ends by `told`."""
    check_status(outcome, CRASHED)
    said = "mayfly: the guest panicked: Kernel panic - not syncing: " + reason.decode()
    check(outcome.err.startswith(said) and outcome.err.count("\n") == 1, "stderr", outcome)
    check(outcome.err.endswith(told + "\n"), "stderr's end", outcome)
    check(b"Kernel panic - not syncing: " + reason in outcome.out, f"no panic of {reason}", outcome)


@case
def power_off_is_0():
    outcome = end_of("power")
    check_status(outcome, OK)
    check(outcome.err == "", "stderr is not empty", outcome)


@case
def several_initial_ram_disks_are_all_unpacked():
    more = [word for name in ("first", "second") for word in ("--initrd", host.path(f"/work/{name}"))]
    for version in ("6.12", "6.1"):
        outcome = end_of("cat", *more, version=version)
        check_status(outcome, OK)
        lines = clean_lines(outcome.out)
        check({"this is first", "this is second"} <= set(lines), f"{version} lacks a file", outcome)


@case
def a_reboot_is_0():
    outcome = end_of("reboot")
    check_status(outcome, OK)
    check(outcome.err == "", "stderr is not empty", outcome)


@case
def an_init_that_exits_is_a_panic():
    check_panic(end_of("exit"), b"Attempted to kill init! exitcode=0x00000300")


@case
def a_crash_by_sysrq_is_a_panic():
    check_panic(end_of("sysrq", "--cpus", 2), b"sysrq triggered crash")


@case
def a_crash_by_sysrq_is_a_panic_of_6_1_on_a_pc_too():
    check_panic(end_of("sysrq", "--profile", "legacy", version="6.1"), b"sysrq triggered crash")


@case
def running_out_of_memory_is_a_panic_when_the_guest_says_so():
    check_panic(end_of("oom", version="6.1"), b"Out of memory: ")


@case
def a_kernel_without_a_root_is_a_panic():
    outcome = host.mayfly(
        "boot", host.path("/kernels/6.12/vmlinux"), "--append", "root=/dev/none", timeout=BOOT_SECONDS
    )
    check_panic(outcome, b"VFS: Unable to mount root fs", NO_ROOT)


NO_ROOT = "(it has no root: neither --initrd, --disk nor --exec was given)"


@case
def a_kernel_alone_says_that_nothing_was_given_to_hold_a_root_in_the_report_too():
    junit = host.path("/work/junit.xml")
    outcome = host.mayfly(
        "boot", host.path("/kernels/6.12/vmlinux"), "--junit", junit, timeout=BOOT_SECONDS
    )
    check_panic(outcome, b"VFS: Unable to mount root fs", NO_ROOT)
    suite = ElementTree.fromstring(host.get("/work/junit.xml")).find("testsuite")
    message = suite.find("testcase").find("failure").get("message")
    check(f"mayfly: {message}\n" == outcome.err, f"the report says {message!r}", outcome)


@case
def a_panic_is_told_where_the_console_is_a_port_a_file_or_nothing():
    for options in (["--append", "console=ttyS0"], ["--console", "null"], ["--append", "log_buf_len=1M"]):
        outcome = host.mayfly("boot", host.path("/kernels/6.1/vmlinux"), *options, timeout=BOOT_SECONDS)
        check_status(outcome, CRASHED)
        said = "mayfly: the guest panicked: Kernel panic - not syncing: VFS: "
        check(outcome.err.startswith(said), "stderr", outcome)
        check(outcome.err.endswith(NO_ROOT + "\n"), "stderr's end", outcome)


@case
def junk_behind_an_initramfs_does_not_open_the_log_up():
    junk = host.path("/work/junk")
    check_status(host.run(f"cat {host.path('/work/initrd')} >{junk} && echo junkjunk >>{junk}"), OK)
    words = "quiet loglevel=3 job=power"
    outcome = host.mayfly(
        "boot", host.path("/kernels/6.12/vmlinux"), "--initrd", junk, "--append", words, timeout=BOOT_SECONDS
    )
    check_status(outcome, OK)
    lines = [line for line in clean_lines(outcome.out) if line.startswith("[")]
    check(any("Initramfs unpacking failed: " in line for line in lines), "the kernel did not mind", outcome)
    check(len(lines) < 20, f"{len(lines)} lines of the kernel's", outcome)


@case
def the_users_panic_0_hangs_until_the_timeout_or_a_signal():
    process = host.mayfly_popen(*arguments("exit", append="panic=0"), with_input=False)
    if process.wait_for_output("end Kernel panic", timeout=BOOT_SECONDS) is None:
        check(False, "no panic", process.wait(1))
    time.sleep(STILL_SECONDS)
    if process.poll():
        check(False, "it has ended", process.wait(1))
    process.signal(signal.SIGTERM)
    check_status(process.wait(300), 128 + signal.SIGTERM)


@case
def a_timeout_is_124():
    outcome = end_of("sleep", "--timeout", 5)
    check_status(outcome, TIMEOUT)
    check("within 5 s" in outcome.err and outcome.err.count("\n") == 1, "stderr", outcome)


main()
