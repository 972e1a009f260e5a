# SPDX-License-Identifier: Apache-2.0
"""The exit status is a contract: every end, by the guest, the clock, a signal or the host, becomes a status
and at most one line."""
import os
import signal
import time

import flat_kernel
from harness import CRASHED, Failure, boot, case, check, check_match, check_one_line, check_out, check_refused
from harness import check_silent, check_status, finish, guest, is_kvm_interpreting, main, popen
from harness import temporary_directory, write_file

# How much later than its timeout a guest may end on a busy host.
LATE_SECONDS = 20


def ends(how, *options):
    return boot(guest("exits"), "--append", how, "--timeout", 20, *options)


def run_code(code, *options, limit=10):
    with temporary_directory() as directory:
        kernel = write_file(directory, "kernel", flat_kernel.multiboot(code + flat_kernel.HALT))
        return boot(kernel, "--timeout", limit, *options)


def write_exit_port(value, *options, port=0xF4):
    return run_code(flat_kernel.out32(port, value), *options)


@case
def values_up_to_123_are_the_status():
    for value in (0, 1, 2, 99, 123):
        outcome = write_exit_port(value)
        check_status(outcome, value)
        check_silent(outcome)


@case
def greater_values_become_123_and_are_told():
    for value in (124, 125, 126, 127, 128, 255, 256, 0x10000, 0xFFFFFFFF):
        outcome = write_exit_port(value)
        check_status(outcome, 123)
        check_one_line(outcome, str(value), "0-123")


@case
def a_byte_write_is_a_byte():
    check_status(ends("exit=0"), 0)
    check_status(ends("exit=7"), 7)
    check_status(ends("exit=255"), 123)


@case
def qemu_rule_doubles_and_adds_one():
    for value, status in ((0, 1), (1, 3), (0x10, 0x21), (61, 123)):
        check_status(write_exit_port(value, "--exit-code", "qemu"), status)
    outcome = write_exit_port(62, "--exit-code", "qemu")
    check_status(outcome, 123)
    check_one_line(outcome, "125")


@case
def success_names_the_status_that_counts_as_0():
    check_status(write_exit_port(33, "--success", 33), 0)
    check_status(write_exit_port(0x10, "--success", 33, "--exit-code", "qemu"), 0)
    check_status(write_exit_port(32, "--success", 33), 32)
    outcome = write_exit_port(300, "--success", 300)
    check_status(outcome, 0)
    check_silent(outcome)


@case
def exit_ports_are_where_requested():
    ports = ("--exit-port", "0x501", "--exit-port", "0xf4", "--exit-port", "8192")
    for port in (0x501, 0xF4, 8192):
        check_status(write_exit_port(3, *ports, port=port), 3)
    check_status(ends("exit=5 port=1281", "--exit-port", "0x501"), 5)


@case
def an_exit_port_asked_for_replaces_the_usual_one():
    check_status(
        run_code(flat_kernel.out32(0xF4, 3) + flat_kernel.out32(0x501, 4), "--exit-port", "0x501"), 4
    )


@case
def an_exit_port_that_is_a_device_is_refused():
    for port, device in ((0x3F8, "uart"), (0x80, ""), (0xCF9, "reset"), (0x70, "")):
        outcome = boot(guest("hello"), "--exit-port", hex(port))
        check_refused(outcome, "--exit-port", hex(port))
        check(device in outcome.err, f"{device} is not named", outcome)


@case
def exit_ports_may_be_neighbours():
    """Each is as wide as the other permits."""
    for port in (0xF4, 0xF6):
        write_byte = bytes((0xB0, 3, 0xE6, port))  # mov al, 3; out port, al
        check_status(run_code(write_byte, "--exit-port", 0xF4, "--exit-port", 0xF6), 3)


@case
def impossible_exit_ports_are_refused():
    outcome = boot(guest("hello"), "--testdev", "--exit-port", "0x2000")
    check_refused(outcome, "--exit-port", "0x2000", "test-device")
    many = [word for i in range(17) for word in ("--exit-port", 0x600 + 8 * i)]
    check_refused(boot(guest("hello"), *many), "--exit-port", "17", "16")


