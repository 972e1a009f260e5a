# SPDX-License-Identifier: Apache-2.0
"""Every probe guest passes on its machines, and fails on one that lacks the feature it tests."""
from harness import boot, case, check, check_match, check_one_line, check_refused, check_silent, check_status, guest
from harness import guest_file, main

LIMIT = ("--timeout", 20)


def passes(name, *options):
    outcome = boot(guest(name), *LIMIT, *options)
    check_status(outcome, 0)
    check_silent(outcome)
    check(b"FAIL" not in outcome.out, "the guest says FAIL", outcome)
    check(b"ok " in outcome.out or b"All passed" in outcome.out, "the guest proved nothing", outcome)
    return outcome


def does_not_pass(name, *options):
    outcome = boot(guest(name), "--timeout", 4, *options)
    check(outcome.status != 0, "the probe passed on a machine that lacks what it proves", outcome)
    check(outcome.status <= 126, "an odd status", outcome)
    return outcome


def on_both_profiles(name, *options):
    for profile in ("modern", "legacy"):
        passes(name, "--profile", profile, *options)


@case
def local_apic_and_x2apic():
    on_both_profiles("apic")
    passes("apic", "--cpus", 4)


@case
def the_processor_that_a_guest_is_told_of():
    for profile in ("modern", "legacy"):
        for cpus in (1, 2, 4):
            outcome = boot(guest_file("cpuid"), "--cpus", cpus, "--append", f"cpus={cpus}", "--profile", profile)
            check_status(outcome, 0)
            check(outcome.out.count(b"ok ") >= 9 and b"FAIL" not in outcome.out, "not as it is", outcome)


@case
def local_apic_timer():
    on_both_profiles("timer")
    passes("timer", "--cpus", 4, "--profile", "legacy")


@case
def interrupts_between_processors():
    for profile in ("modern", "legacy"):
        outcome = passes("ipi", "--cpus", 4, "--profile", profile)
        check(outcome.out.count(b"ok ") >= 3, "too few findings", outcome)


@case
def processors_start_up_to_the_number_asked_for():
    for cpus in (1, 2, 4, 16, 64):
        outcome = boot(guest("smp"), "--cpus", cpus, *LIMIT)
        check_status(outcome, 0)
        check(b"processors %d\n" % cpus in outcome.out, f"not {cpus} processors", outcome)
    outcome = boot(guest("smp"), "--cpus", 4, "--profile", "legacy", *LIMIT)
    check_status(outcome, 0)
    check(b"processors 4\n" in outcome.out, "not 4 processors", outcome)


@case
def messages_by_ioctl_and_irqfd():
    on_both_profiles("msi")
    passes("msi", "--cpus", 4)


@case
def doorbells_and_coalesced_writes():
    on_both_profiles("doorbell")
    passes("doorbell", "--cpus", 4)


@case
def io_apic():
    passes("ioapic")
    passes("ioapic", "--cpus", 4, "--profile", "legacy")


@case
def both_8259s():
    passes("pic")
    passes("pic", "--cpus", 4, "--profile", "legacy")


@case
def the_8254():
    passes("pit")
    passes("pit", "--cpus", 4, "--profile", "legacy")


@case
def late_ticks_of_the_8254_come_unless_they_are_discarded():
    passes("pit", "--append", "every", "--pit", "reinject")
    passes("pit", "--append", "every", "--pit", "reinject", "--cpus", 4)
    does_not_pass("pit", "--append", "every", "--pit", "discard")
    for options in ((), ("--pit", "reinject"), ("--pit", "discard")):
        outcome = boot(guest("hello"), *LIMIT, "-v", "--profile", "legacy", *options)
        check_match(outcome, "8254: late ticks are (reinjected|discarded): " + ("as requested" if options else "."))


@case
def interrupt_window_without_irqchip():
    passes("irqwindow")
    passes("irqwindow", "--irqchip", "none", "--profile", "legacy")


@case
def paravirtual_eoi():
    on_both_profiles("pveoi")


@case
def kvm_clock():
    on_both_profiles("kvmclock")
    passes("kvmclock", "--cpus", 4)


@case
def steal_time():
    on_both_profiles("steal")


@case
def the_demo_on_every_machine():
    for options in ((), ("--profile", "legacy"), ("--cpus", 4), ("--cpus", 4, "--profile", "legacy")):
        passes("demo", *options)


@case
def the_demo_is_what_boots_without_a_kernel():
    outcome = boot(*LIMIT)
    check_status(outcome, 0)
    check(b"All passed." in outcome.out, "the demo did not pass", outcome)


@case
def a_probe_for_several_processors_gets_them_by_itself():
    outcome = boot(guest("smp"), *LIMIT)
    check_status(outcome, 0)
    check(b"processors 4\n" in outcome.out, "not the guest's own number of processors", outcome)


@case
def the_8259_probe_fails_without_8259s():
    does_not_pass("pic", "--profile", "modern")


@case
def the_8254_probe_fails_without_8254():
    does_not_pass("pit", "--profile", "modern")


@case
def the_io_apic_probe_fails_without_io_apic():
    does_not_pass("ioapic", "--profile", "modern")


@case
def the_local_apic_probe_fails_without_irqchip():
    does_not_pass("apic", "--irqchip", "none")


@case
def the_timer_probe_fails_without_irqchip():
    does_not_pass("timer", "--irqchip", "none")


@case
def the_message_probe_fails_without_irqchip():
    does_not_pass("msi", "--irqchip", "none", "--testdev")


@case
def machines_that_do_not_exist_are_refused():
    check_refused(boot(guest("hello"), "--profile", "modern", "--irqchip", "full"), "modern", "full")
    check_refused(boot(guest("hello"), "--profile", "modern", "--irqchip", "none"), "modern", "none")
    check_refused(boot(guest("hello"), "--profile", "legacy", "--irqchip", "split"), "legacy", "split")
    check_refused(boot(guest("hello"), "--irqchip", "none", "--cpus", 2), "--cpus 2", "none")


@case
def an_unknown_guest_is_refused_with_the_list_of_guests():
    outcome = boot(guest("nobody"))
    check_status(outcome, 127)
    check_one_line(outcome, "'nobody'", "hello", "demo")


main()
