#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ioctl_order: the boot path makes its KVM ioctls in the order that keeps a boot short.

Memory slots come before the irqchip, the irqchip before the vCPUs, and nothing is put on KVM's io bus before
the first KVM_RUN: whatever makes a slot wait for an SRCU grace period costs milliseconds. The whole monitor
runs under strace, in both profiles, with one vCPU and with four, where KVM has to be asked for its CPUID and
where an earlier boot has asked. Order is by the beginning of each call, and says nothing of the thread that makes
it.

    ioctl_order.py MAYFLY PERF_DIRECTORY
    ioctl_order.py --self-test PERF_DIRECTORY    shows that each rule can fail
"""
import os
import sys
import tempfile

SKIPPED = 77
# A legacy machine whose 8254 discards stops the reinjection on a detached thread, so its guest stays for a
# while.
TIMED_OUT = 124
GUESTS = {"modern": (["builtin:hello"], 0),
          "reinject": (["builtin:hello", "--profile", "legacy", "--pit", "reinject"], 0),
          "discard": (["builtin:idle", "--profile", "legacy", "--pit", "discard", "--timeout", "5"], TIMED_OUT)}
MACHINES = [(machine, cpus) for machine in GUESTS for cpus in (1, 4)]
MEMORY_SIZES = ("128M", "2G")

SLOT = "KVM_SET_USER_MEMORY_REGION"
IO_BUS = {"KVM_IOEVENTFD", "KVM_REGISTER_COALESCED_MMIO", "KVM_IRQFD"}
ASKED = "KVM_GET_SUPPORTED_CPUID"
ONLY_ONCE = ("KVM_CREATE_VM", ASKED)


def positions(names, wanted):
    return [i for i, name in enumerate(names) if name == wanted]


def irqchip_call(machine):
    """strace names no capability: where no slot follows any KVM_ENABLE_CAP, none follows the split one."""
    return "KVM_ENABLE_CAP" if machine == "modern" else "KVM_CREATE_IRQCHIP"


def must_precede(names, first, second, why):
    firsts, seconds = positions(names, first), positions(names, second)
    if not firsts or not seconds:
        return [f"{first} or {second} is missing"]
    if firsts[-1] > seconds[0]:
        return [f"a {first} comes after the first {second}: {why}"]
    return []


def broken_rules(calls, machine, cpus, is_asked=True):
    """calls: (name, arguments) in order. Returns one sentence for each rule that is broken."""
    names = [name for name, _ in calls]
    if "KVM_RUN" not in names:
        return ["KVM_RUN was never called"]
    before_run = names[: names.index("KVM_RUN")]
    irqchip = irqchip_call(machine)
    broken = []
    if irqchip not in names:
        broken.append(f"{irqchip} is missing")
    elif positions(before_run, SLOT)[-1:] > positions(before_run, irqchip)[:1]:
        broken.append(f"a {SLOT} comes after {irqchip}: it waits for a grace period")
    if not positions(before_run, SLOT):
        broken.append(f"{SLOT} is missing before the first KVM_RUN")
    if positions(names, irqchip)[:1] > positions(names, "KVM_CREATE_VCPU")[:1]:
        broken.append(f"a KVM_CREATE_VCPU comes before {irqchip}: that vCPU would have no LAPIC")
    broken += must_precede(names, "KVM_CREATE_VM", SLOT, "the VM does not exist yet")
    if len(positions(before_run, "KVM_CREATE_VCPU")) != cpus:
        broken.append(f"not {cpus} KVM_CREATE_VCPU before the first KVM_RUN")
    for name in sorted(IO_BUS & set(before_run)):
        broken.append(f"{name} comes before the first KVM_RUN")
    if not is_asked and ASKED in before_run:
        broken.append(f"{ASKED} is called before the first KVM_RUN, though an earlier boot did")
    for name in ONLY_ONCE if is_asked else ONLY_ONCE[:1]:
        if names.count(name) != 1:
            broken.append(f"{name} is called {names.count(name)} times, not once")
    return broken + broken_pit_rules(calls, machine)


def broken_pit_rules(calls, machine):
    """KVM makes a PIT that reinjects, which costs AVIC; the modern machine has none at all."""
    names = [name for name, _ in calls]
    if machine == "modern":
        return ["the modern machine makes a PIT or an in-kernel PIC"] if {
            "KVM_CREATE_PIT2", "KVM_CREATE_PIT", "KVM_CREATE_IRQCHIP"} & set(names) else []
    if "KVM_CREATE_PIT2" not in names:
        return ["KVM_CREATE_PIT2 is missing in the legacy machine"]
    if machine == "reinject":
        return ["KVM_REINJECT_CONTROL is called for what KVM does anyway"] if "KVM_REINJECT_CONTROL" in names else []
    if "KVM_REINJECT_CONTROL" not in names[names.index("KVM_CREATE_PIT2"):]:
        return ["the PIT is left in reinject mode: no KVM_REINJECT_CONTROL after KVM_CREATE_PIT2"]
    return []


def check(mayfly, syscall_trace, is_asked):
    failures = 0
    for memory in MEMORY_SIZES:
        for machine, cpus in MACHINES:
            guest, status = GUESTS[machine]
            argv = [mayfly, "boot", *guest, "--cpus", str(cpus), "--memory", memory]
            calls = [(call.name, call.arguments) for call in syscall_trace.calls_of(argv, status)]
            broken = broken_rules(calls, machine, cpus, is_asked)
            asked = "KVM is asked" if is_asked else "an earlier boot has asked"
            print(f"{'FAILED' if broken else 'ok'}: {machine}, {cpus} vCPUs, {memory}, {asked}")
            for rule in broken:
                print("    " + rule)
            failures += len(broken)
    return failures


GOOD = {
    "modern": ["KVM_CREATE_VM", SLOT, "KVM_ENABLE_CAP", "KVM_GET_SUPPORTED_CPUID", "KVM_CREATE_VCPU",
               "KVM_RUN"],
    "reinject": ["KVM_CREATE_VM", SLOT, "KVM_CREATE_IRQCHIP", "KVM_CREATE_PIT2", "KVM_GET_SUPPORTED_CPUID",
                 "KVM_CREATE_VCPU", "KVM_RUN"],
    "discard": ["KVM_CREATE_VM", SLOT, "KVM_CREATE_IRQCHIP", "KVM_CREATE_PIT2", "KVM_REINJECT_CONTROL",
                "KVM_GET_SUPPORTED_CPUID", "KVM_CREATE_VCPU", "KVM_RUN"],
}


def moved(machine, name, before):
    order = [other for other in GOOD[machine] if other != name]
    order.insert(order.index(before), name)
    return order


def self_test():
    bad = [("modern", moved("modern", SLOT, "KVM_GET_SUPPORTED_CPUID")),
           ("discard", moved("discard", SLOT, "KVM_CREATE_PIT2")),
           ("modern", moved("modern", "KVM_CREATE_VCPU", "KVM_ENABLE_CAP")),
           ("modern", moved("modern", "KVM_CREATE_VCPU", "KVM_CREATE_VM")),
           ("modern", moved("modern", SLOT, "KVM_CREATE_VM")),
           ("discard", moved("discard", "KVM_REINJECT_CONTROL", "KVM_CREATE_PIT2")),
           ("modern", GOOD["modern"][:-1] + ["KVM_GET_SUPPORTED_CPUID", "KVM_RUN"]),
           ("modern", GOOD["discard"]), ("discard", GOOD["modern"]), ("reinject", GOOD["discard"]),
           ("discard", GOOD["reinject"]), ("modern", GOOD["modern"][:-1])]
    bad += [("modern", GOOD["modern"][:-1] + [name, "KVM_RUN"]) for name in sorted(IO_BUS)]
    bad += [(profile, [name for name in GOOD[profile] if name != left_out])
            for profile in GOOD for left_out in GOOD[profile]]
    failures = 0
    for profile, order in GOOD.items():
        for rule in broken_rules([(name, "") for name in order], profile, 1):
            print(f"FAILED: the good order of {profile} is refused: {rule}")
            failures += 1
    for profile, order in bad:
        if not broken_rules([(name, "") for name in order], profile, 1):
            print(f"FAILED: {profile} accepts {' '.join(order)}")
            failures += 1
    kept = [name for name in GOOD["modern"] if name != ASKED]
    for order, is_good in ((GOOD["modern"], False), (kept, True), (kept + [ASKED], True)):
        if (not broken_rules([(name, "") for name in order], "modern", 1, is_asked=False)) != is_good:
            print(f"FAILED: where an earlier boot has asked, {' '.join(order)} is {'refused' if is_good else 'accepted'}")
            failures += 1
    print(f"{len(bad)} bad orders, {failures} failures")
    return failures


def main():
    if sys.argv[1] == "--self-test":
        return 1 if self_test() else 0
    sys.path.insert(0, sys.argv[2])
    from support import syscall_trace  # perf/support/syscall_trace.py
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("SKIPPED: the order of KVM ioctls needs /dev/kvm, readable and writable")
        return SKIPPED
    if not syscall_trace.is_available():
        print("SKIPPED: the order of KVM ioctls is seen by strace, which is not installed")
        return SKIPPED
    os.environ["MAYFLY_RUNTIME_DIR"] = "off"
    failures = check(sys.argv[1], syscall_trace, is_asked=True)
    with tempfile.TemporaryDirectory() as kept:
        os.environ["MAYFLY_RUNTIME_DIR"] = kept
        syscall_trace.calls_of([sys.argv[1], "boot"])
        failures += check(sys.argv[1], syscall_trace, is_asked=False)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
