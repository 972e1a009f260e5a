# SPDX-License-Identifier: Apache-2.0
"""Keeps all threads of a process on one CPU, and that one a free one: for an emulator whose threads change a word
without a lock, each by one instruction. On one CPU such an instruction is whole; on two, one of two changes can be
lost."""
import os
import random

import schedstat

# Of the time since the last look.
WAITED_SHARE = 0.3
IDLE_SHARE = 0.5
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def idle_seconds():
    """{a CPU that we may use: how long it has idled}."""
    allowed = os.sched_getaffinity(0)
    found = {}
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            name, *ticks = line.split()
            if name.startswith("cpu") and name != "cpu" and int(name[3:]) in allowed:
                found[int(name[3:])] = (int(ticks[3]) + int(ticks[4])) / TICKS_A_SECOND
    return found


def first_choice():
    """A CPU for a process that starts."""
    return random.choice(sorted(os.sched_getaffinity(0)))


class OneCpu:
    """Of a process that was started on one CPU; look() from time to time."""

    def __init__(self, pid):
        self._pid = pid
        self._seen = None

    def look(self, now):
        """Moves the process when others have its CPU and another one idles; `now` in seconds. OSError when it has
        ended."""
        _, waited = schedstat.ran_and_waited_seconds(self._pid)
        idle = idle_seconds()
        last, self._seen = self._seen, (now, waited, idle)
        if last is None or now <= last[0]:
            return
        seconds = now - last[0]
        best = max(idle, key=lambda cpu: idle[cpu] - last[2].get(cpu, idle[cpu]))
        has_idled = idle[best] - last[2].get(best, idle[best])
        # Two that share a CPU see the same; not both of them should go.
        if (waited - last[1] >= WAITED_SHARE * seconds and has_idled >= IDLE_SHARE * seconds
                and random.random() < 0.5):  # fmt: skip
            self._move_to(best)

    def _move_to(self, cpu):
        """For as long as this takes, microseconds, two of its threads may run at once."""
        for thread in schedstat.threads_of(self._pid):
            try:
                os.sched_setaffinity(thread, {cpu})
            except OSError:  # it has ended
                continue