@case
def power_off_and_reset_are_0():
    for how in ("poweroff", "sleepctl", "reset", "i8042", "cf9", "port92"):
        for profile in ("modern", "legacy"):
            if how == "sleepctl" and profile == "legacy":
                continue  # the register is the hardware-reduced machine's
            outcome = ends(how, "--profile", profile)
            check_status(outcome, 0)
            check_silent(outcome)
            check(b"FAIL" not in outcome.out, f"{how} did not end the guest", outcome)
    check_status(ends("qemu-off", "--profile", "legacy"), 0)


@case
def a_panic_is_126():
    outcome = ends("panic")
    check_status(outcome, CRASHED)
    check_one_line(outcome, "panic")


@case
def a_triple_fault_is_126_and_says_where():
    for options in (("--profile", "modern"), ("--profile", "legacy"), ("--irqchip", "none")):
        outcome = ends("triple", *options)
        check_status(outcome, CRASHED)
        check_one_line(outcome, "triple fault", "vCPU 0", "RIP 0x")


@case
def an_instruction_that_kvm_cannot_emulate_is_named():
    outcome = ends("ud")
    if not is_kvm_interpreting():
        check_status(outcome, 0)
        check(b"ok ldmxcsr" in outcome.out, "the processor did not run it", outcome)
        return
    check_status(outcome, CRASHED)
    check_one_line(outcome, "could not emulate", "ldmxcsr", "kvm_pvm", "ring 0")
    check_match(outcome, r"RIP 0x[0-9a-f]+: 0f ae ([0-9a-f]{2} )*[0-9a-f]{2} \(ldmxcsr\)")


@case
def code_outside_of_memory_is_126():
    outcome = run_code(b"\xb8\x00\x00\x00\xc8\xff\xe0")  # mov eax, 0xc8000000; jmp eax
    check_status(outcome, CRASHED)
    check_one_line(outcome, "crashed", "0xc8000000")


@case
def an_undefined_instruction_is_left_to_the_guest():
    check_status(ends("ud2"), 99)


@case
def halting_forever_without_irqchip_is_126():
    outcome = ends("hlt", "--irqchip", "none")
    check_status(outcome, CRASHED)
    check_one_line(outcome, "halted with interrupts off")


def times_out(outcome, seconds):
    check_status(outcome, 124)
    check_one_line(outcome, "timeout", str(seconds))
    check(seconds <= outcome.seconds < seconds + LATE_SECONDS, "at the wrong time", outcome)


@case
def a_timeout_ends_a_guest_that_halts():
    times_out(boot(guest("exits"), "--append", "hlt", "--timeout", 0.5), 0.5)
    times_out(boot(guest("idle"), "--cpus", 4, "--timeout", 0.5), 0.5)


@case
def a_timeout_ends_a_guest_that_spins():
    times_out(boot(guest("exits"), "--append", "spin", "--timeout", 0.5), 0.5)
    times_out(boot(guest("idle"), "--append", "spin", "--timeout", 0.5, "--irqchip", "none"), 0.5)


@case
def a_timeout_ends_a_guest_that_spins_in_ring_0():
    times_out(run_code(b"\xeb\xfe", limit=0.5), 0.5)


@case
def a_guest_that_makes_hypercalls_without_end_can_be_ended():
    # Where the hypercall never reaches KVM, it loops until the timeout or raises #UD, a triple fault here.
    for call in (b"\x0f\x01\xc1", b"\x0f\x01\xd9"):
        outcome = run_code(call + b"\xeb\xfb", limit=1)
        check(outcome.status in (124, CRASHED), "neither timeout nor crash", outcome)
        check(outcome.seconds < 1 + LATE_SECONDS, "took too long", outcome)


@case
def the_guest_may_end_before_the_timeout():
    outcome = boot(guest("hello"), "--timeout", 50)
    check_status(outcome, 0)
    check(outcome.seconds < 40, "waited for the timeout", outcome)


