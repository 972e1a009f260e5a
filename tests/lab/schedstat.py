# SPDX-License-Identifier: Apache-2.0
"""The scheduler's account of a process on this machine.
Spec: Linux Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat"."""
import os


def threads_of(pid):
    """OSError where that process does not exist."""
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def ran_and_waited_seconds(pid):
    """(how long its threads have run, how long they were ready and had no CPU), in all. OSError as above."""
    ran_ns, waited_ns = 0, 0
    for thread in threads_of(pid):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                ran, waited, _ = map(int, file.read().split())
        except OSError:  # it has ended
            continue
        ran_ns, waited_ns = ran_ns + ran, waited_ns + waited
    return ran_ns / 1e9, waited_ns / 1e9
