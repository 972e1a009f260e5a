# SPDX-License-Identifier: Apache-2.0
"""A program's system calls by strace, KVM's ioctls under their own names."""
import os
import re
import shutil
import subprocess
import tempfile
from typing import NamedTuple

# "TID TIME name(arguments) = result <seconds>"; an ioctl's second argument is its name.
_LINE = re.compile(r"^(?P<thread>\d+) +(?P<call>\w+)\((?P<arguments>.*?)(?:\) += .*?)?"
                   r"(?:<(?P<seconds>[\d.]+)>)?$")
_RESUMED = re.compile(r"^(?P<thread>\d+) +<\.\.\. (?P<call>\w+) resumed>.*?(?:<(?P<seconds>[\d.]+)>)?$")


class Call(NamedTuple):
    thread: int
    name: str
    arguments: str
    seconds: float


def is_available():
    return shutil.which("strace") is not None


def _parse(lines):
    calls = []
    for line in lines:
        resumed = _RESUMED.match(line)
        if resumed:
            thread, seconds = int(resumed["thread"]), float(resumed["seconds"] or 0)
            for i in range(len(calls) - 1, -1, -1):
                if calls[i].thread == thread:
                    calls[i] = calls[i]._replace(seconds=seconds)
                    break
            continue
        match = _LINE.match(line)
        if not match:
            continue
        name, arguments = match["call"], match["arguments"]
        if name == "ioctl":
            name = arguments.split(",")[1].strip().split()[0].strip(")")
        calls.append(Call(int(match["thread"]), name, arguments, float(match["seconds"] or 0)))
    return calls


def calls_of(argv, expected_status=0):
    """Every call of argv and its threads, in order of their beginning. The first is execve."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "trace")
        done = subprocess.run(["strace", "-f", "-T", "-o", path] + argv, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, timeout=60, check=False)
        if done.returncode != expected_status:
            raise RuntimeError(f"{' '.join(argv)} under strace ended with {done.returncode}, "
                               f"not {expected_status}")
        with open(path, encoding="utf-8", errors="replace") as file:
            return _parse(file.read().splitlines())
