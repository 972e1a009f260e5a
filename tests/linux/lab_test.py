# SPDX-License-Identifier: Apache-2.0
"""The nested lab keeps its contract: what a command says, reads and returns passes through unchanged, files
arrive as they were, and nothing is left behind. And mayfly works in it."""
import atexit
import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from harness import (
    TIMEOUT,
    cache_directory,
    case,
    check,
    check_status,
    lab_agent_path,
    linux_host,
    main,
    mayfly_path,
)
import commands
import one_cpu
import watch
from errors import LabError
from lab import Lab

LAB = os.path.join(os.path.dirname(os.path.realpath(__file__)), os.pardir, "lab", "lab")
FILE_BYTES = 8 << 20

# kvm.tsc_tolerance_ppm: rates that are further apart are different ones for KVM.
KVM_TOLERANCE_PPM = 250
PROBE_TEST = os.path.join(os.path.dirname(lab_agent_path), os.pardir, "kvm", "doctor", "probe_test")

host = linux_host(needs_lab=True, tools=["strace", PROBE_TEST], files={"/work/words": b"some words\n"})


@case
def exit_statuses_pass_through():
    for status in (0, 1, 77, 255):
        check_status(host.run(f"exit {status}"), status)


@case
def a_command_that_dies_of_a_signal_says_which():
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        check_status(host.run(f"kill -{number} $$"), 128 + number)


@case
def an_unknown_program_is_127_and_one_that_cannot_run_126():
    outcome = host.run(["no-such-program"])
    check_status(outcome, 127)
    check("no-such-program: No such file" in outcome.err, "the reason is not said", outcome)
    check_status(host.run(["/etc/passwd"]), 126)


@case
def stdout_and_stderr_are_kept_apart_and_whole():
    outcome = host.run("seq 1 100000; seq 1 50000 >&2")
    check_status(outcome, 0)
    check(outcome.out == b"".join(b"%d\n" % n for n in range(1, 100001)), "stdout differs", outcome)
    check(outcome.err == "".join(f"{n}\n" for n in range(1, 50001)), "stderr differs", outcome)


@case
def output_comes_while_the_command_runs():
    process = host.popen("echo first; read line; echo second $line")
    check(process.wait_for_output(r"first\n", timeout=30) is not None, "no output before its end")
    check(not process.poll(), "it has ended already")
    process.write(b"word\n")
    outcome = process.wait(30)
    check(outcome.out == b"first\nsecond word\n", "not what was written to it", outcome)


@case
def a_megabyte_of_input_arrives_as_it_was():
    data = os.urandom(1 << 20)
    outcome = host.run(["cat"], input_bytes=data)
    check(outcome.out == data, "cat gave back something else")


@case
def input_that_nobody_reads_holds_up_nothing():
    check_status(host.run(["true"], input_bytes=b"x" * (2 << 20)), 0)


@case
def without_input_stdin_is_at_its_end():
    outcome = host.run("cat; echo end")
    check(outcome.out == b"end\n", "something else on stdin", outcome)


@case
def a_file_of_8_mib_goes_in_and_out_unchanged():
    data = os.urandom(FILE_BYTES)
    host.put(data, "/work/deep/inside/file")
    check(host.get("/work/deep/inside/file") == data, "what came back differs")
    check_status(host.run(["test", "-d", "/work/deep/inside"]), 0)


@case
def a_missing_file_is_an_error_with_its_name():
    try:
        host.get("/work/nothing")
    except LabError as error:
        check("/work/nothing: No such file" in str(error), f"the error says {error}")
    else:
        check(False, "no error")


@case
def files_and_tools_are_there_from_the_start():
    check(host.run(["cat", "/work/words"]).out == b"some words\n", "the file is missing")
    outcome = host.run(["strace", "-V"])
    check(outcome.out.startswith(b"strace -- version"), "the tool does not run", outcome)


