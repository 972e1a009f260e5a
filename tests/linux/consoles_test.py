# SPDX-License-Identifier: Apache-2.0
"""The consoles of Linux guests, virtio and serial: what is typed arrives, what is said arrives whole, the
size of the terminal follows, and what the kernel says before its first driver is there."""
import os
import re

from harness import (
    OK,
    TIMEOUT,
    Unavailable,
    cache_directory,
    case,
    check,
    check_status,
    linux_host,
    main,
    packages,
    skip,
)
from jobs import clean_lines, jobs_initramfs

BOOT_SECONDS = 300
ANSWER_SECONDS = 300

# Numbers, written 4 KiB at a time in lines of 63; stty ends when the last of them has left. Where every
# character is an exit, those of 64 KiB take the lab a minute, so only one of the serial ports has as many.
PRINT = "seq 10001 {last} | tr '\\n' ' ' | fold -w 63 | dd bs=4k 2>/dev/null; echo; stty -echo"
LAST_OF_64_KIB, LAST_OF_16_KIB = 20755, 12690
LINE_BYTES = 64
# A line is two requests of a virtio console, its text and its end. A character costs a serial port an exit,
# and sixteen of them an interrupt and what its handler reads. The boot takes a few hundred.
SERIAL_RETURNS_MAX = 96 << 10
VIRTIO_RETURNS_MAX = 3 * 1024 + 2000

JOBS = {
    "print64": f"echo; echo BEGIN; {PRINT.format(last=LAST_OF_64_KIB)}; echo END; stty -echo",
    "print16": f"echo; echo BEGIN; {PRINT.format(last=LAST_OF_16_KIB)}; echo END; stty -echo",
    "shell": "PS1='guest$ ' exec setsid cttyhack sh -i",
    "log": "echo '== log'; dmesg -r; stty -echo",
    "read": 'stty -echo; echo READY; read line; echo "got <$line>"; cat | tr a-z A-Z',
}

files = {"/work/initrd": jobs_initramfs(JOBS)}
why_no_memtest = ""
try:
    memtest = packages.fetch("memtest86+", os.path.join(cache_directory, "packages"))
    files["/work/memtest"] = os.path.join(memtest, "boot", "memtest86+x64.bin")
except Unavailable as error:
    why_no_memtest = str(error)
host = linux_host(kernels=["6.1/vmlinux", "6.12/vmlinux"], files=files)


def arguments(version, job, *options, append=""):
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


def check_printed(console, last, outcome):
    numbers = "".join(f"{number} " for number in range(10001, last + 1))
    printed = [numbers[start : start + LINE_BYTES - 1] for start in range(0, len(numbers), LINE_BYTES - 1)]
    lines = clean_lines(console)
    check("BEGIN" in lines and "END" in lines, "the output lacks its two ends", outcome)
    # The kernel's own words may come in between, whole lines of them.
    said = [line for line in lines[lines.index("BEGIN") + 1 : lines.index("END")] if not line.startswith("[")]
    check(said == printed, f"{len(said)} lines, and not the {len(printed)} that were printed", outcome)


def check_returns(outcome, most):
    found = re.search(r"returns to user space +(\d+)", outcome.err)
    check(found is not None, "no count of the returns to user space", outcome)
    print(f"  {found.group(1)} returns to user space")
    check(int(found.group(1)) <= most, f"more than {most} returns to user space", outcome)


def prints(version, job, most, *options, append=""):
    command = arguments(version, job, "--stats", *options, append=append)
    outcome = host.mayfly(*command, timeout=BOOT_SECONDS)
    check_status(outcome, OK)
    check_returns(outcome, most)
    return outcome


@case
def sixty_four_kib_arrive_whole_on_hvc0_in_a_file():
    log = host.path("/work/console")
    outcome = prints("6.12", "print64", VIRTIO_RETURNS_MAX, "--console", log)
    check(outcome.out == b"", "something on stdout", outcome)
    check_printed(host.get("/work/console"), LAST_OF_64_KIB, outcome)


