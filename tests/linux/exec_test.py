# SPDX-License-Identifier: Apache-2.0
"""--exec with Debian's kernels: the program's output and status are mayfly's, its modules are loaded; and
what --expect, --fail-on, --log and --junit make of a kernel's console."""
import functools
import re
import struct
import xml.etree.ElementTree as ElementTree

from harness import CRASHED, FAILED, NOT_FOUND, OK, TIMEOUT, case, check, check_match, check_out, check_status
from harness import linux_host, main, skip
from guests import image

BOOT_SECONDS = 300
KIB = 1 << 10

FLOOD_BYTES = 100 * KIB
TOOLS = """#!/bin/busybox sh
case $1 in
    arguments) shift; for word; do printf '[%s]' "$word"; done; exit 200;;
    root) cat /etc/words; ls -1d /proc/self /sys/class /dev/null /dev/pts; exit 1;;
    signal) kill -9 $$;;
    flood) seq 1 100000 | tr '\\n' ' ' | head -c 102400 | fold -w 63 | dd bs=4k 2>/dev/null;;
    devices) ls /dev/vda /dev/hwrng; ls /sys/class/net; head -c 5 /dev/vda; head -c 16 /dev/hwrng | wc -c;;
    panic) echo c > /proc/sysrq-trigger;;
    off) poweroff -f; sleep 100;;
esac
"""


def report_by_bytes():
    """A program that reports status 7 as init does through /dev/port, absent from Debian's kernels, and waits."""
    code = bytes.fromhex("b8ad000000 bff4000000 be04000000 ba01000000 0f05")  # ioperm(0xf4, 4, 1)
    code += bytes.fromhex("baf4000000 b007 ee ffc2 b000 ee ffc2 ee ffc2 b0e1 ee")  # mov al, …; out dx, al; inc edx
    code += bytes.fromhex("b822000000 0f05 ebf7")  # pause() forever
    base, head = 0x400000, 64 + 56
    ident = b"\x7fELF\2\1\1" + bytes(9)
    elf = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 62, 1, base + head, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = head + len(code)
    return elf + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096) + code


busybox = image.find_busybox()
host = linux_host(
    kernels=["6.1/bzImage", "6.1/modules", "6.12/vmlinux", "6.12/modules"],
    files={
        "/work/root/bin/busybox": busybox,
        "/work/root/bin/tools": TOOLS.encode(),
        "/work/report-by-bytes": report_by_bytes(),
        "/work/root/etc/words": b"some words\n",
        "/work/busybox": busybox,
        "/work/modules/modules.dep": b"",
        "/work/modules/modules.builtin": b"",
        "/work/disk": b"DISK\n" + bytes((1 << 20) - 5),
    },
)
for _name in ("/work/root/bin/busybox", "/work/root/bin/tools", "/work/busybox", "/work/report-by-bytes"):
    check_status(host.run(["chmod", "755", host.path(_name)]), OK)


def kernel_path(version):
    return host.path("/kernels/6.1/bzImage" if version == "6.1" else "/kernels/6.12/vmlinux")


def tool(*words, options=(), version="6.12"):
    return host.mayfly(
        "boot",
        kernel_path(version),
        "--root",
        host.path("/work/root"),
        *options,
        "--exec",
        "tools",
        "--",
        *words,
        timeout=BOOT_SECONDS,
    )


@case
def arguments_and_status_pass_through_and_nothing_else_is_on_stdout():
    outcome = tool("arguments", "a b", "c\nd", "", "$(e)", "\"f'")
    check_status(outcome, 200)
    check(outcome.out == b"[a b][c\nd][][$(e)][\"f']", "not its arguments", outcome)
    check(outcome.err == "", "stderr is not empty", outcome)


@case
def a_report_by_bytes_is_one():
    # As init sends it where the kernel lets no process use ports (CONFIG_X86_IOPL_IOPERM=n).
    program = host.path("/work/report-by-bytes")
    outcome = host.mayfly("boot", kernel_path("6.12"), "--exec", program, timeout=BOOT_SECONDS)
    check_status(outcome, 7)


@case
def the_program_finds_its_root_and_the_usual_file_systems():
    outcome = tool("root")
    check_status(outcome, 1)
    check(
        outcome.out == b"some words\n/dev/null\n/dev/pts\n/proc/self\n/sys/class\n",
        "the root",
        outcome,
    )


@case
def a_static_program_needs_no_root_and_may_succeed():
    outcome = host.mayfly(
        "boot",
        kernel_path("6.12"),
        "--exec",
        host.path("/work/busybox"),
        "--",
        "echo",
        "alone",
        timeout=BOOT_SECONDS,
    )
    check_status(outcome, OK)
    check(outcome.out == b"alone\n", "its output", outcome)
    check(outcome.err == "", "stderr is not empty", outcome)


@case
def death_by_a_signal_is_128_and_its_number():
    outcome = tool("signal")
    check_status(outcome, 128 + 9)
    check(outcome.err == "mayfly: the program was killed by signal 9\n", "stderr", outcome)


@case
def a_panic_is_126_and_a_power_off_without_a_status_125():
    check_status(tool("panic"), CRASHED)
    outcome = tool("off")
    check_status(outcome, FAILED)
    check("without the status of tools" in outcome.err, "stderr", outcome)


@functools.cache
def network_options():
    made = host.run(
        "ip tuntap add dev mayfly-exec mode tap || tunctl -t mayfly-exec; ip link set mayfly-exec up"
    )
    return ["--net", "tap=mayfly-exec"] if made.status == OK else []


