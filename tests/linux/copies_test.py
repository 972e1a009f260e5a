# SPDX-License-Identifier: Apache-2.0
"""--copy-in and --copy-out with Debian's kernels: what goes in is there, what the program leaves comes out, and
what cannot be copied is said."""
import signal
import time

from harness import FAILED, OK, case, check, check_match, check_status, linux_host, main
from guests import image

BOOT_SECONDS = 300
MIB = 1 << 20
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n"

busybox = image.find_busybox()
host = linux_host(
    kernels=["6.1/bzImage", "6.12/vmlinux"],
    files={
        "/work/busybox": busybox,
        "/work/root/bin/busybox": busybox,
        "/work/root/etc/passwd": PASSWD,
        "/work/root/etc/config": b"the root's\n",
        "/work/root/usr/share/kept": b"kept\n",
    },
)
SET_UP = """chmod 755 busybox root/bin/busybox && ln -s busybox root/bin/sh && ln -s usr/share root/share
mkdir -p tree/sub/empty && echo one >tree/one && echo two >tree/sub/two && ln -s ../one tree/sub/link
printf '#!/bin/sh\\n' >tree/sub/tool && chmod 750 tree/sub/tool && touch -d @1000000000 tree/one
seq 20000 >tree/long"""
check_status(host.run(SET_UP + "\nln root/etc/config root/etc/also"), OK)
KERNELS = {"6.1": host.path("/kernels/6.1/bzImage"), "6.12": host.path("/kernels/6.12/vmlinux")}


def run(command, *options, version="6.12", root=False):
    """A line of shell in a guest, whose commands are busybox's."""
    where = ["--root", host.path("/work/root"), "--exec", "sh"] if root else ["--exec", host.path("/work/busybox")]
    program = [] if root else ["sh"]
    return host.mayfly("boot", KERNELS[version], *options, *where, "--", *program, "-c", command,
                       timeout=BOOT_SECONDS)


def copy_in(name, guest):
    return ["--copy-in", f"{host.path('/work/' + name)}:{guest}"]


def copy_out(guest, name):
    return ["--copy-out", f"{guest}:{host.path('/work/' + name)}"]


def shell(command):
    outcome = host.run(command)
    check_status(outcome, OK)
    return outcome.out.decode()


@case
def a_tree_copied_in_and_out_is_the_same():
    for version in KERNELS:
        command = "cp -a /srv/tree /made && cd /made && mkdir many && for i in $(seq 300); do echo $i >many/$i; done"
        command += "; ln -s /etc/passwd absolute; ln -s ../../up sub/up; mkfifo pipe; dd if=/dev/zero of=holes bs=1 seek=1G count=1"
        outcome = run(command + " 2>/dev/null", *copy_in("tree", "/srv/tree"), *copy_out("/made", f"out-{version}"),
                      version=version)
        check_status(outcome, OK)
        out = f"out-{version}"
        holes = shell(f"cd {out} && cat many/* | sort -n | md5sum && seq 300 | md5sum && stat -c '%s %b' holes")
        first, second, size = holes.split("\n")[:3]
        check(first == second, f"the many: {holes}")
        size_bytes, blocks = map(int, size.split())
        check(size_bytes == (1 << 30) + 1 and blocks * 512 < MIB, f"the holes: {size}")
        kept = shell(f"cd {out} && rm -r many holes && cd .. && diff -r tree {out} && stat -c '%a %Y' {out}/one"
                     f" {out}/sub/tool && readlink {out}/sub/link; ls {out}/sub/empty | wc -l")
        lines = kept.split("\n")
        check(lines[0] == "644 1000000000" and lines[1].startswith("750 ") and lines[2:4] == ["../one", "0"], kept)
        told = outcome.err
        check_match(outcome, r"(?m)^mayfly: warning: --copy-out: /made/absolute: is left out: the link leads out")
        check_match(outcome, r"(?m)^mayfly: warning: --copy-out: /made/sub/up: is left out")
        check_match(outcome, r"(?m)^mayfly: warning: --copy-out: /made/pipe: is left out: it is a pipe$")
        check(told.count("\n") == 3, "other lines", outcome)


@case
def copies_in_cover_the_root_and_belong_to_the_user():
    options = [*copy_in("tree", "/usr/share"), *copy_in("tree/one", "/etc/config"), *copy_in("tree/long", "/tmp/a/"),
               *copy_in("tree/sub/", "/share/more"), "--user", "ann"]
    # Of two names of one file, only that which was asked for is another now.
    command = "cd /usr/share; cat kept one more/two /etc/config /etc/also; busybox wc -l </tmp/a/long; busybox stat -c '%u %g' one"
    outcome = run(command + "; busybox stat -c '%u %a' . kept /tmp; echo mine >sub/two && cat sub/two", *options,
                  root=True)
    # /usr/share keeps what it was.
    check_status(outcome, OK)
    expected = ["kept", "one", "two", "one", "the root's", "20000", "1000 1001", "0 755", "0 644", "0 1777", "mine"]
    check(outcome.out.decode().split("\n")[:-1] == expected, "what is there", outcome)


