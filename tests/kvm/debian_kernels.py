# SPDX-License-Identifier: Apache-2.0
"""Debian's own kernels and memtest86+, as shipped: unpacked, entered, and run as far as this host's KVM can.

Arguments: MAYFLY GUESTS-DIRECTORY CACHE-DIRECTORY. The packages are downloaded once, by apt-get, into the
cache directory; where that is not possible, everything is skipped (77), loudly.
"""
import os
import re
import sys

from harness import (
    CRASHED,
    SKIPPED,
    TIMEOUT,
    boot,
    case,
    check,
    check_match,
    check_status,
    is_kvm_interpreting,
    main,
)
from harness import skip

sys.path.insert(1, os.path.join(os.path.dirname(os.path.realpath(__file__)), os.pardir, "lab"))
import packages  # noqa: E402
from errors import Unavailable  # noqa: E402

KERNELS = ("6.1", "6.12")
# Interpreted, a kernel needs two minutes to its first impossible instruction; hardware boots it in a second.
SECONDS = 6 if is_kvm_interpreting() else 50
MEMTEST_SECONDS = 5 if is_kvm_interpreting() else 15
_files = {}


def fetch_all(cache):
    """The reason why not, or an empty string."""
    try:
        for version in KERNELS:
            _files[version] = packages.Kernel(version, cache).bzimage
        _files["memtest"] = os.path.join(packages.fetch("memtest86+", cache), "boot")
    except (Unavailable, OSError, IndexError) as error:
        return str(error)
    return ""


def check_crash_report(outcome):
    """The line that an instruction which KVM cannot emulate must leave."""
    check_match(
        outcome,
        r"(?m)^mayfly: the guest crashed: KVM could not emulate an instruction, vCPU \d+ at RIP "
        r"0x[0-9a-f]+: ([0-9a-f]{2} )+\(.+\); this host's KVM \(kvm_pvm\) interprets guest ring 0",
    )


def check_ran(outcome, instructions_min):
    """Whether the guest ran: instructions interpreted, or exits."""
    found = re.search(
        r"(?m)^\s+insn_emulation +(\d+)$" if is_kvm_interpreting() else r"returns to user space +(\d+)",
        outcome.err,
    )
    check(found is not None, "no count of what ran", outcome)
    check(
        int(found.group(1)) >= (instructions_min if is_kvm_interpreting() else 1), "it did not run", outcome
    )


def enters_linux(version, packing):
    outcome = boot(
        _files[version],
        "-v",
        "--memory",
        "512M",
        "--timeout",
        SECONDS,
        "--stats",
        "--append",
        "console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1",
    )
    check_match(outcome, rf"(?m)^mayfly: kernel .*: linux \(.*{packing} payload, unpacked here\)$")
    # An interpreter that copies and clears by the megabyte gets no farther on a busy host.
    check_ran(outcome, 1_000)
    if outcome.status == CRASHED and "could not emulate" in outcome.err:
        check(is_kvm_interpreting(), "an emulation failure on a host that interprets nothing", outcome)
        check_crash_report(outcome)
        print(f"  Linux {version}: stopped at an instruction that KVM cannot emulate")
    elif outcome.status == TIMEOUT:
        check(is_kvm_interpreting() or b"Linux version" in outcome.out, "no sign of life", outcome)
        print(f"  Linux {version}: still running after {SECONDS} s, {len(outcome.out)} bytes on the console")
    else:
        # A kernel that boots finds no root file system and panics, which mayfly's words make it report.
        check_status(outcome, CRASHED)
        check_match(
            outcome,
            r"(?m)^mayfly: the guest panicked: Kernel panic - not syncing: VFS: Unable to mount root fs .*"
            r"neither --initrd, --disk nor --exec was given\)$",
        )
        check(b"Linux version" in outcome.out, "no sign of life", outcome)
        check(b"Kernel panic - not syncing: VFS: Unable to mount root fs" in outcome.out, "no panic", outcome)
        print(f"  Linux {version}: booted, and panicked without a root")
    check(
        not outcome.out or b"Linux version " + version.encode() in outcome.out,
        "not this kernel's console",
        outcome,
    )


@case
def linux_6_1_is_unpacked_and_entered():
    enters_linux("6.1", "lz4")


@case
def linux_6_12_is_unpacked_and_entered():
    enters_linux("6.12", "zstd")


def enters_memtest(name, bits):
    path = os.path.join(_files["memtest"], name)
    if not os.path.exists(path):
        skip(f"the package has no {name}")
    outcome = boot(path, "-v", "--append", "console=ttyS0,115200", "--timeout", MEMTEST_SECONDS, "--stats")
    check_match(
        outcome, rf"(?m)^mayfly: kernel .*: linux \(bzImage without a compressed ELF, .*{bits}-bit entry\)$"
    )
    check_ran(outcome, 1000)
    if outcome.status == CRASHED:
        check(is_kvm_interpreting(), "crashed on a host that interprets nothing", outcome)
        check_crash_report(outcome)
        print(f"  {name}: stopped at an instruction that KVM cannot emulate")
    else:
        check_status(outcome, TIMEOUT)
        check(is_kvm_interpreting() or b"Memtest86+" in outcome.out, "nothing on the serial console", outcome)
        print(f"  {name}: still running, {len(outcome.out)} bytes on the console")


@case
def memtest86_is_entered_at_its_64_bit_entry():
    enters_memtest("memtest86+x64.bin", 64)


@case
def memtest86_is_entered_at_its_32_bit_entry():
    enters_memtest("memtest86+ia32.bin", 32)


reason = fetch_all(sys.argv.pop(3)) if len(sys.argv) > 3 else "no cache directory was given"
if reason:
    print(f"SKIPPED, NO DEBIAN KERNEL WAS TESTED: {reason}", flush=True)
    sys.exit(SKIPPED)
main()