@case
def a_command_that_takes_too_long_is_ended_with_its_children():
    outcome = host.run("sleep 1000 & sleep 1000; echo never", timeout=2)
    check_status(outcome, TIMEOUT)
    check("ended after 2 s" in outcome.err, "the reason is not said", outcome)
    # The kernel takes them off its list a moment after it has ended them.
    for _ in range(100):
        if host.run(["pidof", "sleep"]).status == 1:
            return
        time.sleep(0.1)
    check(False, "its children are still there")


@case
def commands_run_side_by_side():
    first = host.popen(["cat"])
    check(host.run(["echo", "other"]).out == b"other\n", "the other did not run")
    first.write(b"still here")
    first.close_input()
    check(first.wait(30).out == b"still here", "the first has lost its input")


@case
def a_terminal_has_its_size_and_its_line_discipline():
    process = host.popen("stty size; read line; echo got $line", terminal=(33, 99))
    check(process.wait_for_output(rb"33 99\r\n", timeout=30) is not None, "not its size")
    process.write(b"word\r")
    outcome = process.wait(30)
    check(outcome.out.endswith(b"word\r\ngot word\r\n"), "no echo, or no new line", outcome)


@functools.cache
def counting_lab():
    """A lab in which time is instructions, so that a busy machine delays nothing in it."""
    lab = Lab(agent=lab_agent_path, cache=cache_directory, mayfly=mayfly_path, icount=True).start()
    atexit.register(lab.close)
    return lab


@case
def doctor_finds_a_kvm_that_runs_kernels_natively():
    outcome = counting_lab().run(["mayfly", "doctor", "--json"], timeout=120)
    check_status(outcome, 0)
    report = json.loads(outcome.out)
    check(report["can_boot"], "no guest can be booted", outcome)
    check(report["measured"]["ring0_interpreted"] is False, "guest ring 0 is interpreted", outcome)


def check_rates(outcome):
    """Of doctor's JSON: guests are told the host's own rate, and their timers fire."""
    check_status(outcome, 0)
    report = json.loads(outcome.out)
    own, told = report["host"]["tsc_khz"], report["measured"]["tsc_khz"]
    is_near = own is not None and abs(told - own) <= own / 1e6 * KVM_TOLERANCE_PPM
    check(is_near, f"guests are told {told} kHz, the host's rate is {own}", outcome)
    check(report["measured"]["deadline_timer_fired"] is True, "no timer fires", outcome)


@case
def guests_are_told_the_hosts_own_rate_and_their_timers_fire():
    check_rates(host.mayfly("doctor", "--json", timeout=120))
    check_rates(counting_lab().run(["mayfly", "doctor", "--json"], timeout=120))


@case
def an_interrupt_wakes_the_host_each_second_except_where_instructions_are_counted():
    # What is printed makes interrupts too.
    count = "awk '/virtqueues/ {print $2}' /proc/interrupts"
    for lab, is_woken in ((host.lab, True), (counting_lab(), False)):
        outcome = lab.run(f"before=$({count}); sleep 6; echo $before $({count})", timeout=120)
        before, after = map(int, outcome.out.split())
        check(after - before >= 3 if is_woken else after == before, f"woken {is_woken}: {before}, then {after}")


def cpus_of(pid):
    return {frozenset(os.sched_getaffinity(int(thread))) for thread in os.listdir(f"/proc/{pid}/task")}


