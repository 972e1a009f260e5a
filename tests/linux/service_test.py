# SPDX-License-Identifier: Apache-2.0
"""--exec under a service manager: READY=1 comes once, when the program runs, and the guest knows of nothing."""
import json
import os
import re

from harness import FAILED, build_directory, case, check, check_out, check_status, linux_host, main
from guests import image

BOOT_SECONDS = 300
MARK_PROGRAM = 0x42  # of firmware/init/report.h: it is about to execute the program

busybox = image.find_busybox()
host = linux_host(
    kernels=["6.12/vmlinux"],
    files={
        "/work/busybox": busybox,
        "/work/root/closed/busybox": busybox,
        "/work/notify_listener": os.path.join(build_directory, "tests", "linux", "notify_listener"),
    },
)
check_status(host.run(["chmod", "755", *map(host.path, ("/work/busybox", "/work/notify_listener"))]), 0)
check_status(host.run(["chmod", "-R", "700", host.path("/work/root/closed")]), 0)


def told(*words, timeline=None):
    """(outcome, [(time, notice)]), without the outcome's lines that are notices."""
    reports = ["--timeline-json", timeline] if timeline else []
    outcome = host.run([host.path("/work/notify_listener"), "mayfly", "boot", host.path("/kernels/6.12/vmlinux"),
                        *reports, "--exec", *words], timeout=BOOT_SECONDS)
    notices = [(int(at), text) for at, text in re.findall(r"(?m)^notice (\d+) (.*)$", outcome.err)]
    return outcome, notices


@case
def ready_comes_once_and_when_the_program_runs():
    timeline = host.put(b"", "/work/timeline")
    busybox_path = host.path("/work/busybox")
    outcome, notices = told(busybox_path, "--", "sh", "-c", "echo begun; env | grep NOTIFY; exit 9", timeline=timeline)
    check_status(outcome, 9)
    check_out(outcome, b"begun\n")
    texts = [text for _, text in notices]
    check(texts == [f"STATUS=booting {host.path('/kernels/6.12/vmlinux')}", f"READY=1|STATUS={busybox_path} runs",
                    "STOPPING=1|STATUS=ended with status 9"], f"{notices}", outcome)
    report = json.loads(host.get("/work/timeline"))
    executed = [mark["at"] for mark in report["guest_marks"] if mark["value"] == MARK_PROGRAM]
    check(len(executed) == 1 and notices[1][0] >= report["exec_monotonic_ns"] + executed[0], f"{report} {notices}")


@case
def a_program_that_cannot_be_executed_is_never_ready():
    root = ["--user", "1000", "--root", host.path("/work/root")]
    outcome, notices = told("/closed/busybox", *root)
    check_status(outcome, FAILED)
    check("cannot execute /closed/busybox" in outcome.err, "why", outcome)
    texts = [text.split("|")[0] for _, text in notices]
    check(len(texts) == 2 and texts[1] == "STOPPING=1", f"{notices}", outcome)


main()