def has_devices(version):
    if not host.is_lab:
        skip("makes a tap, and only the lab is this test's alone")
    check(network_options(), "no tap could be made")
    outcome = tool(
        "devices",
        version=version,
        options=[
            "--modules",
            host.path(f"/kernels/{version}/modules"),
            "--disk",
            host.path("/work/disk"),
            "--rng",
            *network_options(),
        ],
    )
    check_status(outcome, OK)
    lines = outcome.out.split()
    check(lines == [b"/dev/hwrng", b"/dev/vda", b"eth0", b"lo", b"DISK", b"16"], "not its devices", outcome)


@case
def the_modules_of_6_12_drive_a_disk_a_network_and_random_numbers():
    has_devices("6.12")


@case
def the_modules_of_6_1_drive_a_disk_a_network_and_random_numbers():
    has_devices("6.1")


@case
def a_missing_module_is_refused_by_name():
    for version in ("6.1", "6.12"):
        outcome = tool(
            "root",
            version=version,
            options=["--modules", host.path("/work/modules"), "--disk", host.path("/work/disk")],
        )
        check_status(outcome, FAILED)
        check_match(
            outcome,
            r"^mayfly: .*: the kernel module virtio_\w+ is neither in the directory nor built into the kernel\n$",
        )


@case
def a_missing_program_is_127():
    outcome = host.mayfly("boot", kernel_path("6.12"), "--exec", "/no/such/program", timeout=300)
    check_status(outcome, NOT_FOUND)
    check("/no/such/program" in outcome.err, "stderr", outcome)
    outcome = host.mayfly(
        "boot", kernel_path("6.12"), "--root", host.path("/work/root"), "--exec", "/bin/nothing", timeout=300
    )
    check_status(outcome, NOT_FOUND)
    check("/bin/nothing" in outcome.err, "stderr", outcome)


@case
def a_root_larger_than_memory_is_refused():
    check_status(host.run("mkdir -p large/bin && cp busybox large/bin && truncate -s 200M large/file"), OK)
    outcome = host.mayfly(
        "boot", kernel_path("6.12"), "--root", host.path("/work/large"), "--exec", "/bin/busybox", timeout=300
    )
    check_status(outcome, FAILED)
    check_match(outcome, r"^mayfly: .*the initramfs takes \d+ MiB, the guest's memory has room for")


@case
def an_expected_match_ends_the_kernel_with_0_a_log_and_a_report():
    log, report = host.path("/work/log"), host.path("/work/report.xml")
    outcome = host.mayfly(
        "boot",
        kernel_path("6.12"),
        "--expect",
        "^\\[ +[0-9.]+\\] Linux version 6\\.12",
        "--expect",
        "Hypervisor detected: KVM",
        "--log",
        log,
        "--junit",
        report,
        timeout=BOOT_SECONDS,
    )
    check_status(outcome, OK)
    check(
        b"Linux version 6.12" in outcome.out and b"Run /init" not in outcome.out,
        "it did not end at once",
        outcome,
    )
    logged = host.get("/work/log").decode()
    check(
        re.match(r"\[ *\d+\.\d{6}\] \[ +0\.000000\] Linux version 6\.12", logged) is not None,
        f"the log: {logged[:300]}",
    )
    suite = ElementTree.fromstring(host.get("/work/report.xml")).find("testsuite")
    check(suite.get("failures") == "0" and suite.get("errors") == "0", "failures in the report")
    # On a busy host the guest says a good deal more before it is ended: the last lines it is.
    last = suite.findtext("system-out").splitlines()
    check(int(suite.get("tests")) >= 2 and last and all(line in logged for line in last), f"the report: {last}")


@case
def a_fail_on_match_ends_the_kernel_with_1():
    outcome = host.mayfly(
        "boot", kernel_path("6.12"), "--fail-on", "Command line:", "--expect", "never", timeout=BOOT_SECONDS
    )
    check_status(outcome, 1)
    check("Command line:" in outcome.err and "panic=-1" in outcome.err, "the line is not told", outcome)


@case
def a_missing_match_times_out_with_the_consoles_tail():
    # The root is missing, so on a fast host the kernel panics before the timeout: it must hang then.
    outcome = host.mayfly(
        "boot",
        kernel_path("6.12"),
        "--append",
        "panic=0",
        "--expect",
        "never",
        "--timeout",
        10,
        timeout=BOOT_SECONDS,
    )
    check_status(outcome, TIMEOUT)
    check_match(outcome, r"(?m)^mayfly: the console's last lines:\n  \| \[ +\d+\.\d+\] ")


@case
def a_flood_is_whole_on_stdout_and_bounded_in_the_log():
    log = host.path("/work/flood-log")
    outcome = tool("flood", options=["--log", log, "--log-limit", "16K"])
    check_status(outcome, OK)
    words = "".join(f"{number} " for number in range(1, 100001))[:FLOOD_BYTES]
    expected = "\n".join(words[start : start + 63] for start in range(0, FLOOD_BYTES, 63)).encode()
    check(outcome.out == expected, "the console is not whole", outcome)
    logged = host.get("/work/flood-log")
    check(len(logged) <= 17 * KIB, f"the log has {len(logged)} bytes")
    lost = re.search(rb"mayfly: (\d+) bytes of the console are not in this log\n$", logged)
    check(lost is not None, f"the log does not say what it lacks: {logged[-300:]!r}")
    check(f"{lost.group(1).decode()} bytes of the console are not in it" in outcome.err, "not told", outcome)


main()
