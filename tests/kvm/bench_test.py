# SPDX-License-Identifier: Apache-2.0
"""mayfly bench boot: real runs, their documents, and refusals before the first run."""
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

import harness
from harness import FAILED, NOT_FOUND, case, check, check_out, check_refused, check_status, guest, main, run
from harness import temporary_directory, write_file
from page import Page

QUANTITIES = ["exec_to_main", "exec_to_first_instruction", "exec_to_guest_mark_0x1", "exec_to_exit", "user_cpu",
              "system_cpu", "cpu", "peak_memory_kib", "returns_to_user_space"]


def bench(*options, boot=("builtin:hello",), **settings):
    return run("bench", "boot", *options, "--", *boot, **settings)


def bench_files(*options, status=0, boot=("builtin:hello",)):
    """(outcome, JSON, CSV rows, HTML text)"""
    with temporary_directory() as directory:
        names = [os.path.join(directory, name) for name in ("j", "c", "h")]
        outcome = bench(*options, "--json", names[0], "--csv", names[1], "--html", names[2], boot=boot)
        check_status(outcome, status)
        texts = []
        for name in names:
            with open(name, encoding="utf-8", newline="") as file:
                texts.append(file.read())
        return outcome, json.loads(texts[0]), list(csv.DictReader(io.StringIO(texts[1]))), texts[2]


@case
def every_file_tells_the_same():
    outcome, root, rows, page = bench_files("-n", 4, "--against", "/bin/true", "--mark", "hello=^Hello")
    timed = [one for one in root["runs"] if one["kind"] == "timed"]
    check(len(timed) == 8, f"{len(timed)} timed runs, expected 4 of 2 columns")
    check([one["column"] for one in timed[:4]] == [0, 1, 1, 0], "the order does not rotate")
    check([row["kind"] for row in rows[-4:]] == ["mean", "stddev"] * 2, f"{rows[-4:]}")
    check(abs(float(rows[-4]["exit_ns"]) - root["summary"]["exec_to_exit"]["columns"][0]["mean"]) < 1, f"{rows[-4]}")
    rows = rows[:-4]
    check(len(rows) == len(root["runs"]), f"{len(rows)} CSV rows for {len(root['runs'])} runs")
    check(all(int(row["exit_ns"]) == one["exit_ns"] for row, one in zip(rows, root["runs"])), "CSV and JSON differ")
    for quantity in QUANTITIES:
        check(root["summary"][quantity]["columns"][0]["n"] >= 3, f"{quantity}: {root['summary'].get(quantity)}")
    exits = sorted(one["exit_ns"] for one in timed if one["column"] == 0)
    summary = root["summary"]["exec_to_exit"]["columns"]
    check((summary[0]["min"], summary[0]["p50"], summary[0]["max"]) == (exits[0], exits[1], exits[3]), f"{summary}")
    check(abs(summary[1]["ratio_p50"] - summary[1]["p50"] / summary[0]["p50"]) < 1e-6, f"{summary}")
    check(b"exec -> first instruction" in outcome.out and b"again: mayfly bench boot -n 4" in outcome.out,
          "the table is not complete", outcome)
    parsed = Page(page)
    check("script" not in parsed.seen and parsed.seen.count("svg") == 3, f"{parsed.seen}")
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        root = xml.etree.ElementTree.fromstring(drawing)
        names = [element.tag.rpartition("}")[2] for element in root]
        check(names[:2] == ["title", "desc"], f"an SVG begins with {names[:3]}")


@case
def moments_come_in_order_and_within_the_run():
    _, root, _, _ = bench_files("-n", 2, "--mark", "hello=^Hello")
    for one in root["runs"]:
        if one["kind"] != "timed":
            continue
        moments = one["moments"]
        order = [moments[name] for name in ("main", "first_kvm_run", "guest mark 0x1", "guest ended")]
        check(0 < order[0] and order == sorted(order) and order[-1] <= one["exit_ns"], f"{one}")
        check(moments["guest mark 0x1"] <= moments["console: hello"], f"{one}")
        check(one["user_ns"] + one["system_ns"] > 0, f"{one}")


