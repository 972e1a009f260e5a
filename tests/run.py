#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the meson tests of a build tree and counts what they say.

    run.py BUILD             every test but those that take long; BUILD is built
    run.py BUILD --long      those too, which take hours on a slow machine
    run.py BUILD --suite X…  those that meson test selects by these arguments, once what they need is built

A test that has cases of its own (Catch2, or a program that prints one line per case) counts by its cases; any
other counts as one. A skipped test's own words are shown, so that nothing is skipped in silence, and last what
failed, on lines that begin with "failed in".
"""

import json
import pathlib
import re
import subprocess
import sys

CATCH_PASSED = re.compile(r"^All tests passed \((?:\d+) assertions? in (\d+) test cases?\)", re.M)
CATCH_MIXED = re.compile(r"^test cases: +(\d+) \|(?: +(\d+) passed \|)? +(\d+) failed", re.M)
PLAIN = re.compile(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
SKIP_STATUS = 77
TAIL_LINES = 60
FAILED_LINES = 12
# A case of ours, of Catch2, or a sanitizer's report.
FAILED = re.compile(r"^(?:FAIL\b|not ok\b)|: FAILED:$|^(?:==\d+==)?(?:ERROR|WARNING): \w*Sanitizer|runtime error:")


def count(entry):
    """(passed, failed, skipped) of one entry of meson's log."""
    text = entry.get("stdout") or ""
    status = entry["returncode"]
    plain = PLAIN.findall(text)
    if plain:
        passed, failed, skipped = (int(field or 0) for field in plain[-1])
        return passed, max(failed, 1 if status not in (0, SKIP_STATUS) else 0), skipped
    if status == SKIP_STATUS:
        return 0, 0, 1
    matched = CATCH_PASSED.search(text)
    if matched and status == 0:
        return int(matched[1]), 0, 0
    matched = CATCH_MIXED.search(text)
    if matched:
        return int(matched[2] or 0), int(matched[3]), 0
    return (1, 0, 0) if status == 0 else (0, 1, 0)


def failures(entry):
    """An entry's failures: the lines that name one, else its last ones."""
    words = ((entry.get("stdout") or "") + (entry.get("stderr") or "")).strip().splitlines()
    said = [word for word in words if FAILED.search(word)] or words[-3:] or [f"status {entry['returncode']}"]
    return said[:FAILED_LINES]


def run(build, name, arguments):
    """The entries of meson's log, or none when no test ran."""
    log = build / "meson-logs" / f"{name}.json"
    log.unlink(missing_ok=True)
    # The limits are for hangs, on a slow and busy machine too.
    command = ["meson", "test", "-C", str(build), "--print-errorlogs", "--logbase", name]
    command += ["--timeout-multiplier", "5"]
    subprocess.run(command + arguments, check=False)
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def main():
    build = pathlib.Path(sys.argv[1])
    if sys.argv[2:] not in ([], ["--long"]):
        entries = run(build, "testlog", sys.argv[2:])
    else:
        # The linux tier keeps every core busy for minutes: tests that look at the clock run before it.
        entries = run(build, "testlog", ["--no-rebuild", "--no-suite", "linux", "--no-suite", "long"])
        entries += run(build, "testlog-linux", ["--no-rebuild", "--suite", "linux"])
        if sys.argv[2:]:
            entries += run(build, "testlog-long", ["--no-rebuild", "--suite", "long"])
    if not entries:
        print("no test ran: meson test wrote no log")
        print("0 passed, 1 failed, 0 skipped")
        return 1
    totals = [0, 0, 0]
    for entry in entries:
        counts = count(entry)
        totals = [have + more for have, more in zip(totals, counts)]
        if counts[2]:
            words = ((entry.get("stdout") or "") + (entry.get("stderr") or "")).strip().splitlines()
            said = [word for word in words if "skip" in word.lower()] or words[-3:]
            for word in said[:TAIL_LINES]:
                print(f"skipped in {entry['name']}: {word.strip()}")
        # Which host the linux tier ran on.
        for word in re.findall(r"^HOST: .*$", entry.get("stdout") or "", re.M):
            print(f"{entry['name']}: {word}")
        if counts[1] and entry["returncode"] == 0:
            print(f"{entry['name']} exited with 0 and yet counted {counts[1]} failed")
    for entry in entries:
        for word in failures(entry) if count(entry)[1] else []:
            print(f"failed in {entry['name']}: {word.strip()}")
    print(f"{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped")
    return 1 if totals[1] or totals[0] == 0 else 0


sys.exit(main())
