# SPDX-License-Identifier: Apache-2.0
"""--exec with Debian's kernels: a program has the streams, the terminal, the signals and the surroundings that
it would have on this side."""
import hashlib
import signal
import struct

from harness import FAILED, OK, case, check, check_match, check_status, linux_host, main
from guests import image

BOOT_SECONDS = 300
MIB = 1 << 20
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n"
GROUP = b"root:x:0:\npeople:x:1001:\nwheel:x:10:root,ann\nvideo:x:44:ann\n"


def second_channel():
    """A program that asks the init port for another channel: mov dx, 0x620; mov eax, 1; out dx, eax; pause()."""
    code = bytes.fromhex("b8ad000000 bf20060000 be06000000 ba01000000 0f05")  # ioperm(0x620, 6, 1)
    code += bytes.fromhex("ba20060000 b801000000 ef b822000000 0f05 ebf7")
    base, head = 0x400000, 64 + 56
    ident = b"\x7fELF\2\1\1" + bytes(9)
    elf = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 62, 1, base + head, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = head + len(code)
    return elf + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096) + code


busybox = image.find_busybox()
host = linux_host(
    kernels=["6.1/bzImage", "6.12/vmlinux"],
    files={
        "/work/busybox": busybox,
        "/work/second-channel": second_channel(),
        "/work/root/bin/busybox": busybox,
        "/work/root/etc/passwd": PASSWD,
        "/work/root/etc/group": GROUP,
        "/work/root/only-root": b"",
    },
)
check_status(host.run("chmod 755 busybox second-channel root/bin/busybox && ln -s busybox root/bin/sh"), OK)
KERNELS = {"6.1": host.path("/kernels/6.1/bzImage"), "6.12": host.path("/kernels/6.12/vmlinux")}


def words(*program, options=(), version="6.12"):
    return ["boot", KERNELS[version], *options, "--exec", host.path("/work/busybox"), "--", *program]


def run(*program, options=(), version="6.12", **how):
    return host.mayfly(*words(*program, options=options, version=version), timeout=BOOT_SECONDS, **how)


def in_shell(command, version="6.12", **how):
    """A line of shell in which `guest` is a guest's busybox; `become` leaves no shell around it, which would
    keep a pipe open."""
    boot = f"mayfly boot {KERNELS[version]} --exec {host.path('/work/busybox')} --"
    functions = f"guest() {{ {boot} \"$@\"; }}; become() {{ exec {boot} \"$@\"; }}"
    return host.run(f"{functions}; {command}", timeout=BOOT_SECONDS, **how)


