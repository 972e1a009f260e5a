# SPDX-License-Identifier: Apache-2.0
"""mayfly bench boot: the columns, what counts as success, and documents on stdout."""
import csv
import io
import json
import os
import re
import shutil
import sys

import harness
from harness import FAILED, case, check, check_refused, check_status, guest_file, main, run, temporary_directory
from harness import write_file


def bench(*options, boot=("builtin:hello",), **settings):
    return run("bench", "boot", *options, "--", *boot, **settings)


def bench_json(*options, status=0, **settings):
    outcome = bench(*options, "--json", "-", **settings)
    check_status(outcome, status)
    return json.loads(outcome.out)


def failed(root):
    return [column["failed"] for column in root["columns"]]


@case
def a_column_that_fails_every_time_does_not_look_fast():
    with temporary_directory() as directory:
        paths = {name: os.path.join(directory, name) for name in ("json", "csv", "html", "export-markdown")}
        files = [word for name, path in paths.items() for word in (f"--{name}", path)]
        outcome = bench("-n", 20, "--against", "/bin/false", *files)
        check_status(outcome, 1)
        check(re.search(rb"exec -> exit\n(?: .*\n)* false +failed: status 1\n", outcome.out), "not marked", outcome)
        check(b" x\n" not in outcome.out, "a ratio to it", outcome)
        check(b"--expect-status 1" in outcome.out, "no cure", outcome)
        texts = {}
        for name, path in paths.items():
            with open(path, encoding="utf-8", newline="") as file:
                texts[name] = file.read()
    root = json.loads(texts["json"])
    check(failed(root) == [False, True] and root["columns"][1]["given_up"], f"{root['columns']}")
    check(sum(one["column"] == 1 for one in root["runs"]) == 3, "it was not given up after three")
    rows = [row for row in csv.DictReader(io.StringIO(texts["csv"])) if row["column"] == "false"]
    check(all(row["column_failed"] == "1" and row["good"] == "0" for row in rows), f"{rows}")
    check(rows[-2]["kind"] == "mean" and rows[-2]["exit_ns"] == "", f"{rows[-2]}")
    check("false <strong>failed</strong>" in texts["html"] and "&times;" not in texts["html"], "page not marked")
    check("| false | failed: status 1 |" in texts["export-markdown"], texts["export-markdown"])


@case
def an_expected_status_is_not_a_failure():
    crash = ("builtin:hello", "--append", "x", "--expect", "never said")
    root = bench_json("-n", 2, "--against", "/bin/false", status=1, boot=crash)
    check(failed(root) == [True, True], f"{root['columns']}")
    root = bench_json("-n", 2, "--against", "/bin/false", "--expect-status", 1, boot=crash)
    check(failed(root) == [False, False] and root["columns"][0]["status"] == 1, f"{root['columns']}")
    check(root["summary"]["exec_to_exit"]["columns"][1]["ratio_p50"] > 0, f"{root['summary']['exec_to_exit']}")
    root = bench_json("-n", 2, "--against", "/bin/true", "--expect-status", 1, "--expect-status", 0, boot=crash)
    check(failed(root) == [False, False], f"{root['columns']}")
    check_refused(bench("--expect-status", 300), "--expect-status", "300")


@case
def peers_that_die_or_are_missing_are_failures():
    root = bench_json("-n", 1, "--against", "sh -c 'kill -9 $$'", "--against", "sh -c no-such-command", status=1)
    check(failed(root) == [False, True, True], f"{root['columns']}")
    with temporary_directory() as directory:
        path = write_file(directory, "script", b"no interpreter\n")
        os.chmod(path, 0o755)
        root = bench_json("-n", 9, "--against", path, status=1)
    check(failed(root) == [False, True] and sum(one["column"] for one in root["runs"]) == 1, f"{root['columns']}")


@case
def commands_have_no_exits_and_no_ratio_to_them():
    root = bench_json("-n", 1, "--against", "/bin/true")
    for quantity in ("returns_to_user_space", "kvm_exits"):
        cell = root["summary"][quantity]["columns"][1]
        check(cell["p50"] is None and cell["ratio_p50"] is None and cell["missing"] == "not counted", f"{cell}")
    outcome = bench("-n", 1, "--against", "/bin/true", "--csv", "-")
    row = [row for row in csv.DictReader(io.StringIO(outcome.out.decode())) if row["kind"] == "counting"][1]
    check(row["column"] == "true" and row["kvm_userspace_exits"] == "" and row["kvm_exits"] == "", f"{row}")