@case
def exits_are_those_of_the_statistics():
    _, root, _, _ = bench_files("-n", 1)
    with temporary_directory() as directory:
        path = os.path.join(directory, "stats")
        check_status(run("boot", guest("hello"), "--stats-json", path), 0)
        with open(path, encoding="utf-8") as file:
            stats = json.load(file)
    counting = [one for one in root["runs"] if one["kind"] == "counting"][-1]["exits"]
    check(counting["returns_to_user_space"] == stats["returns_to_user_space"], f"{counting} {stats}")
    check(counting["by_reason"] == stats["by_reason"], f"{counting} {stats}")
    if counting["kvm_userspace_exit"] is not None:
        check(counting["kvm_userspace_exit"] == stats["returns_to_user_space"], f"{counting} {stats}")


@case
def words_from_outside_stay_words():
    nasty = "<b>\"&',"
    _, root, rows, page = bench_files("-n", 1, "--name", nasty, "--mark", "<i>", boot=("builtin:hello", "--append", nasty))
    check(root["columns"][0]["name"] == nasty and rows[0]["column"] == nasty, f"{root['columns']} {rows[0]}")
    Page(page)
    check("<b>\"" not in page and "<b>&" not in page and "<i>" not in page, "not escaped")


@case
def qemu_runs_the_same_guest():
    if shutil.which("qemu-system-x86_64") is None:
        harness.skip("qemu-system-x86_64 is not installed")
    before = set(os.listdir("/tmp"))
    _, root, _, _ = bench_files("-n", 2, "--warmup", 0, "--against", "qemu-microvm", "--mark", "Hello from mayfly")
    check(root["columns"][1]["status"] == 1 and root["columns"][1]["failures"] == 0, f"{root['columns']}")
    check(root["summary"]["exec_to_console:_Hello_from_mayfly"]["columns"][1]["n"] == 2, "QEMU's guest said nothing")
    left = [name for name in set(os.listdir("/tmp")) - before if name.startswith("mayfly-bench")]
    check(not left, f"{left} are left in /tmp")


@case
def a_qemu_that_cannot_boot_says_why():
    with temporary_directory() as directory:
        write_file(directory, "qemu-system-x86_64",
                   b"#!/bin/sh\necho 'qemu-system-x86_64: could not load kernel' >&2\nexit 1\n")
        os.chmod(os.path.join(directory, "qemu-system-x86_64"), 0o755)
        outcome = bench("-n", 2, "--against", "qemu-microvm", env={**os.environ, "PATH": directory})
    check_status(outcome, 1)
    check(b"QEMU microvm FAILED" in outcome.out and b"cannot run" in outcome.out and b"could not load kernel" in outcome.out, "not said", outcome)


@case
def failed_runs_are_told_and_in_no_figure():
    with temporary_directory() as directory:
        toggle = os.path.join(directory, "toggle")
        script = f"if [ -e {toggle} ]; then rm {toggle}; echo broken >&2; exit 3; else touch {toggle}; fi"
        outcome, root, _, _ = bench_files("-n", 4, "--against", f'sh -c "{script}"', status=1)
    check(root["columns"][1]["failures"] > 0 and root["columns"][1]["status"] == 0, f"{root['columns']}")
    good = sum(one["good"] for one in root["runs"] if one["column"] == 1 and one["kind"] == "timed")
    check(root["summary"]["exec_to_exit"]["columns"][1]["n"] == good < 4, f"{root['summary']['exec_to_exit']}")
    check(b"status 3: broken" in outcome.out, "the failure is not told", outcome)


@case
def a_run_without_end_is_ended():
    started = time.monotonic()
    outcome, root, _, _ = bench_files("-n", 1, "--warmup", 0, "--timeout", 3, "--against", "sleep 100", status=1)
    check(time.monotonic() - started < 50, "took too long", outcome)
    check(root["columns"][1]["status"] is None and root["columns"][1]["failures"] == 2, f"{root['columns']}")
    check(root["summary"]["exec_to_exit"]["columns"][1]["p50"] is None, "a run without an end has figures")
    check(b"no end within" in outcome.out, "not said", outcome)


@case
def several_at_once():
    _, root, _, _ = bench_files("-n", 5, "--parallel", 2)
    timed = sorted((one["exec_monotonic_ns"], one["exit_ns"]) for one in root["runs"] if one["kind"] == "timed")
    check(len(timed) == 5, f"{len(timed)} timed runs")
    check(timed[1][0] < timed[0][0] + timed[0][1], "the first two did not overlap")
    check(timed[2][0] > max(timed[0][0] + timed[0][1], timed[1][0] + timed[1][1]), "the third came too early")
    check(any("boots a second" in note for note in root["notes"]), f"{root['notes']}")


