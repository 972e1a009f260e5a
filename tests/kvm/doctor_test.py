# SPDX-License-Identifier: Apache-2.0
"""doctor's verdict: 125 only where no guest can be made or run. What a busy host, or a lack of the probe's
own, keeps from being measured is a note."""
import json
import os
import shutil
import subprocess
import sys

from harness import FAILED, OK, Failure, case, check, check_status, main, run, skip

BURNER_SECONDS = 50
# The guest gets a small part of a CPU: with this many, and a better priority where that is allowed.
BURNERS_A_CPU = 4


def doctor(wrapper=()):
    """(Outcome, its report)."""
    outcome = run("doctor", "--json", wrapper=wrapper)
    try:
        return outcome, json.loads(outcome.out)
    except ValueError:
        raise Failure(f"not JSON\n{outcome}") from None


def problems(report):
    return [f"{f['subject']}: {f['text']}" for f in report["findings"] if f["severity"] == "problem"]


def notes_on(report, subject):
    return [f["text"] for f in report["findings"] if f["severity"] == "note" and f["subject"] == subject]


class Burners:
    """Processes that take what CPU they can get, while it is entered."""

    def __enter__(self):
        words = ["timeout", str(BURNER_SECONDS), sys.executable, "-c", "while True: pass"]
        nice = ["nice", "-n", "-5"] if os.geteuid() == 0 else []
        count = BURNERS_A_CPU * len(os.sched_getaffinity(0))
        self._processes = []
        for _ in range(count):
            self._processes.append(subprocess.Popen([*nice, *words], stderr=subprocess.DEVNULL))
        return self

    def __exit__(self, *_):
        for process in self._processes:
            # timeout(1) passes it on.
            process.terminate()
        for process in self._processes:
            process.wait()


@case
def on_this_host_a_guest_runs_and_its_timer_fires():
    outcome, report = doctor()
    check_status(outcome, OK)
    measured = report["measured"]
    has_run = measured["guest_ran"] and measured["failure"] is None
    check(report["can_boot"] and has_run, "no guest ran", outcome)
    check(measured["deadline_timer_fired"] is not False, "its timer does not fire", outcome)


@case
def the_rate_that_guests_are_told_is_the_hosts():
    outcome, report = doctor()
    own, told = report["host"]["tsc_khz"], report["measured"]["tsc_khz"]
    if own is None or told is None:
        skip("this host or its KVM does not tell a rate")
    check(abs(told - own) <= own / 1e6 * 250, f"{told} kHz, and the host {own}", outcome)


@case
def a_busy_host_does_not_mean_that_guests_cannot_boot():
    with Burners():
        for _ in range(5):
            outcome, report = doctor()
            check_status(outcome, OK)
            check(report["can_boot"], "it says that no guest can boot", outcome)
            suspects = ("probe", "irqfd", "deadline", "TSC")
            wrong = [text for text in problems(report) if text.startswith(suspects)]
            check(not wrong, f"problems that are not KVM's: {wrong}", outcome)


def with_failing(call, error, when="1+", path=None):
    """A command that runs what follows with a system call failing."""
    if shutil.which("strace") is None:
        skip("strace is not installed")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0:
        skip("strace may not trace here")
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    words += ["-e", f"inject={call}:error={error}:when={when}"]
    return [*words, *([] if path is None else ["-P", path])]


@case
def a_probe_that_gets_no_thread_is_a_note():
    outcome, report = doctor(with_failing("clone,clone3", "EAGAIN"))
    check_status(outcome, OK)
    check(report["can_boot"] and not report["measured"]["guest_ran"], "a guest ran without a thread", outcome)
    said = notes_on(report, "probe guest")
    check(said and "was not run: pthread_create" in said[0], f"it says {said}", outcome)
    check("ran none" in report["verdict"], "it claims more than it knows", outcome)


@case
def a_probe_that_gets_no_event_descriptor_is_a_note_and_its_guest_runs():
    outcome, report = doctor(with_failing("eventfd2", "EMFILE"))
    check_status(outcome, OK)
    check(report["measured"]["guest_ran"], "no guest ran", outcome)
    said = notes_on(report, "probe guest")
    check(said and "eventfd" in said[0], f"it says {said}", outcome)


@case
def a_machine_that_kvm_refuses_is_a_problem():
    # The main thread's calls on /dev/kvm: some ask, one makes the machine. Each failure in turn.
    refused = 0
    for number in range(1, 80):
        outcome, report = doctor(with_failing("ioctl", "ENOMEM", number, "/dev/kvm"))
        if report["measured"] is not None and "KVM_CREATE_VM" in (report["measured"]["failure"] or ""):
            check_status(outcome, FAILED)
            check(not report["can_boot"], "it says that guests can boot", outcome)
            refused += 1
            break
    check(refused == 1, "KVM_CREATE_VM was never refused")


@case
def a_guest_that_kvm_does_not_run_is_a_problem():
    # Of each thread the first call on the vCPU: the main thread's is for counters, the other's is KVM_RUN.
    outcome, report = doctor(with_failing("ioctl", "EIO", 1, "anon_inode:kvm-vcpu:0"))
    check_status(outcome, FAILED)
    check("KVM_RUN" in (report["measured"]["failure"] or ""), "KVM_RUN's failure is not said", outcome)
    check(any("KVM_RUN" in text for text in problems(report)), "it is not reported as a problem", outcome)


if __name__ == "__main__":
    main()