def noise(size):
    """Bytes of every kind; they repeat from run to run."""
    blocks = (hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(size // 32))
    return b"".join(blocks)


@case
def input_comes_out_byte_by_byte_and_ends():
    for version, size in (("6.12", 4 * MIB), ("6.1", MIB)):
        data = noise(size)
        outcome = run("cat", version=version, input_bytes=data)
        check_status(outcome, OK)
        check(outcome.out == data, f"{len(outcome.out)} bytes came back of {size}, or others", outcome)
        check(outcome.err == "", "stderr is not empty", outcome)


@case
def a_script_on_stdin_is_read_to_its_end():
    outcome = run("sh", input_bytes=b"echo begin\n" + b"# filled\n" * 20_000 + b"echo end\nexit 9\necho never\n")
    check_status(outcome, 9)
    check(outcome.out == b"begin\nend\n", "the script", outcome)


@case
def the_three_streams_are_pipes_of_their_own():
    look = "readlink /proc/self/fd/0; test -t 0 || test -t 1 || test -t 2 || echo none; echo error >&2; exit 3"
    outcome = run("sh", "-c", look, version="6.1", input_bytes=b"")
    check_status(outcome, 3)
    check_match(outcome, r"^error\n$")
    check(outcome.out.startswith(b"pipe:[") and outcome.out.endswith(b"]\nnone\n"), "stdout", outcome)


@case
def where_stdout_and_stderr_are_one_their_order_stays():
    order = "for i in 1 2 3 4 5 6 7 8 9; do echo out$i; echo error$i >&2; done"
    outcome = in_shell(f"guest sh -c '{order}' 2>&1 </dev/null")
    expected = "".join(f"out{number}\nerror{number}\n" for number in range(1, 10))
    check(outcome.out == expected.encode(), "another order", outcome)


@case
def a_reader_that_leaves_is_sigpipe():
    outcome = in_shell("(guest yes </dev/null; echo status $? >&2) | head -n 3")
    check(outcome.out == b"y\ny\ny\n", "what was read", outcome)
    check(outcome.err == f"status {128 + signal.SIGPIPE}\n", "the status", outcome)
    # The other way: a reader learns of the end of a stream that the program has closed.
    outcome = in_shell("become sh -c 'echo one; exec >/dev/null; sleep 3; echo end >&2' </dev/null 2>err |"
                       " (cat; cat err)")
    check(outcome.out == b"one\n", "the end came with the program's", outcome)


@case
def a_program_that_stops_reading_ends_all_the_same():
    outcome = in_shell("yes | guest head -n 2; echo $?")
    check(outcome.out == b"y\ny\n0\n" and outcome.err == "", "its end", outcome)
    # It closes its stdin, and lives on.
    outcome = in_shell("(yes; echo gone >&2) | become sh -c 'exec </dev/null; sleep 3; echo done >&2' >/dev/null")
    check(outcome.err == "gone\ndone\n", "the writer did not learn of that", outcome)


@case
def a_slow_reader_loses_nothing_and_other_streams_go_on():
    count = "seq 100000"
    outcome = in_shell(f"guest sh -c '{count}; echo other >&2' </dev/null | (sleep 2; md5sum); {count} | md5sum")
    sums = outcome.out.split()
    check(sums[0] == sums[2] and outcome.err == "other\n", "not the same", outcome)
    # One stream is not read; the other must not wait.
    outcome = in_shell("guest sh -c 'yes & sleep 1; echo now >&2; sleep 1; kill $!; exit 4' </dev/null 2>err |"
                       " (i=0; until grep -q now err || [ $i = 60 ]; do sleep 1; i=$((i + 1)); done; echo $i;"
                       " cat >/dev/null)")
    check(outcome.out.strip() != b"60", "stderr waited for stdout", outcome)


@case
def processes_that_a_program_leaves_running_end_with_it():
    outcome = run("sh", "-c", "(sleep 100; echo late) & echo soon", input_bytes=b"")
    check_status(outcome, OK)
    check(outcome.out == b"soon\n", "its output", outcome)
    # However much it still writes, to a reader that is slower.
    outcome = in_shell("guest sh -c 'yes & exit 6' </dev/null | (sleep 3; wc -c >/dev/null); echo ended")
    check(outcome.out == b"ended\n", "its end", outcome)


@case
def kernels_without_pci_acpi_or_interrupts_have_streams_too():
    for append in ("pci=off acpi=off", "noapic nolapic", "console=tty0"):
        outcome = run("cat", options=["--append", append], input_bytes=b"through\n")
        check_status(outcome, OK)
        check(outcome.out == b"through\n", f"with {append}", outcome)


@case
def a_terminal_is_one_for_the_program_with_size_and_job_control():
    for version in KERNELS:
        process = host.mayfly_popen(*words("sh", version=version), terminal=(31, 97))
        process.write("stty size; test -t 0 && test -t 1 && tty\n")
        check(process.wait_for_output(r"\b31 97\r\n", BOOT_SECONDS), f"no size: {process.output()!r}")
        check(process.wait_for_output(r"/dev/pts/0\r\n"), f"no terminal: {process.output()!r}")
        process.resize(25, 66)
        process.write("until [ \"$(stty size)\" = '25 66' ]; do sleep 0.1; done; echo re'sized'\n")
        check(process.wait_for_output(r"\nresized\r\n"), f"no new size: {process.output()!r}")
        # Once it says so, it is in the foreground, where an interrupt goes.
        process.write("sh -c \"echo be'gun'; exec cat\"\n")
        check(process.wait_for_output(r"begun\r\n"), f"no output: {process.output()!r}")
        process.write("\x03")
        check(process.wait_for_output(r"\^C"), f"no interrupt: {process.output()!r}")
        process.write("echo status $?\n")
        check(process.wait_for_output(r"status 130\r\n"), f"no status: {process.output()!r}")
        process.write("exit 5\n")
        outcome = process.wait(BOOT_SECONDS)
        check_status(outcome, 5)
        check(b"[    " not in outcome.out, "the kernel's console is on the terminal", outcome)


@case
def a_terminals_late_answers_are_not_left_for_the_shell():
    boot = f"mayfly boot {KERNELS['6.12']} --exec {host.path('/work/busybox')} -- printf '\\033[6n'"
    # Input that a shell would read, at once and without waiting for a line's end.
    line = f"{boot}; stty -icanon -echo min 0 time 0; echo \"left: [$(head -c 20 | od -An -c)]\""
    process = host.popen(["sh", "-c", line], terminal=(24, 80))
    for question, answer in ((r"\x1b\[6n", "\x1b[1;1R"), (r"\x1b\[5n", "\x1b[0n")):
        check(process.wait_for_output(question), f"no question: {process.output()!r}")
        process.write(answer)
    outcome = process.wait(BOOT_SECONDS)
    check_status(outcome, OK)
    check(b"left: []" in outcome.out, "an answer is left for the shell", outcome)


def started(command, *options):
    """The guest's shell, once it has said that it is there."""
    process = host.mayfly_popen(*words("sh", "-c", command, options=options), with_input=False)
    check(process.wait_for_output("ready\n", BOOT_SECONDS), f"it never was: {process.output()!r}")
    return process


@case
def signals_are_the_programs():
    trap = "trap 'echo got {0}' {0}"
    names = ("HUP", "QUIT", "USR1", "USR2", "WINCH")
    traps = "; ".join(trap.format(name) for name in names)
    process = started(f"{traps}; trap 'echo got TERM; exit 42' TERM; echo ready; while :; do sleep 0.1; done")
    for name in names:
        process.signal(getattr(signal, f"SIG{name}"))
        check(process.wait_for_output(f"got {name}\n"), f"no {name}: {process.output()!r}")
    process.signal(signal.SIGTERM)
    outcome = process.wait(BOOT_SECONDS)
    check_status(outcome, 42)
    check(outcome.out.endswith(b"got TERM\n"), "its last words", outcome)


@case
def a_signal_that_nobody_minds_ends_the_program_as_here():
    process = started("echo ready; sleep 1000")  # the shell waits for it: all of its group are told of SIGINT
    process.signal(signal.SIGINT)
    check_status(process.wait(BOOT_SECONDS), 128 + signal.SIGINT)
    process = started("echo ready; exec sleep 1000")
    process.signal(signal.SIGTERM)
    outcome = process.wait(BOOT_SECONDS)
    check_status(outcome, 128 + signal.SIGTERM)
    check(outcome.err == "mayfly: the program was killed by signal 15\n", "stderr", outcome)


@case
def after_the_grace_the_program_is_killed():
    process = started("trap '' TERM INT; echo ready; while :; do sleep 0.1; done", "--grace", "1")
    process.signal(signal.SIGTERM)
    check_status(process.wait(BOOT_SECONDS), 128 + signal.SIGKILL)


@case
def a_second_interrupt_kills_at_once():
    process = started("trap 'echo one' INT; echo ready; while :; do sleep 0.1; done", "--grace", "1000")
    process.signal(signal.SIGINT)
    check(process.wait_for_output("one\n"), f"no SIGINT: {process.output()!r}")
    process.signal(signal.SIGINT)
    check_status(process.wait(BOOT_SECONDS), 128 + signal.SIGKILL)


@case
def a_signal_before_there_is_a_program_ends_mayfly():
    process = host.mayfly_popen(*words("sleep", "1000"), with_input=False)
    process.signal(signal.SIGTERM)
    check_status(process.wait(BOOT_SECONDS), 128 + signal.SIGTERM)


def in_root(command, *options, env=None):
    return host.mayfly("boot", KERNELS["6.12"], "--root", host.path("/work/root"), *options, "--exec", "sh", "--",
                       "-c", command, timeout=BOOT_SECONDS, env=env)


@case
def a_programs_environment_is_as_requested():
    busy = "busybox"
    facts = f"{busy} id >/dev/stdout; pwd; {busy} hostname; umask; echo $HOME $A $B. $C; {busy} env | {busy} grep -c ^A="
    outcome = in_root(facts, "--user", "ann", "--workdir", "/made/here", "--hostname", "box", "--env", "A=1",
                      "--env", "A=2", "--env", "B", "--env", "C=3=4", env={"B": "from here"})
    check_status(outcome, OK)
    expected = ("uid=1000(ann) gid=1001(people) groups=10(wheel),44(video)", "/made/here", "box", "0022",
                "/home/ann 2 from here. 3=4", "1")
    check(outcome.out.decode().splitlines() == list(expected), "its surroundings", outcome)
    outcome = in_root(f"{busy} id; echo $HOME; ulimit -n; ulimit -c; ulimit -u", "--user", "7:video")
    check(outcome.out.split(b"\n")[0] == b"uid=7 gid=44(video)", "its numbers", outcome)
    check(outcome.out.split()[-4:] == [b"/", b"1048576", b"unlimited", b"unlimited"], "its limits", outcome)
    outcome = in_root(f"echo $HOME; {busy} id -u; {busy} hostname; pwd")
    check(outcome.out == b"/root\n0\nmayfly\n/\n", "the defaults", outcome)


@case
def a_user_that_the_root_does_not_know_is_refused():
    outcome = in_root("true", "--user", "bob")
    check_status(outcome, FAILED)
    check_match(outcome, r"^mayfly: --user bob: no user bob in the root's /etc/passwd")
    outcome = in_root("true", "--user", "ann:cooks")
    check_status(outcome, FAILED)
    check_match(outcome, r"no group cooks in the root's /etc/group")


@case
def file_systems_that_tests_of_kernels_expect_are_there():
    look = "for at in /proc /sys /dev /dev/pts /dev/shm /tmp /run /sys/kernel/debug /sys/kernel/tracing"
    look += " /sys/fs/bpf /sys/fs/cgroup /sys/kernel/security; do grep -q \" $at \" /proc/mounts || echo $at; done"
    outcome = run("sh", "-c", look, version="6.1")
    check_status(outcome, OK)
    check(outcome.out == b"", "they are not mounted", outcome)


@case
def the_kernels_console_stays_apart():
    outcome = run("echo", "program", options=["-v", "--log", host.path("/work/log")])
    check_status(outcome, OK)
    check(outcome.out == b"program\n", "stdout", outcome)
    check("] Linux version 6.12" in outcome.err, "the kernel is not on stderr", outcome)
    log = host.get("/work/log").decode()
    check("] stdout: program\n" in log and "] [    0.000000] Linux version 6.12" in log, f"the log: {log[:500]}")


@case
def init_reports_its_errors():
    outcome = in_root("true", "--workdir", "/only-root/sub")
    check_status(outcome, FAILED)
    check_match(outcome, r"(?m)^mayfly: init: cannot enter /only-root/sub: ENOTDIR$")
    check_match(outcome, r"(?m)^mayfly: mayfly's init could not enter the program's directory: Not a directory$")


@case
def a_guest_that_opens_a_channel_of_its_own_is_ended():
    outcome = host.mayfly("boot", KERNELS["6.12"], "--exec", host.path("/work/second-channel"), timeout=BOOT_SECONDS)
    check_status(outcome, FAILED)
    check_match(outcome, r"^mayfly: the guest's init did not open a valid channel")


main()
