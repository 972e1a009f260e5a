# SPDX-License-Identifier: Apache-2.0
"""mayfly bench merge: measured reports beside each other, and refusals by name."""
import json
import os

from harness import FAILED, case, check, check_refused, check_silent, check_status, main, run, temporary_directory
from harness import write_file
from page import Page


def measured(directory, name, *options, boot=("builtin:hello",)):
    path = os.path.join(directory, name)
    check_status(run("bench", "boot", "-n", 2, "--json", path, *options, "--", *boot), 0)
    return path


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


@case
def runs_of_two_days_are_one_report():
    with temporary_directory() as directory:
        days = [measured(directory, f"{day}.json") for day in ("monday", "tuesday")]
        names = [os.path.join(directory, name) for name in ("merged", "page")]
        outcome = run("bench", "merge", *days, "--json", names[0], "--html", names[1])
        check_status(outcome, 0)
        check_silent(outcome)
        merged, reports = load(names[0]), [load(day) for day in days]
        with open(names[1], encoding="utf-8") as file:
            page = file.read()
    text = outcome.out.decode()
    check(all(len(line) <= 80 for line in text.splitlines()), "wider than 80 columns", outcome)
    for word in ("monday", "tuesday", "processor", "kernel", "KVM", "builtin:hello", "system CPU"):
        check(word in text and word in page, f"{word} is missing", outcome)
    check("svg" in Page(page).seen, "no chart")
    check([one["host"] for one in merged["reports"]] == [one["host"] for one in reports], f"{merged['reports']}")
    cells = merged["summary"]["exec_to_exit"]["columns"][0]
    for cell, report in zip(cells, reports):
        own = report["summary"]["exec_to_exit"]["columns"][0]
        check(cell == {key: own[key] for key in ("n", "min", "p50", "p90", "p99", "max")}, f"{cell} {own}")


@case
def a_document_on_stdout_moves_the_table():
    with temporary_directory() as directory:
        one = measured(directory, "one.json")
        outcome = run("bench", "merge", "--json", "-", one)
        check_status(outcome, 0)
        check(json.loads(outcome.out)["reports"][0]["name"] == "one", "not the JSON", outcome)
        check("exec -> exit" in outcome.err, "no table", outcome)
        check_refused(run("bench", "merge", "--json", "-", "--html", "-", one), "stdout takes one document")


@case
def what_does_not_belong_is_refused_by_name():
    with temporary_directory() as directory:
        good = measured(directory, "good.json")
        with open(good, "rb") as file:
            text = file.read()
        other = measured(directory, "other.json", boot=("builtin:exits", "--append", "exit=0"))
        merged = os.path.join(directory, "merged.json")
        check_status(run("bench", "merge", good, "--json", merged), 0)
        old = write_file(directory, "old.json", text.replace(b'"version": 2', b'"version": 1', 1))
        for path, *said in (
            (other, "measured mayfly boot builtin:exits", good, "mayfly boot builtin:hello"),
            (old, "format version 1", "version 2"),
            (write_file(directory, "cut.json", text[:len(text) // 2]), "cut off", str(len(text) // 2)),
            (write_file(directory, "text.json", b"hello"), "not JSON"),
            (write_file(directory, "empty.json", b""), "not JSON"),
            (merged, "not a report of", "mayfly bench merge"),
            (os.path.join(directory, "none.json"), "No such file"),
            (directory, "directory"),
        ):
            result = os.path.join(directory, "result")
            check_refused(run("bench", "merge", good, path, "--json", result), path, *said)
            check(not os.path.exists(result), f"{path} was refused, and a result written")
        check_refused(run("bench", "merge", good, good), good, "twice")


@case
def bad_words_are_refused():
    check_refused(run("bench", "merge"), "no reports are named", "bench merge")
    check_refused(run("bench", "merge", "--no-such"), "--no-such")
    check_refused(run("bench", "merge", *["x"] * 257), "257", "256")
    with temporary_directory() as directory:
        good = measured(directory, "good.json")
        before = load(good)
        check_refused(run("bench", "merge", good, "--json", good), "--json", good)
        check(load(good) == before, "the report was written over")
        check_refused(run("bench", "merge", good, "--html", "/no/such/directory/page"), "--html", "/no/such/directory")
        outcome = run("bench", "merge", good, "--json", "/dev/full")
        check_status(outcome, FAILED)
        check("--json: " in outcome.err and "/dev/full" in outcome.err, "the file is not named", outcome)
    outcome = run("bench", "merge", "--help")
    check_status(outcome, 0)
    check(b"usage: mayfly bench merge" in outcome.out, "no help", outcome)


main()
