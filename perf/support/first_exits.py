# SPDX-License-Identifier: Apache-2.0
"""The times at which processes first came back from KVM_RUN, by the host kernel's tracepoint: it costs every
process the same, and less than reading a clock and reporting the time itself."""
import os
import re

_TRACING = "/sys/kernel/tracing"
_EVENT = re.compile(r"-(?P<thread>\d+) +\[\d+\] \S+ +(?P<seconds>\d+)\.(?P<micros>\d{6}): kvm_userspace_exit:")
_BUFFER_KIB = 16384


def is_available():
    return os.access(f"{_TRACING}/events/kvm/kvm_userspace_exit/enable", os.W_OK)


class FirstExits:
    """A context, with a trace buffer of its own; taken() is to be called in it."""

    def __enter__(self):
        self._instance = f"{_TRACING}/instances/mayfly-{os.getpid()}"
        os.mkdir(self._instance)
        self._write("trace_clock", "mono")
        self._write("buffer_size_kb", str(_BUFFER_KIB))
        self._write("events/kvm/kvm_userspace_exit/enable", "1")
        return self

    def __exit__(self, *_):
        self._write("events/kvm/kvm_userspace_exit/enable", "0")
        os.rmdir(self._instance)

    def _write(self, name, text):
        with open(f"{self._instance}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    def taken(self):
        """The times of all threads, on CLOCK_MONOTONIC in ns, sorted. Not by process, whose number differs in
        a namespace."""
        first = {}
        with open(f"{self._instance}/trace", encoding="ascii", errors="replace") as file:
            for line in file:
                event = _EVENT.search(line)
                if event:
                    first.setdefault(int(event["thread"]),
                                     int(event["seconds"]) * 10**9 + int(event["micros"]) * 1000)
        return sorted(first.values())