@case
def interrupted_it_prints_what_it_has():
    for number, second in ((signal.SIGINT, False), (signal.SIGTERM, True)):
        process = harness.popen(["bench", "boot", "-n", 1000, "--against", "sh -c \"trap '' TERM; sleep 0.05\"", "-v",
                                 "--", "builtin:hello"])
        lines = 0
        while lines < 12:
            lines += b"timed" in process.stderr.readline()
        process.send_signal(number)
        if second:
            process.send_signal(number)
        outcome = harness.finish(process, time.monotonic())
        check_status(outcome, 128 + number)
        check(f"interrupted by signal {int(number)}".encode() in outcome.out, "not said", outcome)
        check(b"exec -> exit" in outcome.out, "no figures", outcome)


@case
def children_do_not_survive_a_killed_bench():
    process = harness.popen(["bench", "boot", "--against", "sleep 98.7654", "--timeout", 100, "--", "builtin:hello"])
    deadline = time.monotonic() + 20
    find = ["pgrep", "-f", "^sleep 98.7654"]
    while subprocess.run(find, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        check(time.monotonic() < deadline, "the column's command never ran")
        time.sleep(0.05)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while subprocess.run(find, stdout=subprocess.DEVNULL, check=False).returncode != 1:
        check(time.monotonic() < deadline, "sleep survived")
        time.sleep(0.05)


@case
def bad_words_are_refused():
    check_refused(run("bench"), "bench boot")
    check_refused(run("bench", "disk"), "disk")
    check_refused(run("bench", "boot"), "BOOT-ARGS are missing")
    check_refused(run("bench", "boot", "builtin:hello"), "behind --")
    check_refused(bench("-n", 0), "--runs 0")
    check_refused(bench("-n", 2, "--parallel", 3), "--parallel 3", "2 runs")
    check_refused(bench("--against", "qemu"), "--against", "'qemu'")
    check_refused(bench("--against", "/no/such/program"), "/no/such/program")
    check_refused(bench("--against", "qemu-microvm", boot=("builtin:hello", "--disk", "x")), "--disk")
    check_refused(bench("--mark", "("), "--mark")
    check_refused(bench(boot=("builtin:nothing",)), "'nothing'", status=NOT_FOUND)
    check_refused(bench(boot=("/no/such/kernel",)), "/no/such/kernel", status=NOT_FOUND)
    outcome = run("bench", "boot", "--help")
    check_status(outcome, 0)
    check(b"usage: mayfly bench boot" in outcome.out, "no help", outcome)


@case
def a_file_that_cannot_be_written_is_found_first():
    for option in ("--json", "--csv", "--html", "--export-markdown"):
        started = time.monotonic()
        outcome = bench("-n", 100_000, option, "/no/such/directory/file")
        check_refused(outcome, f"{option}: /no/such/directory/file")
        check(time.monotonic() - started < 15, "runs came first")
    if os.path.exists("/dev/full"):
        outcome = bench("-n", 1, "--json", "/dev/full")
        check_status(outcome, FAILED)
        check("/dev/full" in outcome.err and b"exec -> exit" in outcome.out, "not said", outcome)
        with temporary_directory() as directory:
            rest = [os.path.join(directory, option) for option in ("--csv", "--html", "--export-markdown")]
            words = [word for path in rest for word in (os.path.basename(path), path)]
            outcome = bench("-n", 1, "--json", "/dev/full", *words)
            check_status(outcome, FAILED)
            check("--json: /dev/full" in outcome.err, "the option is not named", outcome)
            check(all(os.path.getsize(path) > 100 for path in rest), "not all were written", outcome)


@case
def the_files_are_written_though_nobody_reads_stdout():
    with temporary_directory() as directory:
        path = os.path.join(directory, "j")
        reader, writer = os.pipe()
        os.close(reader)
        outcome = bench("-n", 1, "--json", path, stdout=writer)
        os.close(writer)
        check_status(outcome, FAILED)
        with open(path, encoding="utf-8") as file:
            check(len(json.load(file)["runs"]) > 1, "the file is not whole", outcome)


@case
def without_kvm_it_says_so_once():
    wrapper = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null /dev/kvm && exec "$@"', "sh"]
    if subprocess.run([*wrapper, "true"], capture_output=True, check=False).returncode != 0:
        harness.skip("needs a mount namespace of its own")
    outcome = bench("-n", 50, wrapper=wrapper)
    check_status(outcome, FAILED)
    check(outcome.err.count("kvm") >= 1 and len(outcome.err.splitlines()) == 1, "not one line", outcome)
    check_out(outcome, b"")


if __name__ == "__main__":
    sys.exit(main())
