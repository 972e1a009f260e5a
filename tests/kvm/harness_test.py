# SPDX-License-Identifier: Apache-2.0
"""The harness itself: a case that waits forever is ended, and the place where it stood is printed."""
import os
import subprocess
import sys

from harness import case, check, main, temporary_directory, write_file

PROGRAM = b"""
import subprocess
import harness

harness.CASE_SECONDS = 1

@harness.case
def waits_for_a_signal_that_never_comes():
    process = subprocess.Popen(["sleep", "50"], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
    finally:
        process.kill()
        process.wait()

@harness.case
def the_next():
    pass

harness.main(needs_kvm=False)
"""


@case
def a_case_that_waits_forever_is_ended_and_the_next_one_runs():
    with temporary_directory() as directory:
        program = write_file(directory, "program.py", PROGRAM)
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
        command = [sys.executable, "-B", program, "mayfly", "guests"]
        options = {"capture_output": True, "text": True, "timeout": 40, "check": False}
        ended = subprocess.run(command, env=environment, **options)
    check(ended.returncode == 1, f"status {ended.returncode}: {ended.stdout}{ended.stderr}")
    check("hung: not over after 1 s" in ended.stdout, f"it does not say so: {ended.stdout}")
    check("process.stdout.readline()" in ended.stdout, f"it does not say where: {ended.stdout}")
    check("ok   the next" in ended.stdout, f"the next did not run: {ended.stdout}")


ENDLESS = b"""
import harness

@harness.case
def leaves_it_running():
    process = harness.popen(())
    print("PID", process.pid, flush=True)
    %s

harness.main(needs_kvm=False)
"""


@case
def a_case_that_fails_or_is_ended_leaves_nothing_running():
    for last in (b"raise harness.Failure('x')", b"process.wait()"):
        with temporary_directory() as directory:
            program = write_file(directory, "program.py", ENDLESS % last)
            stand_in = write_file(directory, "sleeper", b"#!/bin/sh\nexec sleep 50\n")
            os.chmod(stand_in, 0o755)
            environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
            command = [sys.executable, "-B", program, stand_in, "guests"]
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as tests:
                pid = int(tests.stdout.readline().split()[1])
                if last == b"process.wait()":
                    tests.terminate()
                tests.communicate(timeout=40)
        check(not os.path.exists(f"/proc/{pid}"), f"{last}: {pid} is still there")


if __name__ == "__main__":
    main(needs_kvm=False)
