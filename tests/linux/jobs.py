# SPDX-License-Identifier: Apache-2.0
"""Guests whose command line says what to do: one initramfs with many jobs, "job=NAME" chooses.

A job is shell script; the guest powers off after it. The one in FACTS prints what Linux says of its machine,
for Facts to read."""
import re

from guests import busybox_initramfs

INIT = """#!/bin/sh
mounts
for word in $(cat /proc/cmdline); do case $word in job=*) job=${word#job=};; esac; done
load-modules
. "/jobs/$job"
poweroff -f
"""

# Only what is compared: every character may cost the guest two exits. Levels 0 to 4 are emergency to warning.
FACTS = r"""
echo "FACT online $(cat /sys/devices/system/cpu/online)"
sed -n 's/^\(MemTotal\): *\([0-9]*\) kB$/FACT \1 \2/p' /proc/meminfo
sed 's/^/INTERRUPT /' /proc/interrupts | grep -E ':.*(IO-APIC|PCI-MSI|XT-PIC|LOC)'
dmesg -r >/tmp/log
about='x2apic|kvm-clock|eoi\(\)|deadline|alibrati|8254|i8253|\bPIT\b|Hypervisor|BIOS-e820|Linux version'
grep -iE "$about" /tmp/log | sed 's/^/SAID /'
grep -E '^<[0-4]>' /tmp/log |
    grep -vE '^<.>\[ *[0-9.]*\] (R[A-Z0-9]+:|CR|[CF]S:|PKRU|Code:|CPUID\[|  *)' | sed 's/^/WARNED /'
echo FACTS END
"""

E820 = re.compile(r"BIOS-e820: \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\] usable")
NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


def jobs_initramfs(jobs, kernel=None, modules=()):
    """The bytes of an initramfs with {name: script}; the guest's kernel loads `modules` first."""
    return busybox_initramfs(INIT, {f"jobs/{name}": text for name, text in jobs.items()}, kernel, modules)


def clean_lines(out):
    return out.decode(errors="replace").replace("\r", "").splitlines()


class Facts:
    """The output of the job FACTS. `warnings` are without times and numbers, to be compared."""

    def __init__(self, out):
        lines = clean_lines(out)
        self.is_whole = "FACTS END" in lines
        self.values = dict(line.split(" ", 2)[1:] for line in lines if line.startswith("FACT "))
        self.interrupts = [line.removeprefix("INTERRUPT ") for line in lines if line.startswith("INTERRUPT ")]
        self.said = "\n".join(line.removeprefix("SAID ") for line in lines if line.startswith("SAID "))
        warned = [line.removeprefix("WARNED ") for line in lines if line.startswith("WARNED ")]
        self.warnings = {without_numbers(line): line for line in warned}

    def usable_bytes(self):
        """Of the memory map that the monitor gave."""
        return sum(int(end, 16) + 1 - int(start, 16) for start, end in E820.findall(self.said))


def without_numbers(line):
    text = re.sub(r"^<\d>\[ *[\d.]+\] ", "", line)
    return NUMBER.sub("N", text)