@case
def the_emulator_has_one_cpu_and_goes_where_one_is_free():
    (cpus,) = cpus_of(host.lab.process_id)
    check(len(cpus) == 1, f"it has {sorted(cpus)}")
    here, *others = sorted(os.sched_getaffinity(0))
    busy = ["taskset", "-c", str(here), sys.executable, "-c", "while True: pass"]
    spinners = [subprocess.Popen(busy) for _ in range(2)]  # pylint: disable=consider-using-with
    idle = {cpu: 0.0 for cpu in (here, *others)}
    looked = one_cpu.idle_seconds
    one_cpu.idle_seconds = lambda: dict(idle)
    try:
        moved = one_cpu.OneCpu(spinners[0].pid)
        for second in range(60):  # one time in two it stays
            time.sleep(0.3)
            moved.look(second * 0.3)
            idle[max(idle)] += 0.3
            if cpus_of(spinners[0].pid) != {frozenset({here})}:
                break
        expected = {frozenset({max(idle)})}
        check(cpus_of(spinners[0].pid) == expected, f"it stays on {cpus_of(spinners[0].pid)}")
        check(cpus_of(spinners[1].pid) == {frozenset({here})}, "the other one went")
    finally:
        one_cpu.idle_seconds = looked
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


@case
def the_first_rate_that_the_labs_kernel_goes_by_is_the_refined_one():
    found = None
    for _ in range(60):  # refined a second after that, and later when the machine is busy
        said = host.run(["dmesg"]).out.decode(errors="replace")
        found = re.search(r"Refined TSC clocksource calibration: ([\d.]+) MHz", said)
        if found:
            break
        time.sleep(0.5)
    check(found is not None, f"never refined: {said}")
    first, refined = float(re.search(r"tsc: Detected ([\d.]+) MHz", said)[1]), float(found[1])
    check(abs(first / refined - 1) * 1e6 < KVM_TOLERANCE_PPM, f"first {first}, then {refined} MHz")


@case
def doctor_finds_a_timer_that_never_fires():
    """KVM is given a rate below the host's, which it cannot scale to here: so it is too where it was loaded
    before its host knew its own rate."""
    probe = os.path.basename(PROBE_TEST)
    outcome = host.run([probe, "-w", "NoTests"], env={"MAYFLY_EXPECT_DEAD_TIMER": "1"}, timeout=120)
    check_status(outcome, 0)
    check(b"the timer does not fire" in outcome.out, "it was not tried", outcome)
    check(b"user requested TSC rate" in host.run(["dmesg"]).out, "the kernel does not say so")


def impatient():
    """The limits in the tests of hangs."""
    commands.GRACE_SECONDS, commands.LOOK_SECONDS = 2, 1
    watch.IDLE_SECONDS, watch.ANSWER_SECONDS = 10, 4


@case
def a_guest_that_halts_forever_is_ended_when_the_lab_idles():
    impatient()
    outcome = host.mayfly("boot", "builtin:idle", timeout=300)
    check_status(outcome, TIMEOUT)
    check(outcome.seconds < 150, "it was waited for until its limit", outcome)
    for words in ("hopeless: it is silent, and the lab idle", "mayfly boot builtin:idle", "Run /init"):
        check(words in outcome.err, f"it does not say {words!r}", outcome)


@case
def a_guest_that_spins_is_ended_at_its_limit_with_its_output_reported():
    process = host.popen(["mayfly", "boot", "builtin:idle", "--append", "spin"])
    check(process.wait_for_output("never said", timeout=5) is None, "it was said")
    outcome = process.wait(5)
    check_status(outcome, TIMEOUT)
    check("ended after 5 s" in outcome.err and "mayfly boot builtin:idle" in outcome.err, "not said", outcome)


def ends_with(command, during=lambda lab: None):
    """The text of the LabError that ends this command in a lab of its own, and after how many seconds."""
    impatient()
    with Lab(agent=lab_agent_path, cache=cache_directory) as lab:
        process = lab.popen(command, with_input=False, ends_idle=True)
        process.wait_for_output("about to", timeout=60)
        during(lab)
        started = time.monotonic()
        try:
            outcome = process.wait(300)
        except LabError as error:
            return str(error), time.monotonic() - started
    return check(False, "the command went on", outcome)


