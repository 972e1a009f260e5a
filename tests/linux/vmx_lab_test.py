# SPDX-License-Identifier: Apache-2.0
"""The lab's Intel host keeps the contract of lab_test.py where it differs from the other one: its channel is a
serial port, its emulator is built here, and it has no way to say that its machine was reset."""
import os
import signal
import subprocess
import sys
import tempfile
import time

from harness import cache_directory, case, check, check_status, lab_agent_path, linux_host, main
import bochs
from errors import LabError
from lab import Lab

LAB = os.path.join(os.path.dirname(os.path.realpath(__file__)), os.pardir, "lab", "lab")
LAB_FAILED = 125

host = linux_host(needs_lab=True, host="vmx", files={"/work/words": b"some words\n"}, memory="1G")


def fresh(**options):
    return Lab(agent=lab_agent_path, cache=cache_directory, host="vmx", memory="512M", **options)


@case
def statuses_streams_and_files_pass_through():
    for status in (0, 7, 255):
        check_status(host.run(f"exit {status}"), status)
    check_status(host.run("kill -9 $$"), 128 + signal.SIGKILL)
    outcome = host.run("seq 1 4000; seq 1 2000 >&2")
    check(outcome.out == b"".join(b"%d\n" % n for n in range(1, 4001)), "stdout differs", outcome)
    check(outcome.err == "".join(f"{n}\n" for n in range(1, 2001)), "stderr differs", outcome)
    data = os.urandom(50_000)
    outcome = host.run(["md5sum"], input_bytes=data)
    host.put(data, "/work/bytes")
    check(host.get("/work/bytes") == data, "a file is another one")
    check(host.run("md5sum </work/bytes").out == outcome.out, "stdin and a file differ", outcome)
    check(host.get("/work/words") == b"some words\n", "a file of the start")


@case
def parameters_of_modules_and_processors_are_as_asked_for():
    with fresh(cpus=2, apicv=False, append="kvm_intel.ple_gap=77") as lab:
        outcome = lab.run("nproc; cat /sys/module/kvm_intel/parameters/enable_apicv"
                          " /sys/module/kvm_intel/parameters/ple_gap", timeout=60)  # fmt: skip
    check(outcome.out == b"2\nN\n77\n", "not as asked for", outcome)


@case
def an_emulator_that_dies_is_an_error_with_the_end_of_the_console():
    with fresh() as lab:
        process = lab.popen(["sleep", "1000"])
        os.kill(lab.process_id, signal.SIGKILL)
        try:
            process.wait(60)
            check(False, "a dead lab has answered")
        except LabError as error:
            check("Bochs's status" in str(error) and "console" in str(error), f"it says: {error}")


@case
def a_kernel_that_panics_is_an_error_and_does_not_start_again():
    began = time.monotonic()
    try:
        with fresh(append="rdinit=/no/such/program root=/dev/none"):
            check(False, "it came up")
    except LabError as error:
        check("Kernel panic" in str(error), f"it says: {error}")
    check(time.monotonic() - began < 200, "it was waited for")


@case
def a_machine_that_stalls_is_an_error_when_the_time_is_over():
    with fresh() as lab:
        process = lab.popen(["true"])
        os.kill(lab.process_id, signal.SIGSTOP)
        try:
            process.wait(3)
            check(False, "a stalled lab has answered")
        except LabError as error:
            check("does not answer" in str(error), f"it says: {error}")


@case
def what_it_cannot_do_is_refused():
    for words, why in ((("--disk", "x"), "no disks"), (("--icount",), "--icount"), (("--memory", "9x"), "9x"),
                       (("--cpus", "0"), "0 CPUs"), (("--host", "arm"), "svm, vmx")):  # fmt: skip
        arguments = ["--host", "vmx"] if "--host" not in words else []
        done = subprocess.run([sys.executable, LAB, "--agent", lab_agent_path, *arguments, *words, "--", "true"],
                              capture_output=True, text=True, check=False)  # fmt: skip
        check(done.returncode == LAB_FAILED and why in done.stderr, f"{words}: {done}")


@case
def a_directory_that_is_full_is_an_error():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", directory], check=True)
        try:
            done = subprocess.run([sys.executable, LAB, "--agent", lab_agent_path, "--host", "vmx", "--", "true"],
                                  env={**os.environ, "TMPDIR": directory, "MAYFLY_LAB_CACHE": cache_directory},
                                  capture_output=True, text=True, check=False)  # fmt: skip
        finally:
            subprocess.run(["umount", directory], check=True)
        check(done.returncode == LAB_FAILED and "No space left" in done.stderr, f"{done}")


@case
def a_build_that_was_killed_is_begun_again_and_one_that_fails_leaves_nothing():
    made = []

    def make(work):
        made.append(work)
        result = os.path.join(work, "made")
        os.mkdir(result)
        return result

    def fail(work):
        os.mkdir(os.path.join(work, "half"))
        raise LabError("no compiler")

    before = bochs.make
    try:
        with tempfile.TemporaryDirectory() as cache:
            left = os.path.join(cache, "bochs", "making-left")
            os.makedirs(os.path.join(left, "source"))
            bochs.make = fail
            try:
                bochs.bochs(cache)
                check(False, "it was built")
            except LabError as error:
                check(str(error) == "no compiler", str(error))
            check(sorted(os.listdir(os.path.join(cache, "bochs"))) == [".lock"], "something is left")
            bochs.make = make
            first = bochs.bochs(cache)
            check(bochs.bochs(cache) == first and len(made) == 1 and os.path.isdir(first), "built twice")
    finally:
        bochs.make = before


if __name__ == "__main__":
    main()