@case
def sixty_four_kib_arrive_whole_on_ttys0():
    outcome = prints("6.12", "print64", SERIAL_RETURNS_MAX, append="console=ttyS0")
    check_printed(outcome.out, LAST_OF_64_KIB, outcome)


@case
def sixteen_kib_arrive_whole_on_the_ttys0_of_a_pc():
    outcome = prints("6.1", "print16", SERIAL_RETURNS_MAX // 4 + 2000, "--profile", "legacy")
    check_printed(outcome.out, LAST_OF_16_KIB, outcome)


@case
def a_kernel_without_the_virtio_driver_reads_its_input_from_ttys0():
    process = host.mayfly_popen(*arguments("6.1", "read"))
    if process.wait_for_output("READY", timeout=BOOT_SECONDS) is None:
        check(False, "it is not ready", process.wait(1))
    process.write(b"some words\nmore of them\n\x04")
    outcome = process.wait(ANSWER_SECONDS)
    check_status(outcome, OK)
    lines = clean_lines(outcome.out)
    check("got <some words>" in lines and "MORE OF THEM" in lines, "not what was written", outcome)


class Shell:
    """The guest's shell on a terminal of 33 by 99."""

    def __init__(self, *command):
        self.process = host.mayfly_popen(*command, terminal=(33, 99))
        self.number = 0
        self.wait(r"guest\$ ", BOOT_SECONDS)

    def wait(self, pattern, seconds=ANSWER_SECONDS):
        found = self.process.wait_for_output(pattern, timeout=seconds)
        if found is None:
            check(False, f"no {pattern!r}", self.process.wait(0.1))
        return found

    def run(self, command):
        """The output of a command, by a mark that the echo of what was typed does not have."""
        self.number += 1
        self.process.write(f"{command}; echo 'done'-{self.number}\r")
        found = self.wait(rf"(?s).*'done'-{self.number}\r+\n(.*?)done-{self.number}\r+\n")
        return found.group(1).decode().replace("\r", "")

    def end(self):
        self.process.write("poweroff -f\r")
        check_status(self.process.wait(ANSWER_SECONDS), OK)


@case
def the_shell_on_hvc0_has_typed_input_its_size_and_sysrq():
    shell = Shell(*arguments("6.12", "shell"))
    check(
        shell.run("echo $((6 * 7)); tty") == "42\n/dev/hvc0\n",
        "not the shell's answer",
        shell.process.output(),
    )
    check(shell.run("stty size") == "33 99\n", "the terminal's size", shell.process.output())
    shell.process.resize(44, 111)
    shell.process.write("while [ \"$(stty size)\" != '44 111' ]; do sleep 0.2; done; echo re'sized'\r")
    shell.wait("resized")
    # Rubbed out, and an interrupt.
    check(shell.run("echo wrogn\x7f\x7fng") == "wrong\n", "the line discipline", shell.process.output())
    shell.process.write("echo star'ted'; sleep 1000\r")
    shell.wait("started")
    shell.process.write("\x03")
    # Linux 6.12, drivers/tty/n_tty.c: n_tty_receive_signal_char() echoes after the signal, which the shell's new line
    # may overtake.
    shell.wait(r"(\^C[\r\n]+|[\r\n]\^C)guest\$ ")
    check(shell.run("echo $?") == "130\n", "the status of an interrupt", shell.process.output())
    shell.run("echo 8 > /proc/sys/kernel/printk; echo 511 > /proc/sys/kernel/sysrq")
    shell.process.write("\x0fh")
    shell.wait(r"sysrq: HELP : loglevel\(0-9\) ")
    shell.end()


@case
def the_shell_on_ttys0_has_typed_input():
    shell = Shell(*arguments("6.12", "shell", append="console=ttyS0"))
    check(
        shell.run("echo $((6 * 7)); tty") == "42\n/dev/ttyS0\n",
        "not the shell's answer",
        shell.process.output(),
    )
    check(
        "sysrq: HELP" in shell.run("dmesg -n 8; echo h > /proc/sysrq-trigger"),
        "no help",
        shell.process.output(),
    )
    # More than the port's FIFO holds, as fast as it goes.
    words = " ".join(f"word{number}" for number in range(60))
    check(shell.run(f"echo {words}") == words + "\n", "a long line", shell.process.output())
    shell.end()


def early_panic(*options, append=""):
    """An initramfs that the kernel has no room to move. It hangs then: "panic=" is not read yet."""
    check_status(host.run(["truncate", "-s", "80M", host.path("/work/large")]), OK)
    return host.mayfly(
        "boot",
        host.path("/kernels/6.12/vmlinux"),
        "--initrd",
        host.path("/work/large"),
        "--memory",
        "256M",
        "--append",
        f"mem=72M {append}",
        *options,
        timeout=BOOT_SECONDS + 10,
    )


def check_early_panic(outcome):
    check(b"\n[    0.000000] Linux version 6.12" in b"\n" + outcome.out, "not from its start", outcome)
    check(b"Kernel panic - not syncing: " in outcome.out and b"RAMDISK" in outcome.out, "no panic", outcome)
    check(outcome.out.count(b"Command line: ") == 1, "said twice, or not at all", outcome)


@case
def a_panic_before_the_first_driver_is_seen_at_once():
    # The kernel's log is read where the kernel keeps it, and where that may move, there is an early console.
    for append in ("", "log_buf_len=256K"):
        outcome = early_panic("--fail-on", "end Kernel panic", "--timeout", BOOT_SECONDS, append=append)
        check_status(outcome, 1)
        check_early_panic(outcome)
        check((b"earlycon=" in outcome.out) == (append != ""), "an early console, or none", outcome)


@case
def a_panic_before_the_first_driver_is_seen_at_the_end():
    outcome = early_panic("--timeout", 15)
    check_status(outcome, TIMEOUT)
    check_early_panic(outcome)
    check(b"earlycon=" not in outcome.out, "an early console", outcome)


@case
def the_log_goes_on_where_the_console_begins():
    """Each line of the kernel's own log, in its order, and none twice."""
    outcome = host.mayfly(*arguments("6.12", "log", append="loglevel=7"), timeout=BOOT_SECONDS)
    check_status(outcome, OK)
    console, log = outcome.out.decode(errors="replace").replace("\r\n", "\n").split("== log\n")
    said = [line for line in console.splitlines() if re.match(r"\[ *\d+\.\d{6}\] ", line)]
    kept = [re.sub(r"^<\d+>", "", line) for line in log.splitlines() if re.match(r"<[0-6]>\[", line)]
    check(len(kept) > 200, f"{len(kept)} lines in the kernel's log", outcome)
    kept = kept[: len(said)]
    wrong = [f"said {one!r}, kept {other!r}" for one, other in zip(said, kept) if one != other]
    check(not wrong and len(said) > 200, f"{len(said)} lines said; {wrong[:3]}", outcome)


@case
def memtest86_runs_its_first_tests_and_draws_its_screen_on_ttys0():
    if why_no_memtest:
        skip(why_no_memtest)
    # It takes its time from a PC's timer.
    outcome = host.mayfly(
        "boot",
        host.path("/work/memtest"),
        "--profile",
        "legacy",
        "--memory",
        "16M",
        "--append",
        "console=ttyS0,115200 nopause nobench",
        "--expect",
        "\\[Moving inversions",
        "--timeout",
        BOOT_SECONDS,
        timeout=BOOT_SECONDS + 10,
    )
    check_status(outcome, OK)
    screen = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b" ", outcome.out)
    # Of the tests before it, a slow host may draw none: the screen is drawn by the clock.
    for part in (rb"Memtest86\+ v\d", rb"#[3-9] +\[Moving inversions", rb"Errors: 0 "):
        check(re.search(part, screen) is not None, f"no {part!r} on its screen", outcome)
    check(re.search(rb"Errors: [1-9]", screen) is None, "it found errors", outcome)


main()
