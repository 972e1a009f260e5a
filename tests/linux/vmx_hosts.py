# SPDX-License-Identifier: Apache-2.0
"""Hosts with VMX for vmx_test.py and vmx_matrix.py: the lab's machine that Bochs emulates, guests in it, and
what KVM counted of them."""
import json
import os
import re

from harness import OK, build_directory, check, check_status, linux_host

GUESTS = os.path.join(build_directory, "firmware", "guests")
POSTING = os.path.join(build_directory, "tests", "kvm", "doctor", "posting")
DISK_BYTES = 16 << 20
REQUESTS = 2000
# Of 1,000 interrupts: the host's own ticks cost some exits.
EXITS_POSTED_MAX = 50
# Seconds of the lab's time, of which each takes a minute of ours where nothing halts.
LIMIT = ("--timeout", "8")
MODERN, LEGACY = ("--profile", "modern"), ("--profile", "legacy")
WITHOUT_IRQCHIP = ("--irqchip", "none", *LEGACY)

# The guest, its options, and the profiles that have the hardware that it checks.
PROBES = (
    ("apic", (), (MODERN, LEGACY)), ("timer", (), (MODERN, LEGACY)), ("ipi", (), (MODERN, LEGACY)),
    ("smp", (), (MODERN, LEGACY)), ("msi", ("--testdev",), (MODERN, LEGACY)),
    ("doorbell", ("--testdev",), (MODERN, LEGACY)), ("pveoi", (), (MODERN, LEGACY)),
    ("kvmclock", (), (MODERN, LEGACY)), ("steal", (), (MODERN, LEGACY)), ("demo", (), (MODERN, LEGACY)),
    ("ioapic", ("--testdev",), (LEGACY,)), ("pic", ("--testdev",), (LEGACY,)), ("pit", (), (LEGACY,)),
    ("irqwindow", ("--testdev",), (WITHOUT_IRQCHIP,)),
)  # fmt: skip


def vmx_host(**options):
    """`options` are linux_host()'s, and more for the lab: apicv, append, kernel."""
    chosen = {"host": "vmx", "needs_lab": True, "cpus": 2, "memory": "1536M", "tools": [POSTING], **options}
    return linux_host(**chosen)


def boot(host, guest, *options, program="mayfly", env=None):
    """Boots a guest that is embedded, or by its path in the lab; it ends well and says nothing of errors."""
    image = guest if guest.startswith("/") else f"builtin:{guest}"
    outcome = host.run([program, "boot", image, *LIMIT, *options], env=env)
    where = f"{guest} {' '.join(options)}"
    check(outcome.status == OK, f"{where}: status {outcome.status}", outcome)
    check(outcome.err == "", f"{where}: {outcome.err!r}", outcome)
    return outcome


def passes(host, guest, *options, **more):
    outcome = boot(host, guest, *options, **more)
    check(b"FAIL" not in outcome.out, f"{guest}: it found something", outcome)
    check(b"ok " in outcome.out or b"All passed" in outcome.out, f"{guest}: it proved nothing", outcome)
    return outcome.out.decode()


def counters(host, name="/tmp/s"):
    """(software's injections, exits) of all vCPUs, from a file of --stats-json."""
    vcpus = json.loads(host.get(name))["kvm"]["vcpus"]
    return tuple(sum(vcpu[which] for vcpu in vcpus) for which in ("irq_injections", "exits"))


def make_disk(host):
    check_status(host.run(f"truncate -s {DISK_BYTES} /work/disk"), OK)


def io_counts(host, words, *options):
    """KVM's counters of iobench: (interrupts, injections, exits)."""
    outcome = boot(host, "iobench", *options, "--append", f"{words} irq=1", "--stats-json", "/tmp/s")
    check(b"errors=0" in outcome.out, "requests failed", outcome)
    interrupts = int(re.search(rb"interrupts=(\d+)", outcome.out)[1])
    return interrupts, *counters(host)


def disk_counts(host, io, requests=REQUESTS, profile=()):
    """The same of a disk that answers reads of 4 KiB, eight at a time."""
    words = f"dev=blk op=read size=4096 depth=8 count={requests}"
    return io_counts(host, words, "--disk", "/work/disk", "--io", io, *profile)


def check_posted(apicv, interrupts, injections, what, most=0):
    """With APICv KVM injects nothing itself, or at most so many; without, each interrupt."""
    if apicv:
        check(injections <= most, f"{what}: {injections} injections of {interrupts}")
    else:
        check(injections >= interrupts, f"{what}: {injections} injections of {interrupts}")


def check_posting(host, apicv, are_eois_exits=False):
    """A thousand irqfd interrupts to a busy vCPU in xAPIC mode; returns their (exits, injections)."""
    outcome = host.run(["posting"])
    check_status(outcome, OK)
    found = re.fullmatch(rb"interrupts (\d+) exits (\d+) injections (\d+)\n", outcome.out)
    count, exits, injections = map(int, found.groups())
    print(f"APICv {'on' if apicv else 'off'}: {outcome.out.decode().strip()}", flush=True)
    check_posted(apicv, count, injections, "posting")
    if apicv:
        ends = count if are_eois_exits else 0
        check(ends <= exits <= ends + EXITS_POSTED_MAX, "they are not posted", outcome)
    else:
        check(exits >= count, "the control has no exits either", outcome)
    return exits, injections


def check_doctor(host, apicv):
    """What it measured agrees with APICv; returns its text."""
    outcome = host.mayfly("doctor", "--json")
    check_status(outcome, OK)
    measured = json.loads(outcome.out)["measured"]
    check(measured["failure"] is None and measured["early_end"] is None, "the probe guest", outcome)
    check(measured["interrupts_received"] == 64, "interrupts", outcome)
    check(measured["irq_injections"] == (0 if apicv else 64), "injections", outcome)
    said = host.mayfly("doctor").out.decode()
    check(f"posted interrupts   {'yes' if apicv else 'no'}" in said, "its words")
    return said


def check_processor(host):
    """What CPUID tells a guest; leaf 0x1f is only Intel's. The host has cpuid.elf at /work/cpuid."""
    for cpus in (1, 2, 4):
        for profile in (MODERN, LEGACY):
            words = ("--cpus", str(cpus), "--append", f"cpus={cpus}")
            said = passes(host, "/work/cpuid", *words, *profile)
            check("ok leaf 0x1f cores" in said and "ok leaf 0x16\n" in said, f"not all was looked at: {said}")
