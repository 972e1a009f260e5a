# SPDX-License-Identifier: Apache-2.0
"""--expect, --fail-on, --log and --junit, with guests of known output."""
import fcntl
import os
import re
import signal
import time
import xml.etree.ElementTree as ElementTree

import flat_kernel
import harness
from harness import boot, case, check, check_match, check_out, check_refused, check_silent, check_status, guest

HELLO = b"Hello from mayfly\n"
# The first line of builtin:flood.
FLOOD_LINE = "".join(chr(0x21 + i) for i in range(63))


def report(path, outcome=None):
    """The suite's element, its cases as {(class, name): result element or None}, and system-out."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise harness.Failure(f"{path}: {error}\n{outcome}") from None
    suite = root.find("testsuite")
    cases = {(c.get("classname"), c.get("name")): next(iter(c), None) for c in suite.findall("testcase")}
    for element in (root, suite):
        for attribute, tags in (("tests", None), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            count = sum(tags is None or (c is not None and c.tag == tags) for c in cases.values())
            check(element.get(attribute) == str(count), f"{attribute} is {element.get(attribute)}, not {count}")
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp")), "no timestamp")
    return suite, cases, suite.findtext("system-out")


def check_case(cases, class_name, name, tag):
    check((class_name, name) in cases, f"no case {class_name} {name!r} in {list(cases)}")
    element = cases[(class_name, name)]
    found = element.tag if element is not None else None
    check(found == tag, f"case {class_name} {name!r} is {found}, expected {tag}")


@case
def an_expected_match_ends_the_machine_at_once_with_0():
    for console in ("stdio", "null"):
        outcome = boot("--console", console, "--expect", "^rea[d]y$", "--timeout", 20, guest("echo"))
        check_status(outcome, 0)
        check_silent(outcome)
        check(outcome.seconds < 10, "it did not end at once", outcome)
        check_out(outcome, b"ready\n" if console == "stdio" else b"")


@case
def a_guest_that_ends_without_what_was_expected_gives_1_and_a_line_for_each():
    outcome = boot("--expect", "Hello", "--expect", "one", "--expect", "two$", guest("hello"))
    check_status(outcome, 1)
    check_out(outcome, HELLO)
    lines = outcome.err.splitlines()
    check(lines[:2] == ["mayfly: --expect 'one' was not seen", "mayfly: --expect 'two$' was not seen"], "lines", outcome)
    check(lines[2:] == ["mayfly: the console's last lines:", "  | Hello from mayfly"], "tail", outcome)


@case
def a_timeout_with_something_expected_stays_124_and_shows_the_tail():
    with harness.temporary_directory() as directory:
        console = os.path.join(directory, "console")
        outcome = boot("--timeout", 5, "--expect", "never", "--console", console, guest("echo"))
        check_status(outcome, harness.TIMEOUT)
        check_match(outcome, r"mayfly: timeout: ")
        check_match(outcome, r"mayfly: --expect 'never' was not seen")
        check(outcome.err.endswith("mayfly: the console's last lines:\n  | ready\n"), "no tail", outcome)


@case
def a_fail_on_match_ends_the_machine_with_1_and_is_reported():
    outcome = boot("--fail-on", "re(a)dy", "--expect", "ready", "--timeout", 20, guest("echo"))
    check_status(outcome, 1)
    check(outcome.err.startswith("mayfly: --fail-on 're(a)dy' matched: ready\n"), "not told", outcome)
    check(outcome.seconds < 10, "it did not end at once", outcome)


@case
def a_crash_stays_a_crash_though_something_was_expected():
    outcome = boot("--expect", "never", "--append", "triple", guest("exits"))
    plain = boot("--append", "triple", guest("exits"))
    check(plain.status != 0, "the guest did not fail", plain)
    check_status(outcome, plain.status)
    check_match(outcome, "--expect 'never' was not seen")


@case
def output_after_the_expected_match_is_not_judged():
    outcome = boot("--expect", "Hello", "--fail-on", "never", guest("hello"))
    check_status(outcome, 0)
    check_silent(outcome)


@case
def wrong_expressions_are_refused_before_the_guest_runs():
    check_refused(boot("--expect", "(a", guest("hello")), "--expect '(a'", "Unmatched (")
    check_refused(boot("--fail-on", "(a*)*\\1", guest("hello")), "--fail-on '(a*)*\\1'", "back-reference")
    check_refused(boot("--fail-on", "\\d+", guest("hello")), "--fail-on '\\d+' has \\d", "write [0-9]")
    check_refused(boot("--expect", "(?i)hello", guest("hello")), "--expect '(?i)hello' has flags", "[Oo]ops")
    check_refused(boot("--expect", "((a{1,255}){1,255}){1,255}", guest("hello")), "written out")
    check_refused(boot("--fail-on", "panic|", guest("hello")), "--fail-on 'panic|' matches an empty text", "every line")
    many = ["--fail-on", "(.?){1660}zzz"] * 20
    check_refused(boot(*many, guest("hello")), "--fail-on '(.?){1660}zzz'", "all expressions together", "write fewer")
    outcome = boot("--expect", "a\nb", guest("hello"))
    check_refused(outcome, "--expect 'a\ufffdb' has a line's end in it")
    check(len(outcome.err.splitlines()) == 1, "not one line", outcome)


@case
def letters_are_those_of_utf_8_without_any_locale():
    for environment in ({"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "none", "LOCPATH": "/nonexistent"}):
        outcome = boot("--expect", "^caf. [éè]\\w", "--timeout", 20, guest("echo"),
                       input_bytes="café été\n".encode(), env={**os.environ, **environment})
        check_status(outcome, 0)
    junk = b"\xff\xc3\x00fatal\xff\xff error\n"
    outcome = boot("--fail-on", "fatal.* error$", "--timeout", 20, guest("echo"), input_bytes=junk)
    check_status(outcome, 1)


@case
def a_line_that_is_longer_than_a_page_is_matched_as_a_whole():
    line = b"begin " + b"x" * 9000 + b" end\n"
    outcome = boot("--expect", "^begin x+ end$", "--timeout", 60, guest("echo"), input_bytes=line)
    check_status(outcome, 0)


@case
def the_log_has_each_line_with_its_time():
    with harness.temporary_directory() as directory:
        log = harness.write_file(directory, "log", b"old" * 1000)
        outcome = boot("--log", log, "--append", "bytes=8192", guest("flood"))
        check_status(outcome, 0)
        check_silent(outcome)
        with open(log, "rb") as file:
            logged = file.read()
        lines = logged.decode().splitlines()
        check(all(re.match(r"\[ *\d+\.\d{6}\] ", line) for line in lines), "a line without a time")
        text = "".join(line.split("] ", 1)[1] + "\n" for line in lines)
        check(text.encode() == outcome.out, "the log is not the console")
        check(lines[0].endswith("] " + FLOOD_LINE), f"the first line is {lines[0]!r}")


@case
def a_log_stops_at_its_limit_and_says_what_it_lacks():
    with harness.temporary_directory() as directory:
        log = os.path.join(directory, "log")
        outcome = boot("--log", log, "--log-limit", "4K", "--append", "bytes=16384 rep", guest("flood"))
        check_status(outcome, 0)
        check(len(outcome.out) == 16384, "stdout is not complete")
        with open(log, encoding="ascii") as file:
            lines = file.read().splitlines()
        check(os.path.getsize(log) < 4096 + 256, f"the log has {os.path.getsize(log)} bytes")
        check("mayfly: the log ends here: --log-limit 4 KiB was reached" in lines[-2], lines[-2])
        lost = int(re.search(r"mayfly: (\d+) bytes of the console are not in this log$", lines[-1]).group(1))
        kept = sum(len(line.split("] ", 1)[1]) for line in lines[:-2]) + len(lines[:-2])
        check(abs(kept + lost - 16384) <= 1, f"{kept} kept and {lost} lost")
        check(f"{lost} bytes of the console are not in it: --log-limit" in outcome.err, "not told", outcome)


@case
def a_log_on_a_full_disk_is_told_and_the_guest_goes_on():
    outcome = boot("--log", "/dev/full", "--append", "bytes=8192", guest("flood"))
    check_status(outcome, 0)
    check(len(outcome.out) == 8192, "stdout is not complete")
    check(outcome.err.count("No space left on device; the guest goes on") == 1, "not told once", outcome)
    check_match(outcome, r"--log /dev/full: 8192 bytes of the console are not in it")


@case
def the_report_is_written_though_nobody_reads_stderr():
    with harness.temporary_directory() as directory:
        path = os.path.join(directory, "report.xml")
        for arguments in (["/nonexistent"], [guest("hello"), "--disk", "/nonexistent"], [guest("hello"), "--cpus", "x"]):
            reader, writer = os.pipe()
            os.close(reader)
            outcome = boot("--junit", path, *arguments, stderr=writer)
            os.close(writer)
            check(outcome.status in (125, 127), "status", outcome)
            report(path, outcome)
            os.unlink(path)


@case
def a_report_whose_reader_has_stalled_does_not_keep_mayfly_from_its_end():
    with harness.temporary_directory() as directory:
        fifo = os.path.join(directory, "fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        try:
            while True:
                os.write(writer, bytes(4096))
        except BlockingIOError:
            pass
        for option in ("--junit", "--timeline-json"):
            check_refused(boot(option, fifo, "--timeout", 3, guest("hello"), stdout=-3), fifo, "its reader has stalled")
        os.close(writer)
        os.close(reader)


@case
def a_hanging_kernels_last_output_on_its_early_console_is_seen():
    with harness.temporary_directory() as directory:
        kernel = harness.write_file(directory, "kernel", flat_kernel.linux64_that_hangs(b"stuck at x\n"))
        for cpus in (1, 3):
            outcome = boot("--expect", "^stuck at x$", "--timeout", 20, "--cpus", cpus, kernel)
            check_status(outcome, 0)
            check_out(outcome, b"stuck at x\n")
            check(outcome.seconds < 15, "only at the timeout", outcome)


@case
def a_log_that_nobody_reads_is_an_error_and_a_stalled_reader_does_not_stop_the_end():
    with harness.temporary_directory() as directory:
        fifo = os.path.join(directory, "fifo")
        os.mkfifo(fifo)
        check_refused(boot("--log", fifo, guest("hello")), "--log", fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        outcome = boot("--log", fifo, "--timeout", 3, "--append", "bytes=32768 rep", guest("flood"))
        os.close(reader)
        check_status(outcome, harness.TIMEOUT)
        check_match(outcome, "its reader has stalled")


@case
def a_log_is_complete_when_mayfly_is_ended_or_killed():
    with harness.temporary_directory() as directory:
        for ending, status in ((signal.SIGTERM, 143), (signal.SIGKILL, 137)):
            log = os.path.join(directory, "log")
            process = harness.popen(["boot", "--log", log, guest("echo")])
            started = time.monotonic()
            while process.stdout.readline() != b"ready\n":
                check(process.poll() is None, "it ended")
            process.send_signal(ending)
            check_status(harness.finish(process, started), status)
            with open(log, encoding="ascii") as file:
                check(re.fullmatch(r"\[ *\d+\.\d{6}\] ready\n", file.read()), "the log is not complete")


@case
def the_junit_report_has_a_case_for_the_boot_and_each_expression():
    with harness.temporary_directory() as directory:
        path = os.path.join(directory, "report.xml")
        outcome = boot("--junit", path, "--append", "a<b>&\"c\"", "--expect", "Hel+o", "--expect", "<never>&",
                       "--fail-on", "panic", guest("hello"))
        check_status(outcome, 1)
        suite, cases, console = report(path, outcome)
        check_case(cases, "mayfly.boot", "builtin:hello", None)
        check_case(cases, "mayfly.expect", "Hel+o", None)
        check_case(cases, "mayfly.expect", "<never>&", "failure")
        check_case(cases, "mayfly.fail-on", "panic", None)
        check(console == "Hello from mayfly\n", f"system-out is {console!r}")
        properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
        for name, value in (("kernel", "builtin:hello"), ("append", 'a<b>&"c"'), ("memory", "128 MiB"), ("cpus", "1"),
                            ("status", "1")):
            check(properties.get(name) == value, f"property {name} is {properties.get(name)!r}")
        check(re.fullmatch(r"\d+\.\d+\.\d+", properties["mayfly"]), "no version")
        check(os.listdir(directory) == ["report.xml"], f"left over: {os.listdir(directory)}")


@case
def the_junit_report_tells_timeouts_crashes_and_statuses_apart():
    with harness.temporary_directory() as directory:
        path = os.path.join(directory, "report.xml")
        for arguments, kind in ((["--timeout", 1, guest("echo")], "timeout"),
                                (["--append", "triple", guest("exits")], "crash"),
                                (["--append", "exit=7", guest("exits")], "status")):
            outcome = boot("--junit", path, *arguments)
            _, cases, _ = report(path, outcome)
            check_case(cases, "mayfly.boot", arguments[-1], "failure")
            found = cases[("mayfly.boot", arguments[-1])].get("type")
            check(found == kind, f"type {found}, expected {kind}", outcome)


@case
def the_junit_report_is_written_without_a_machine():
    attempts = (
        (["/no/such/kernel"], harness.NOT_FOUND),
        (["--disk", "/no/such/disk"], harness.FAILED),
        (["--fail-on", "("], harness.FAILED),
        (["--log", "/no/such/log"], harness.FAILED),
        (["--memory", "1K"], harness.FAILED),
    )
    with harness.temporary_directory() as directory:
        path = os.path.join(directory, "report.xml")
        for arguments, status in attempts:
            if os.path.exists(path):
                os.unlink(path)
            outcome = boot("--junit", path, "--expect", "ready", *arguments)
            check_status(outcome, status)
            _, cases, _ = report(path, outcome)
            name = "/no/such/kernel" if status == harness.NOT_FOUND else "builtin:demo"
            check_case(cases, "mayfly.boot", name, "error")
            check_case(cases, "mayfly.expect", "ready", "skipped")


@case
def the_junit_report_is_written_though_an_option_was_refused():
    with harness.temporary_directory() as directory:
        path = os.path.join(directory, "report.xml")
        check_refused(boot("--junit", path, "--memory", "much", guest("hello")), "--memory", "much")
        _, cases, _ = report(path)
        check_case(cases, "mayfly.boot", "builtin:hello", "error")


@case
def a_junit_report_that_cannot_be_written_is_reported_and_fails_the_boot():
    outcome = boot("--junit", "/dev/full", guest("hello"))
    check_status(outcome, harness.FAILED)
    check_match(outcome, "--junit: /dev/full")


@case
def hostile_bytes_reach_no_terminal_and_break_no_report():
    hostile = b"\x00\x01\x1b[31mred\x1b[0m\xff\xc3(\xed\xa0\x80\xef\xbf\xbe]]>&<x>\x9b\xc2\x9b31m \xc3\xa9\r"
    with harness.temporary_directory() as directory:
        path, log = os.path.join(directory, "report.xml"), os.path.join(directory, "log")
        outcome = boot("--junit", path, "--log", log, "--expect", "never", guest("echo"), input_bytes=hostile + b"\nq")
        check_status(outcome, 1)
        _, _, console = report(path, outcome)
        check("red\ufffd" in console and "]]>&<x>" in console and "é" in console, f"system-out is {console!r}")
        tail = outcome.err.split("the console's last lines:\n")[1]
        check(not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", tail), "control characters on stderr", outcome)
        check("  | " in tail and "red" in tail, "no tail", outcome)
        with open(log, "rb") as file:
            check(hostile.rstrip(b"\r") in file.read(), "the log is not as the guest wrote it")


@case
def a_prompt_without_an_end_is_seen():
    outcome = boot("--expect", "login: $", "--timeout", 20, guest("echo"), input_bytes=b"debian login: ")
    check_status(outcome, 0)
    check_out(outcome, b"ready\ndebian login: ")


@case
def a_guest_that_floods_is_watched_within_bounds():
    with harness.temporary_directory() as directory:
        log = os.path.join(directory, "log")
        arguments = ["--append", "bytes=32768 rep", "--console", "null", guest("flood")]
        outcome = boot("--log", log, "--log-limit", "16K", "--expect", "(a|aa)*never", "--fail-on", "a.*never",
                       *arguments)
        check_status(outcome, 1)
        check(os.path.getsize(log) < (16 << 10) + 256, f"the log has {os.path.getsize(log)} bytes")


if __name__ == "__main__":
    harness.main()
