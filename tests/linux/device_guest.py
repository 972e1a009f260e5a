# SPDX-License-Identifier: Apache-2.0
"""The common part of the tests of devices: a guest made of scripts, chosen by a word of its command line, and its
report on its interrupts. A script prints "== NAME" before each of its parts, and "== end" last."""
import re

from harness import Failure, check, check_status, kernel
from guests import busybox_initramfs

MODULES = ("virtio_pci", "virtio_mmio", "virtio_console", "virtio_blk", "virtio_net", "virtio-rng")
# The harness ends a guest before mayfly would, for it says what was to be seen then.
GUEST_SECONDS = 300

# Words of the command line that the kernel does not know are in the environment of its first process.
INIT = """#!/bin/sh
mounts; load-modules
if [ "$guest_root" ]; then
    mount -t ext4 /dev/$guest_root /mnt && exec switch_root /mnt /sbin/init
fi
. /tests/$guest_script
echo "== end"
poweroff -f
"""


def initramfs(version, scripts=None):
    """For the kernel `version`: guest_script=NAME on the command line runs scripts[NAME], guest_root=vda
    changes to the root on that disk and its /sbin/init."""
    files = {f"tests/{name}": text for name, text in (scripts or {}).items()}
    return busybox_initramfs(INIT, files, kernel=kernel(version), modules=MODULES)


def once(function):
    """Calls it once for each of its arguments; later calls end as that one did, also with its failure."""
    ends = {}

    def call(*arguments):
        if arguments not in ends:
            try:
                ends[arguments] = (function(*arguments), None)
            except Failure as failure:
                ends[arguments] = (None, failure)
        result, failure = ends[arguments]
        if failure is not None:
            raise failure
        return result

    return call


class Parts:
    """A guest's output, by its parts' names."""

    def __init__(self, outcome):
        self.outcome = outcome
        text = outcome.out.decode(errors="replace").replace("\r", "")
        # The kernel's messages come in between.
        text = re.sub(r"^\[ *\d+\.\d+\] .*\n", "", text, flags=re.M)
        found = re.split(r"^== (\S+)\n", text, flags=re.M)
        self.by_name = dict(zip(found[1::2], found[2::2]))

    def __getitem__(self, name):
        check(name in self.by_name, f"the guest did not reach its part {name}", self.outcome)
        return self.by_name[name]

    def value(self, name, pattern):
        """The one group of `pattern` in the part `name`."""
        found = re.search(pattern, self[name], re.M)
        check(found is not None, f"no {pattern!r} in the part {name}", self.outcome)
        return found.group(1)


def check_guest(outcome):
    """It ran to its end, with nothing wrong on the way there: its Parts."""
    check_status(outcome, 0)
    parts = Parts(outcome)
    check("end" in parts.by_name, "the guest ended before its script did", outcome)
    for bad in ("load-modules:", "nobody cared", "not found\n"):
        text = outcome.out.decode(errors="replace").replace("\r", "")
        where = text.find(bad)
        check(where < 0, f"the guest said {text[max(0, where - 2000) : where + 500]}", outcome)
    return parts


def interrupts(text):
    """{name: (count, kind)} of the devices in /proc/interrupts, such as {"virtio1-req.0": (8, "PCI-MSIX")}.
    Handlers that share a line have one count."""
    found = {}
    for line in text.splitlines():
        matched = re.match(r"\s*\d+:((?:\s+\d+)+)\s+(\S+)\s+(.*)", line)
        if matched:
            count = sum(map(int, matched.group(1).split()))
            names = re.split(r",\s*|\s{2,}", matched.group(3).strip())
            found.update({name.split()[-1]: (count, matched.group(2)) for name in names if name.strip()})
    return found


def virtio_interrupts(text):
    return {name: entry for name, entry in interrupts(text).items() if name.startswith("virtio")}