def signalled(number, *arguments, ignored=False):
    def ignore():
        signal.signal(number, signal.SIG_IGN)

    process = popen(("boot", guest("echo"), *arguments), preexec_fn=ignore if ignored else None)
    started = time.monotonic()
    ready = process.stdout.read(6)
    if ready != b"ready\n":
        process.kill()
        process.wait()
        raise Failure(f"the guest did not start: {ready!r}")
    process.send_signal(number)
    if ignored:
        time.sleep(0.3)
        check(process.poll() is None, "a signal that was ignored ended it")
        process.send_signal(signal.SIGTERM)
    return finish(process, started)


@case
def a_signal_to_mayfly_is_128_and_its_number():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        for cpus in (1, 4):
            outcome = signalled(number, "--cpus", cpus)
            check_status(outcome, 128 + number)
            check_silent(outcome)


@case
def a_signal_that_was_ignored_stays_so():
    check_status(signalled(signal.SIGINT, ignored=True), 128 + signal.SIGTERM)


@case
def a_signal_before_the_guest_runs_ends_mayfly():
    for delay in (0, 0.001, 0.003):
        process = popen(("boot", guest("idle"), "--timeout", "20"))
        started = time.monotonic()
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        check_status(finish(process, started), 128 + signal.SIGTERM)


@case
def a_kernel_that_does_not_exist_is_127():
    outcome = boot("/no/such/kernel")
    check_status(outcome, 127)
    check_one_line(outcome, "/no/such/kernel")
    check_out(outcome, b"")
    with temporary_directory() as directory:
        os.symlink("nowhere", os.path.join(directory, "link"))
        check_status(boot(os.path.join(directory, "link")), 127)


@case
def a_file_that_is_not_a_kernel_is_125():
    with temporary_directory() as directory:
        check_refused(boot(directory), directory)
        for name, data in (
            ("empty", b""),
            ("one", b"\x7f"),
            ("text", b"#!/bin/sh\n" * 1000),
            ("zero", bytes(1 << 20)),
            ("noise", bytes(i * i * 7 & 255 for i in range(100000))),
        ):
            path = write_file(directory, name, data)
            check_refused(boot(path), path)


@case
def special_files_are_refused_without_waiting():
    with temporary_directory() as directory:
        pipe = os.path.join(directory, "pipe")
        os.mkfifo(pipe)
        for path in (pipe, "/dev/null", "/dev/zero"):
            check_refused(boot(path), path)
            check_refused(boot(guest("hello"), "--initrd", path), path)


@case
def companions_that_do_not_exist_are_125():
    check_refused(boot(guest("hello"), "--initrd", "/no/such/initrd"), "--initrd", "/no/such/initrd")
    check_refused(
        boot(guest("hello"), "--module", "/no/such/module with words"), "--module", "/no/such/module"
    )


@case
def a_kernel_without_read_permission_is_125():
    if os.geteuid() != 0:
        with temporary_directory() as directory:
            path = write_file(directory, "kernel", b"")
            os.chmod(path, 0)
            check_refused(boot(path), path, "ermission denied")
        return
    with temporary_directory() as directory:
        os.chmod(directory, 0o755)
        path = write_file(directory, "kernel", b"")
        os.chmod(path, 0o600)
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        check_refused(boot(path, wrapper=as_nobody), path, "ermission denied")


@case
def reports_that_cannot_be_written_are_125():
    for option in ("--timeline-json", "--stats-json"):
        outcome = boot(guest("hello"), option, "/no/such/directory/report")
        check_status(outcome, 125)
        check_one_line(outcome, option, "/no/such/directory/report")
    for status, append in ((125, "exit=0"), (7, "exit=7")):  # an error at the end changes no bad verdict
        outcome = boot(guest("exits"), "--append", append, "--stats-json", "/dev/full")
        check_status(outcome, status)
        check_one_line(outcome, "--stats-json", "/dev/full", "o space left")


main()
