# SPDX-License-Identifier: Apache-2.0
"""Bad options: one line that names option, value and limit, and status 125. Needs no KVM."""
import re

from harness import boot, case, check, check_one_line, check_out, check_refused, check_silent, check_status
from harness import guest, main, run

BAD_VALUES = {
    "--memory": [
        "0",
        "1",
        "1M",
        "2047K",
        "2097153",
        "2049K",
        "-1",
        "",
        "x",
        "12Q",
        "1.2345G",
        "0x",
        "1 G",
        "99999999T",
        "18446744073709551616",
    ],
    "--cpus": ["0", "65", "-1", "", "x", "1.5", "0x", "4294967297", "99999999999999999999"],
    "--timeout": ["0", "-1", "", "x", "nan", "inf", "1e9", "10s", "0x10"],
    "--protocol": ["", "Linux", "bios", "multiboot3"],
    "--profile": ["", "pc", "Modern"],
    "--irqchip": ["", "on", "off", "kernel"],
    "--exit-port": ["", "-1", "0x10000", "65536", "f4", "0xzz"],
    "--exit-code": ["", "0", "Raw"],
    "--success": ["", "-1", "x", "4294967296"],
}


@case
def bad_values_are_refused_with_option_and_value():
    for option, values in BAD_VALUES.items():
        for value in values:
            outcome = boot(guest("hello"), f"{option}={value}")
            check_refused(outcome, option)
            if value and option != "--memory":
                check(value in outcome.err, f"the line does not say {value!r}", outcome)


@case
def values_that_are_empty_words_are_refused():
    for option in (
        "--memory",
        "--cpus",
        "--timeout",
        "--success",
        "--initrd",
        "--exit-port",
        "--timeline-json",
    ):
        check_refused(boot(guest("hello"), option, ""), option)


@case
def help_names_every_choice():
    """The words in a refusal are in the help; manual_test.py compares them with the shells' completions."""
    for option in ("--protocol", "--profile", "--irqchip", "--pit", "--transport", "--io", "--exit-code"):
        outcome = boot(guest("hello"), option, "no-such")
        for word in outcome.err.split("one of: ")[1].rstrip(")\n").split(", "):
            check(f" {word}" in run("boot", "--help").out.decode(), f"help does not name {option} {word}")


@case
def limits_are_named():
    check_refused(boot(guest("hello"), "--cpus", 65), "--cpus", "65", "64")
    check_refused(boot(guest("hello"), "--memory", "1M"), "--memory", "1 MiB", "2 MiB")
    check_refused(boot(guest("hello"), "--memory", "2049K"), "--memory", "4 KiB")
    check_refused(boot(guest("hello"), "--exit-port", "0x10000"), "--exit-port", "0x10000", "65535")
    check_refused(boot(guest("hello"), "--protocol", "bios"), "bios", "linux", "pvh", "multiboot")
    check_refused(boot(guest("hello"), "--timeout", "1e9"), "--timeout", "1e9", "10000000")


@case
def a_quick_linux_is_a_linux():
    check_refused(boot(guest("hello"), "--quick-linux"), "--quick-linux", "hello", "not a Linux kernel")
    check_refused(boot("vmlinux", "--quick-linux", "--no-default-append"), "--no-default-append")


@case
def unknown_options_and_commands_are_refused():
    check_refused(boot(guest("hello"), "--frobnicate"), "--frobnicate", "--help")
    check_refused(boot(guest("hello"), "second-kernel"), "second-kernel")
    check_refused(run("reboot"), "reboot")
    check_refused(run(), "--help")
    check_refused(boot("--memory"), "--memory")


@case
def a_kernel_name_that_is_empty_is_not_the_demo():
    outcome = boot("")
    check(outcome.status in (125, 127), "booted something", outcome)
    check_one_line(outcome)


@case
def help_is_on_stdout():
    for arguments in (("--help",), ("boot", "--help")):
        outcome = run(*arguments)
        check_status(outcome, 0)
        check_silent(outcome)
        check(b"boot" in outcome.out, "no help", outcome)
    for option in ("--memory", "--initrd", "--exit-port", "--timeline-json", "--protocol", "--profile"):
        check(option.encode() in outcome.out, f"help lacks {option}", outcome)


@case
def version_is_on_stdout():
    import json

    outcome = run("version")
    check_status(outcome, 0)
    check(outcome.out.startswith(b"mayfly ") and outcome.out.count(b"\n") == 1, "not one line", outcome)
    outcome = run("version", "--json")
    check(json.loads(outcome.out)["name"] == "mayfly", "not mayfly's", outcome)
    told = json.loads(outcome.out)
    parts = [told[key] for key in ("commit", "compiler", "optimisation", "libc", "allocator")]
    line = "mayfly {} (commit {}, {} {}, {}, {})\n".format(told["version"], *parts)
    check_out(run("version"), line.encode())
    check(re.fullmatch(r"[0-9a-f]{12}(-dirty)?|unknown", told["commit"]) is not None, "no commit", outcome)


main(needs_kvm=False)
