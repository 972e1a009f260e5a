# SPDX-License-Identifier: Apache-2.0
"""mayfly's help, tables and hints, on terminals of any width, on dumb ones, and without one."""
import fcntl
import os
import re
import select
import signal
import struct
import termios
import time

import flat_kernel
import harness
from harness import OK, Failure, boot, case, check, check_one_line, check_out, check_refused, check_silent
from harness import check_status, guest, main, popen, run, why_no_kvm

ESCAPE = b"\x1b"


def on_terminal(arguments, columns=0, seconds=60, **environment):
    """What mayfly prints on a terminal that is its stdout and stderr, and its status."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    process = popen(arguments, stdout=slave, stderr=slave, env={**variables, "TERM": "xterm", **environment})
    os.close(slave)
    text, end = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if not select.select([master], [], [], 1)[0]:
                continue
            try:
                piece = os.read(master, 65536)
            except OSError:  # nobody has it open any more
                break
            if not piece:
                break
            text += piece
        else:
            raise Failure(f"mayfly {arguments} still writes: {text[-200:]!r}")
    finally:
        os.close(master)
    return process.wait(), text.replace(b"\r\n", b"\n")


def check_width(text, columns, what, may_be_wide=()):
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text.decode())
    for line in plain.splitlines():
        is_excused = any(word in line for word in may_be_wide)
        check(len(line) <= columns or is_excused, f"{what}: {len(line)} columns of {columns}: {line!r}")


HELPS = (
    ["--help"],
    ["help"],
    ["boot", "--help"],
    ["help", "boot"],
    ["bench", "boot", "--help"],
    ["help", "bench"],
    ["doctor", "--help"],
    ["version", "--help"],
    ["version"],
    ["boot", "--list"],
)


@case
def help_fits_every_terminal_and_none():
    for arguments in HELPS:
        outcome = run(*arguments)
        check_status(outcome, OK)
        check_silent(outcome)
        check_width(outcome.out, 80, arguments)
        check(ESCAPE not in outcome.out, "an escape sequence without a terminal", outcome)
        for columns in (0, 40, 60, 80, 200):
            status, text = on_terminal(arguments, columns)
            check(status == OK, f"status {status} for {arguments}")
            if arguments != ["version"]:
                check_width(text, min(columns or 80, 80), arguments)


@case
def help_of_a_command_is_its_help():
    check_out(run("help", "boot"), run("boot", "--help").out)
    check_out(run("help", "bench"), run("bench", "boot", "--help").out)
    check_out(run("help", "bench", "boot"), run("bench", "boot", "--help").out)
    check_out(run("help", "doctor"), run("doctor", "--help").out)
    check_out(run("help", "help"), run("--help").out)
    check_refused(run("help", "boot", "bench"), "'bench'", "one argument too many")
    check_refused(run("help", "bot"), "'bot'", "did you mean mayfly boot?")


@case
def help_tells_the_statuses_and_heads_the_options():
    main_page, boot_page = run("--help").out.decode(), run("help", "boot").out.decode()
    status = boot_page[boot_page.index("Exit status: "):].split("\n\n")[0]
    check("with --exec 0-255" in " ".join(status.split()) and main_page.endswith(status + "\n"), f"{main_page}")
    for command in ("boot", "bench boot", "bench merge", "doctor", "version"):
        outcome = run(*command.split(), "--help")
        heads = re.findall(r"\n\n(.*)\n  -", outcome.out.decode())
        check(heads and all(head.endswith(":") for head in heads), f"options without a heading: {heads}", outcome)
    check("mayfly bench merge" in run("help", "bench").out.decode(), "bench merge is not mentioned")


@case
def the_built_in_guests_are_listed():
    outcome = boot("--list")
    check_status(outcome, OK)
    names = re.findall(r"^builtin:(\w+)", outcome.out.decode(), re.M)
    check({"hello", "demo", "idle"} <= set(names) and len(names) == len(set(names)), "names lack", outcome)
    known = boot("builtin:no-such").err.split("built-in guests are: ")[1].rstrip(")\n").split(", ")
    check(names == known, f"not the existing ones: {known}", outcome)


@case
def slips_are_answered_by_what_was_meant():
    check_refused(boot("--memroy", "1G"), "--memroy", "did you mean --memory?")
    check_refused(boot("--ti", "1"), "--timeout", "--timeline", "--timeline-json")
    check_refused(boot("--memory", "512"), "--memory 512", "2 MiB", "--memory 512M")
    check_refused(boot("-m", "512"), "-m", "--memory SIZE")
    check_refused(boot("--smp", "2"), "--smp", "--cpus N")
    check_refused(boot("--netdev", "user"), "--netdev", "--net user")
    check_refused(boot("--nographic"), "--nographic", "--console")
    check_refused(boot("-it"), "-it", "terminal")
    check_refused(boot("-zz"), "-zz", "see --help")
    check_refused(boot("-e", "A=1"), "-e", "--env NAME=VALUE")
    check_refused(run("bench", "boot", "--export-json", "x", "--", "builtin:hello"), "--export-json", "--json FILE")
    check_refused(run("bench", "boot", "-r", "3", "--", "builtin:hello"), "-r", "--runs N")
    check_refused(run("builtin:hello"), "'builtin:hello'", "mayfly boot builtin:hello")
    check_refused(boot("--kernel", "vmlinux"), "--kernel", "mayfly boot KERNEL")
    check_refused(boot("--disk="), "--disk", "empty")
    check_refused(boot("--no-such"), "--no-such", "--help")
    check_refused(run("bnech"), "did you mean mayfly bench?")
    check_refused(run("run", "x"), "mayfly boot")
    check_refused(boot("--", "x"), "'x'", "--exec")


@case
def a_name_may_be_cut_short():
    if why_no_kvm():
        raise harness.Skip(why_no_kvm())
    outcome = boot(guest("hello"), "--mem", "64M", "--cpu=1", "--timeo", "20")
    check_status(outcome, OK)


@case
def a_reader_that_leaves_is_not_complained_about():
    for arguments in HELPS:
        for ignores in (False, True):
            read_end, write_end = os.pipe()
            os.close(read_end)
            process = popen(arguments, stdout=write_end, restore_signals=not ignores)
            os.close(write_end)
            _, err = process.communicate(timeout=30)
            check(err == b"", f"{arguments} says {err!r}")
            check(process.returncode in (-signal.SIGPIPE, 128 + signal.SIGPIPE), f"{process.returncode}")


@case
def a_closed_stdout_is_told():
    for arguments in (["--help"], ["boot", "--help"], ["version"]):
        wrapper = ["sh", "-c", 'exec "$@" >&-', "sh"]
        outcome = run(*arguments, wrapper=wrapper)
        check_status(outcome, 125)
        check_one_line(outcome, "stdout")


@case
def timeline_and_statistics_fit_and_have_suitable_units():
    if why_no_kvm():
        raise harness.Skip(why_no_kvm())
    arguments = ["boot", guest("idle"), "--timeline", "--stats", "--rng", "--timeout", "1.2"]
    outcome = run(*arguments)
    check_width(outcome.err.encode(), 80, arguments, may_be_wide=("mayfly: ",))
    check(re.search(r"^exit +1\.[2-9]\d\d s ", outcome.err, re.M) is not None, "no seconds", outcome)
    check(re.search(r"^main +[\d.]+ (us|ms)", outcome.err, re.M) is not None, "no shorter unit", outcome)
    for columns in (40, 60, 80):
        _, text = on_terminal(arguments, columns)
        check_width(text, columns, arguments, may_be_wide=("mayfly: ",))
        check(b"returns to user space" in text and b"kick:exit" in text, f"tables lack: {text!r}")


@case
def the_demonstration_fits():
    if why_no_kvm():
        raise harness.Skip(why_no_kvm())
    for options in ((), ("--profile", "legacy"), ("--cpus", "4")):
        arguments = ["boot", guest("demo"), *options]
        check_width(run(*arguments).out, 80, arguments)


@case
def doctor_fits_and_obeys():
    for columns in (40, 80, 200):
        _, text = on_terminal(["doctor"], columns)
        check_width(text, min(columns, 80), "doctor", may_be_wide=("cure: ",))
        check(ESCAPE in text, "no colour on a terminal")
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        _, text = on_terminal(["doctor"], 80, **variables)
        check(ESCAPE not in text, f"an escape sequence with {variables}: {text[:300]!r}")
    _, text = on_terminal(["doctor"], 80, NO_COLOR="")
    check(ESCAPE in text, "an empty NO_COLOR asks for nothing")
    check(ESCAPE not in run("doctor").out, "an escape sequence without a terminal")


@case
def bench_fits_and_obeys():
    if why_no_kvm():
        raise harness.Skip(why_no_kvm())
    arguments = ["bench", "boot", "-n", "3", "--against", "true", "--name", "mayfly", "--name",
                 "a name that is longer than a column", "--", guest("hello")]
    commands = ("again: ",)
    outcome = run(*arguments)
    check_status(outcome, OK)
    check_width(outcome.out, 80, "bench", commands)
    for columns in (40, 80):
        _, text = on_terminal(arguments, columns)
        shown = text.rsplit(b"\x1b[K", 1)[1]
        check_width(shown, columns, "bench", commands)
        check(b"\r\x1b[K" in text, "no line that is written over")
        for line in text.split(b"\r\x1b[K")[1:-1]:
            check(len(line) < columns, f"a counter of {len(line)} columns cannot be written over: {line!r}")
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        _, text = on_terminal(arguments, 80, **variables)
        check(ESCAPE not in text and b"\r" not in text, f"an escape sequence with {variables}: {text!r}")
        check(b"100 %" in text, "no progress is told")


@case
def two_initial_ram_disks_are_one_behind_the_other():
    if why_no_kvm():
        raise harness.Skip(why_no_kvm())
    with harness.temporary_directory() as directory:
        first = harness.write_file(directory, "first", b"12345")
        second = harness.write_file(directory, "second", b"678")
        two = boot(guest("bootinfo"), "--protocol", "linux", "--initrd", first, "--initrd", second)
        check_status(two, OK)
        expected = b"module 0 size 11 bytes " + (b"12345\0\0\0" + b"678").hex().encode()
        check(expected[:40] in two.out, f"the guest does not see both: {expected}", two)
        refused = boot(guest("bootinfo"), "--protocol", "multiboot", "--initrd", first, "--initrd", second)
        check_refused(refused, "--initrd", "second", "Multiboot", "--module")
        missing = boot(guest("bootinfo"), "--initrd", first, "--initrd", "/no/such")
        check_refused(missing, "--initrd", "/no/such")


main(needs_kvm=False)
