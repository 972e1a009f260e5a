# SPDX-License-Identifier: Apache-2.0
"""Keeps all threads of a process on one CPU, and that one a free one: for an emulator whose threads change a word
without a lock, each by one instruction. On one CPU such an instruction is whole; on two, one of two changes can be
lost."""
import os
import random

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
        """Moves the process when others have its CPU and another one idles; `now` in seconds."""
        waited, idle = self._waited_seconds(), idle_seconds()
        last, self._seen = self._seen, (now, waited, idle)
        if last is None or now <= last[0]:
            return
        seconds = now - last[0]
        if waited - last[1] < WAITED_SHARE * seconds:
            return
        best = max(idle, key=lambda cpu: idle[cpu] - last[2].get(cpu, idle[cpu]))
        # Two that share a CPU see the same; not both of them should go.
        if idle[best] - last[2].get(best, idle[best]) >= IDLE_SHARE * seconds and random.random() < 0.5:
            for thread in self._threads():
                try:
                    os.sched_setaffinity(thread, {best})
                except OSError:  # it has ended
                    pass

    def _threads(self):
        try:
            return [int(name) for name in os.listdir(f"/proc/{self._pid}/task")]
        except OSError:
            return []

    def _waited_seconds(self):
        """How long its threads were ready to run, and did not."""
        total_ns = 0
        for thread in self._threads():
            try:
                with open(f"/proc/{self._pid}/task/{thread}/schedstat", encoding="ascii") as file:
                    total_ns += int(file.read().split()[1])
            except OSError:
                continue
        return total_ns / 1e9