@case
def another_mayfly_and_other_words_have_every_phase():
    root = bench_json("-n", 2, "--vs", "builtin:hello --memory 64M", "--vs-binary", harness.mayfly_path)
    first = root["summary"]["exec_to_first_instruction"]["columns"]
    check([cell["n"] for cell in first] == [2, 2, 2] and first[2]["ratio_p50"] > 0, f"{first}")
    check(all(cell["p50"] for cell in root["summary"]["exec_to_guest_mark_0x1"]["columns"]), "marks")
    returns = [cell["p50"] for cell in root["summary"]["returns_to_user_space"]["columns"]]
    check(returns[0] and returns == returns[:1] * 3, f"{returns}")
    check(root["columns"][1]["command"][-2:] == ["--memory", "64M"], f"{root['columns'][1]}")
    check(root["columns"][2]["program"] == harness.mayfly_path, f"{root['columns'][2]}")
    root = bench_json("-n", 9, "--vs-binary", "/bin/true", status=1)
    check(failed(root) == [False, True], "a program that is not mayfly looks fast")
    outcome = bench("-n", 1, "--vs-binary", "/bin/true")
    check(b"but no report" in outcome.out, "not said", outcome)


@case
def a_parameter_has_a_column_for_each_value():
    if shutil.which("qemu-system-x86_64") is None:
        peers = ()
    else:
        peers = ("--against", "qemu-microvm")
    kernels = f"{guest_file('hello')},builtin:hello"
    root = bench_json("-n", 1, *peers, "--parameter", f"k={kernels}", "--parameter", "m=64M,256M",
                      boot=("{k}", "--memory", "{m}", "--append", "{\"x\": 1}"))
    names = [f"{base} k={kernel} m={memory}" for base in ("mayfly", "QEMU microvm")[:1 + len(peers) // 2]
             for kernel in kernels.split(",") for memory in ("64M", "256M")]
    check([column["name"] for column in root["columns"]] == names, f"{root['columns']}")
    check(root["columns"][1]["parameters"] == {"k": guest_file("hello"), "m": "256M"}, f"{root['columns'][1]}")
    check(root["columns"][3]["command"][2:] == ["builtin:hello", "--memory", "256M", "--append", "{\"x\": 1}"],
          f"{root['columns'][3]}")
    check(not any(failed(root)[:4]), f"{root['warnings']}")
    check_refused(bench("--parameter", "cpu=1,2"), "--parameter cpu", "{cpu}")
    check_refused(bench("--parameter", "cpus="), "--parameter 'cpus='", "empty")


@case
def a_preparation_runs_before_each_run_and_its_failure_stops():
    with temporary_directory() as directory:
        path = os.path.join(directory, "log")
        root = bench_json("-n", 3, "--prepare", f"echo x | cat >> {path}")
        with open(path, encoding="utf-8") as file:
            check(len(file.readlines()) == len(root["runs"]), "not before each run")
    check_refused(bench("-n", 3, "--prepare", "echo no disk >&2; exit 3"), "--prepare 'echo no disk >&2; exit 3'",
                  "status 3", "no disk", status=FAILED)


@case
def a_document_on_stdout_is_alone_there():
    for option, begin in (("--json", b"{\n"), ("--csv", b"column,kind"), ("--html", b"<!doctype"),
                          ("--export-markdown", b"| quantity |")):
        outcome = bench("-n", 1, option, "-")
        check_status(outcome, 0)
        check(outcome.out.startswith(begin) and b"again: " not in outcome.out[:200], f"{option} -", outcome)
        check("exec -> exit" in outcome.err and "again: mayfly bench" in outcome.err, "no table on stderr", outcome)
        check(not os.path.exists("-"), "a file is called -")
    check_refused(bench("--json", "-", "--csv", "-"), "--json - and --csv -")


@case
def progress_counts_the_requested_runs():
    outcome = bench("-n", 30, "--warmup", 3, "--parallel", 4)
    check("30 of 30 runs" in outcome.err and "of 33" not in outcome.err, "not 30", outcome)
    outcome = bench("-n", 10, "--against", "/bin/true", "-v")
    timed = re.findall(r"timed (\d+) of (\d+),", outcome.err)
    check([int(number) for number, _ in timed] == list(range(1, 21)) and timed[0][1] == "20", "not 20", outcome)
    outcome = bench("-n", 6, "--parallel", 3, "-v")
    check(len(re.findall(r"timed \d+ of 6,", outcome.err)) == 6, "not a line for each run", outcome)


if __name__ == "__main__":
    sys.exit(main())
