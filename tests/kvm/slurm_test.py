# SPDX-License-Identifier: Apache-2.0
"""mayfly as a job of Slurm's: output and statuses pass through, scancel ends guest and monitor, and an array's
JUnit files make one report."""
import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import harness
import slurm
from harness import FAILED, NOT_FOUND, TIMEOUT, case, check, main, temporary_directory

KILL_SECONDS = 30  # slurm.conf's KillWait: SIGKILL comes then
_running = []


def cluster():
    """One cluster for all cases."""
    if not _running:
        if slurm.why_missing():
            harness.skip(slurm.why_missing())
        _running.append(slurm.Slurm())
        atexit.register(_running[0].close)
        _running[0].__enter__()
    return _running[0]


def await_true(is_true, what, seconds=60):
    limit = time.monotonic() + seconds
    while not is_true():
        check(time.monotonic() < limit, f"{what}: not within {seconds} s\n{cluster().log()}")
        time.sleep(0.05)


def monitors(word):
    """Numbers of the mayfly processes that have `word` on their command line."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue  # it has ended
        if words[0] == harness.mayfly_path.encode() and word.encode() in words:
            found.append(int(number))
    return found


@case
def output_and_statuses_pass_through():
    exits = ("builtin:exits", "--append")
    for words, status, said in (
        (("builtin:hello",), 0, b""),
        ((*exits, "exit=7"), 7, b""),
        ((*exits, "hlt", "--timeout", "0.5"), TIMEOUT, b"mayfly: timeout"),
        (("builtin:hello", "--no-such-option"), FAILED, b"--no-such-option"),
        (("/no/such/kernel",), NOT_FOUND, b"mayfly: /no/such/kernel"),
    ):
        done = cluster().run("srun", harness.mayfly_path, "boot", *words)
        check(done.returncode == status, f"{words}: status {done.returncode}, expected {status}\n{done.stderr}")
        check(said in done.stderr, f"{words}: stderr is {done.stderr}")
        check(done.stdout == (b"Hello from mayfly\n" if words == ("builtin:hello",) else b""), f"{done.stdout}")


@case
def a_guest_is_fed_through_srun():
    with temporary_directory() as directory:
        path = harness.write_file(directory, "input", b"some wordsq")
        done = cluster().run("srun", "--input", path, harness.mayfly_path, "boot", "builtin:echo", "--timeout", "20")
    check(b"some words" in done.stdout, f"{done}")


BATCH = ("sbatch", "--output=/dev/null", "--wrap")


def scancelled(how, boot):
    """Starts a guest without end as a job, cancels it, and waits for the end of both."""
    word = f"mark-{os.getpid()}"
    job = cluster().popen(*how, *boot, "--append", word) if how == ("srun",) else cluster().popen(
        *how, " ".join((*boot, "--append", word)))
    await_true(lambda: monitors(word), "a monitor")
    number = cluster().run("squeue", "-h", "-o", "%A").stdout.decode().split()
    check(len(number) == 1, f"the queue has {number}")
    started = time.monotonic()
    done = cluster().run("scancel", number[0])
    check(done.returncode == 0, f"{done}")
    await_true(lambda: not monitors(word), "the monitor's end", KILL_SECONDS)
    await_true(lambda: cluster().jobs() == 0, "the job's end", KILL_SECONDS)
    check(time.monotonic() - started < KILL_SECONDS, "it was killed, or nearly")
    job.communicate(timeout=60)
    return job.returncode


@case
def scancel_ends_guest_and_monitor_by_sigterm():
    with temporary_directory() as directory:
        junit = os.path.join(directory, "junit.xml")
        boot = (harness.mayfly_path, "boot", "builtin:idle", "--junit", junit)
        for how, words in ((("srun",), boot), (BATCH, ("exec", *boot)), (BATCH, ("srun", *boot))):
            status = scancelled(how, words)
            check(status == (0 if how == BATCH else 128 + signal.SIGTERM), f"{how}: status {status}")
            # After SIGKILL there would be none.
            with open(junit, encoding="utf-8") as file:
                check("mayfly was ended by signal 15" in file.read(), f"{how}: not by SIGTERM")
            os.unlink(junit)


SMOKE = """#!/bin/sh
#SBATCH --array=0-3 --output=/dev/null
set -- hello hello exits hello
shift $SLURM_ARRAY_TASK_ID
{mayfly} boot builtin:$1 --append exit=7 --timeout 20 --junit {directory}/smoke-$SLURM_ARRAY_TASK_ID.xml
"""


def junitparser():
    """Debian's module, which another Python before /usr/bin may not see."""
    for python in (sys.executable, "/usr/bin/python3"):
        if shutil.which(python) and subprocess.run([python, "-c", "import junitparser"], capture_output=True,
                                                   check=False).returncode == 0:
            return [python, "-m", "junitparser"]
    return harness.skip("junitparser is missing: apt-get install python3-junitparser")


@case
def an_array_of_smoke_tests_is_one_report():
    merge = junitparser()
    with temporary_directory() as directory:
        script = SMOKE.format(mayfly=harness.mayfly_path, directory=directory).encode()
        done = cluster().run("sbatch", "--wait", harness.write_file(directory, "smoke.sh", script))
        check(done.returncode == 7, f"the array's status is not its worst task's: {done}\n{cluster().log()}")
        parts = sorted(name for name in os.listdir(directory) if re.fullmatch(r"smoke-\d\.xml", name))
        check(len(parts) == 4, f"{parts}")
        report = os.path.join(directory, "report.xml")
        subprocess.run([*merge, "merge", *(os.path.join(directory, name) for name in parts), report], check=True)
        root = ElementTree.parse(report).getroot()
    names = sorted(one.get("name") for one in root.iter("testcase"))
    check(names == ["builtin:exits", "builtin:hello", "builtin:hello", "builtin:hello"], f"{names}")
    check((root.get("tests"), root.get("failures")) == ("4", "1"), f"{root.attrib}")
    failed = [one for one in root.iter("testcase") if one.find("failure") is not None]
    check([one.get("name") for one in failed] == ["builtin:exits"], f"{failed}")


@case
def nothing_is_left():
    one = cluster()
    _running.clear()
    atexit.unregister(one.close)
    one.close()
    check(not os.path.exists(one.directory), f"{one.directory} is left")
    children = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, check=True)
    left = [line for line in children.stdout.splitlines() if b"ps -o" not in line]
    check(not left, f"these are left: {left}")


main()