@case
def a_lab_whose_kernel_panics_says_so_at_once():
    crash = "echo 1 >/proc/sys/kernel/sysrq; echo about to; sleep 1; echo c >/proc/sysrq-trigger; sleep 1000"
    reason, seconds = ends_with(crash)
    check("Kernel panic" in reason and seconds < 150, f"after {seconds:.1f} s: {reason}")


@case
def a_lab_that_answers_nothing_any_more_is_given_up():

    def stop(lab):
        os.kill(lab.process_id, signal.SIGSTOP)

    reason, seconds = ends_with("echo about to; sleep 1000", stop)
    check("the lab does not answer" in reason and "SIGKILL" in reason, f"it says {reason}")
    check(seconds < 150, f"only after {seconds:.1f} s")


@case
def the_demo_guest_boots():
    outcome = host.mayfly("boot", "--timeout", 60)
    check_status(outcome, 0)
    check(outcome.out.endswith(b"All passed.\n"), "not all of its checks passed", outcome)


def command_line(*words, **options):
    environment = {**os.environ, "MAYFLY_LAB_CACHE": cache_directory}
    return subprocess.Popen(
        [LAB, "--mayfly", mayfly_path, "--agent", lab_agent_path, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        **options,
    )


@case
def the_command_line_passes_everything_through():
    with tempfile.TemporaryDirectory() as directory:
        source, target = os.path.join(directory, "in"), os.path.join(directory, "out")
        with open(source, "wb") as file:
            file.write(b"from outside\n")
        process = command_line(
            "--file", source, "--get", f"/work/made:{target}", "--",
            "sh", "-c", "cat in - | tee made; echo trouble >&2; exit 7",
        )  # fmt: skip
        out, err = process.communicate(b"typed\n", timeout=120)
        check(process.returncode == 7, f"status {process.returncode}: {err!r}")
        check(out == b"from outside\ntyped\n" and err == b"trouble\n", f"{out!r} and {err!r}")
        with open(target, "rb") as file:
            check(file.read() == out, "the file that came back differs")


def processes_below(pid):
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    below = [child for child, parent in pairs if parent == pid]
    return below + [grandchild for child in below for grandchild in processes_below(child)]


@case
def a_client_that_is_killed_leaves_nothing_behind():
    process = command_line("--", "sh", "-c", "echo up; sleep 1000")
    check(process.stdout.readline() == b"up\n", "the lab did not come up")
    left = processes_below(process.pid)
    check(left, "no QEMU below the client")
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in left):
        check(time.monotonic() < deadline, f"still there after 10 s: {left}")
        time.sleep(0.05)


def why_not(**options):
    try:
        Lab(agent=lab_agent_path, cache=cache_directory, **options).start().close()
    except LabError as error:
        return str(error)
    return ""


@case
def a_lab_that_cannot_start_says_why():
    check("icount" in why_not(icount=True, cpus=2), "two CPUs and icount")
    check("/no/such: no such file" in why_not(files={"/x": "/no/such"}), "a missing file")
    check("no kernel 2.4" in why_not(kernel="2.4"), "an unknown kernel")
    check("no-such-tool" in why_not(tools=["no-such-tool"]), "a missing tool")
    check("QEMU's status 1" in why_not(memory="nonsense"), "an option that QEMU does not know")
    reason = why_not(append="init=/nothing rdinit=/nothing")
    check(re.search(r"(?s)end of its console:.*Kernel panic", reason) is not None, f"no console: {reason}")


@case
def equal_runs_take_equal_instructions():
    counts = [counting_lab().measure(["mayfly", "boot", "builtin:hello"], timeout=120) for _ in range(4)]
    for outcome in counts:
        check_status(outcome, 0)
    # The first one finds the host kernel's caches empty.
    taken = [outcome.ns for outcome in counts[1:]]
    print(f"  {[outcome.ns for outcome in counts]} instructions")
    check(max(taken) - min(taken) <= min(taken) // 100, f"they differ by more than 1 %: {taken}")


if __name__ == "__main__":
    sys.exit(main())