@case
def files_come_out_whatever_the_status_is():
    command = "mkdir /out; echo result >/out/r; (sleep 1000; echo late >>/out/r) & "
    outcome = run(command + "exit 3", *copy_out("/out/r", "result"), *copy_out("/proc/meminfo", "memory"),
                  *copy_out("/out/nothing", "nothing"))
    check_status(outcome, 3)
    check(host.get("/work/result") == b"result\n", "the file", outcome)
    check(b"MemTotal" in host.get("/work/memory"), "a file of the kernel's", outcome)
    check(outcome.err == "mayfly: --copy-out: /out/nothing: No such file or directory\n", "stderr", outcome)
    outcome = run(command + "kill -9 $$", *copy_out("/out/", "killed"))
    check_status(outcome, 128 + signal.SIGKILL)
    check(host.get("/work/killed/r") == b"result\n", "the file", outcome)


@case
def a_failed_copy_fails_the_boot():
    outcome = run("true", *copy_out("/nowhere", "never"))
    check_status(outcome, FAILED)
    check_match(outcome, r"(?m)^mayfly: --copy-out: /nowhere: No such file or directory$")
    check_match(outcome, r"(?m)^mayfly: the program succeeded, but not all of its files were copied out$")
    shell("mkdir -p small && mount -t tmpfs -o size=1m small small")
    outcome = run("dd if=/dev/zero of=/big bs=1M count=20 2>/dev/null; mkdir /d; echo x >/d/x",
                  *copy_out("/big", "small/"), *copy_out("/d", "after"))
    shell("umount small")
    check_status(outcome, FAILED)
    check_match(outcome, r"(?m)^mayfly: write --copy-out: .*/work/small/big: No space left on device$")
    check(host.get("/work/after/x") == b"x\n", "what came after it", outcome)
    outcome = run("true", *copy_out("/dev/ttyS0", "device"))
    check_status(outcome, FAILED)
    check_match(outcome, r"(?m)^mayfly: --copy-out: /dev/ttyS0: is left out: it is a device$")


@case
def a_guest_that_ends_before_its_program_copies_nothing():
    outcome = run("echo x >/x; poweroff -f; sleep 1000", *copy_out("/x", "early"))
    check_status(outcome, FAILED)
    check_match(outcome, r"(?m)^mayfly: warning: --copy-out: nothing is copied: the guest ended before its program")


@case
def a_signal_ends_a_copy_without_a_reader():
    """While the guest still sends, and when it has ended."""
    shell("mkfifo pipe")
    pipe, busy = host.path("/work/pipe"), host.path("/work/busybox")
    for command, status in (("dd if=/dev/zero of=/x bs=1M count=8", 128 + signal.SIGTERM),
                            ("truncate -s 1000000000000 /x", FAILED)):  # fmt: skip
        boot = f"mayfly boot {KERNELS['6.12']} --grace 1 --copy-out /x:{pipe} --exec {busy}"
        line = f"exec 3<>pipe; exec {boot} -- sh -c '{command}; echo ready'"
        process = host.popen(["sh", "-c", line])
        check(process.wait_for_output("ready"), f"no program: {process.output()!r}")
        time.sleep(1)
        process.signal(signal.SIGTERM)
        outcome = process.wait(BOOT_SECONDS)
        check_status(outcome, status)
        check_match(outcome, r"(?m)^mayfly: --copy-out: .*/work/pipe: is not written to its end: mayfly was to end$")


@case
def files_that_the_boot_reads_or_writes_are_not_copied_over():
    kernel = KERNELS["6.12"]
    outcome = run("true", "--copy-out", f"/x:{kernel}")
    check_status(outcome, FAILED)
    check_match(outcome, rf"^mayfly: --copy-out {kernel} and KERNEL {kernel} are one file")
    outcome = run("echo new >/etc/config", *copy_in("tree/long", "/etc/config"), *copy_out("/etc/config", "tree/long"))
    check_status(outcome, OK)
    check(host.get("/work/tree/long") == b"new\n", "what was copied in is copied out", outcome)


@case
def standard_output_takes_a_file():
    outcome = run("echo out; echo file >/f", *["--copy-out", "/f:/dev/stdout"])
    check_status(outcome, OK)
    check(outcome.out == b"out\nfile\n", "stdout", outcome)


@case
def impossible_requests_are_refused_before_the_boot():
    def refused(words, *options):
        outcome = run("true", *options, root=True)
        check_status(outcome, FAILED)
        check_match(outcome, rf"^mayfly: {words}")

    refused(r"open --copy-in: .*/work/nothing: No such file or directory", *copy_in("nothing", "/x"))
    refused(r"--copy-in one:/a:ro: /a:ro has a colon", "--copy-in", "one:/a:ro")
    refused(r"--copy-in: .* copies a directory onto /etc/config, which is not a directory",
            *copy_in("tree", "/etc/config"))
    refused(r"--copy-in: /etc/config: is not a directory", *copy_in("tree/one", "/etc/config/x"))
    refused(r"--copy-in: /dev/x: the guest's kernel makes /dev", *copy_in("tree/one", "/dev/x"))
    refused(r"--copy-in: /a/../b: '..' leads nowhere", *copy_in("tree/one", "/a/../b"))
    refused(r"--copy-in x: does not name a place in the guest", "--copy-in", "x")
    refused(r"open --copy-out: .*/work/nowhere: No such file", *copy_out("/x", "nowhere/x"))
    refused(r"--copy-out x:y: does not name an absolute path", "--copy-out", "x:y")


main()
