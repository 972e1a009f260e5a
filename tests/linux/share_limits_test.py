# SPDX-License-Identifier: Apache-2.0
"""--share and what it must not do: what leads outside, limits of the host's file systems, users who may do
less, a host that changes what names mean. Debian's 6.12 as the guest; share_guest.py has the yardstick.
"""
import atexit
import tempfile

from harness import FAILED, OK, TIMEOUT, case, check, check_status, main
from share_guest import Guests, look_at, ours_only, program, race

MIB = 1 << 20
RACE_SECONDS = 15
PROGRAMS = {name: program(name) for name in ("share_hammer", "share_swap")}

_directory = tempfile.TemporaryDirectory(prefix="mayfly-share-")  # pylint: disable=consider-using-with
atexit.register(_directory.cleanup)
guests = Guests(_directory.name, programs=PROGRAMS, tools=("mkfs.ext4", "setquota"))
host, shell, fresh = guests.host, guests.shell, guests.fresh


CHANGES = (
    "echo x >/mnt/new", "echo x >>/mnt/file", ": >/mnt/file", "rm /mnt/file", "mkdir /mnt/d",
    "rmdir /mnt/empty", "mv /mnt/file /mnt/file2", "ln /mnt/file /mnt/hard", "ln -s x /mnt/soft",
    "mkfifo /mnt/pipe", "touch /mnt/file", "chmod 777 /mnt/file", "chown 1:1 /mnt/file",
    "truncate -s 1 /mnt/file", "mknod /mnt/null c 1 3",
    "dd if=/dev/zero of=/mnt/file bs=1 conv=notrunc count=1", "fallocate -l 9999 /mnt/file",
)  # fmt: skip


@case
def a_read_only_share_refuses_every_change_also_of_a_guest_that_mounts_it_otherwise():
    ours_only("of QEMU 7.2 has no such thing")
    directory = fresh("read-only")
    shell(f"cd {directory} && echo file >file && mkdir empty && chmod 666 file &&"
          " touch -d @1000000000 file empty")  # fmt: skip
    before = look_at(guests, directory, is_read=True)
    each = "; ".join(f"({change}) 2>&1 | sed 's/.*: //'" for change in CHANGES)
    again = ("; umount /mnt && mount -t virtiofs -o rw share0 /mnt && grep -c 'virtiofs rw' /proc/mounts"
             " && echo AGAIN; ")  # fmt: skip
    outcome = guests.run(f"cat /mnt/file; {each}{again}{each}", directory, share_options=",ro")
    lines = outcome.out.decode().splitlines()
    refused = ["Read-only file system"] * len(CHANGES)
    check(lines == ["file", *refused, "1", "AGAIN", *refused], "not every change is refused", outcome)
    check(look_at(guests, directory, is_read=True) == before, "the host's files have changed")


@case
def links_that_lead_outside_are_resolved_in_the_guest():
    directory = fresh("links")
    shell(f"mkdir -p /share/outside && echo SECRET >/share/outside/secret && cd {directory} &&"
          " ln -s /share/outside/secret absolute && ln -s ../outside/secret relative &&"
          " ln -s /share/outside directory && ln -s /etc/passwd passwd && echo HOST >>/etc/passwd &&"
          " mkdir a && ln -s ../../../../../../etc/passwd a/up")  # fmt: skip
    before = look_at(guests, "/share/outside")
    outcome = guests.run("cd /mnt; cat absolute relative directory/secret; ls directory;"
                         " echo x >directory/new; echo x >absolute; cat ../share/outside/secret;"
                         " cat passwd a/up; readlink absolute",
                         directory)  # fmt: skip
    said = outcome.out + outcome.err.encode()
    check(b"SECRET" not in said and b"HOST" not in said, "the host's files are read", outcome)
    check(b"/share/outside/secret" in outcome.out, "readlink", outcome)
    check(look_at(guests, "/share/outside") == before, "what lies outside has changed")


@case
def the_directory_may_be_given_by_a_link_and_two_may_be_shared():
    ours_only("has one")
    first, second = fresh("first"), fresh("second")
    shell(f"echo one >{first}/file; echo two >{second}/file; ln -sfn {first} /share/link")
    options = ["--share", f"{second}:/srv/deep/place,ro,tag=other"]
    outcome = guests.run("cat /mnt/file /srv/deep/place/file; grep virtiofs /proc/mounts;"
                         " echo x >/srv/deep/place/x || echo back >/mnt/back",
                         "/share/link", *options)  # fmt: skip
    check_status(outcome, OK)
    lines = outcome.out.decode().splitlines()
    check(lines[:2] == ["one", "two"], "contents", outcome)
    check(lines[2].startswith("share0 /mnt virtiofs rw"), "the first", outcome)
    check(lines[3].startswith("other /srv/deep/place virtiofs ro"), "the second", outcome)
    check(shell(f"cat {first}/back; ls {second}") == "back\nfile\n", "what came back")


@case
def every_file_is_the_owners_who_is_given():
    ours_only("has no such thing")
    directory = fresh("owner")
    shell(f"cd {directory} && echo a >theirs && chown 1234:4321 theirs && mkdir d && chmod 700 d")
    look = "stat -c '%u:%g %a %n' theirs d made made/f"
    outcome = guests.run(f"cd /mnt; mkdir made; echo x >made/f; echo y >>theirs; {look}", directory,
                         share_options=",owner=77:88")  # fmt: skip
    check_status(outcome, OK)
    found = outcome.out.decode().splitlines()
    expected = ["77:88 644 theirs", "77:88 700 d", "77:88 755 made", "77:88 644 made/f"]
    check(found == expected, f"the guest finds {found}", outcome)
    kept = shell(f"cd {directory} && {look}; cat theirs").split("\n")
    check(kept[0] == "1234:4321 644 theirs" and kept[2:4] == ["0:0 755 made", "0:0 644 made/f"], f"{kept}")


@case
def a_full_file_system_is_enospc_and_nothing_worse():
    shell("mkdir -p /small && mount -t tmpfs -o size=1M,nr_inodes=40 small /small && echo kept >/small/kept")
    try:
        outcome = guests.run("cd /mnt; dd if=/dev/zero of=big bs=64k count=32 2>&1 | grep -o 'No space.*';"
                             " stat -c %s big; cat kept; rm big; for i in $(seq 60); do echo >f$i; done"
                             " 2>&1 | grep -c 'No space'; ls | wc -l; rm f*; echo again >again; cat again",
                             "/small")  # fmt: skip
        lines = outcome.out.decode().splitlines()
        check(lines[0] == "No space left on device" and int(lines[1]) <= MIB, "a large file", outcome)
        check(lines[2] == "kept" and int(lines[3]) > 20 and lines[5] == "again", "many files", outcome)
        check(shell("cat /small/kept /small/again") == "kept\nagain\n", "the host's")
    finally:
        shell("umount /small")


@case
def quotas_of_users_hold_where_mayfly_is_root():
    ours_only("has no --user here")
    shell("modprobe quota_v2; truncate -s 64M /share/quota.img && mkfs.ext4 -q -O quota"
          " -E quotatype=usrquota /share/quota.img && mkdir -p /quota && mount -o loop,usrquota"
          " /share/quota.img /quota && mkdir -m 777 /quota/all && setquota -u 1000 0 1024 0 20 /quota")
    try:
        large = "dd if=/dev/zero of=large bs=64k count=4096 2>&1 | sed -n 's/.*: //p'; stat -c %s large; "
        many = "rm large; for i in $(seq 40); do echo >f$i; done 2>&1 | grep -c 'quota exceeded'; ls | wc -l; rm f*"
        outcome = guests.run(f"cd /mnt; {large}{many}; {large}", "/quota/all", "--user", "1000:1000")
        lines = outcome.out.decode().splitlines()
        check(lines[0] == lines[4] == "Disk quota exceeded", "a large file", outcome)
        check(0 < int(lines[1]) <= MIB and lines[1] == lines[5], "its size", outcome)
        check(lines[2:4] == ["20", "20"], "many files", outcome)
    finally:
        shell("umount /quota; rm /share/quota.img")


@case
def the_guest_of_an_ordinary_user_may_do_what_that_user_may():
    ours_only("is root's")
    directory = fresh("ordinary")
    shell(f"grep -q tester /etc/passwd || echo tester:x:1000:1000::/:/bin/sh >>/etc/passwd; chmod 666 /dev/kvm;"
          f" cd {directory} && chown 1000:1000 . && echo theirs >theirs && echo secret >secret &&"
          " chmod 600 secret && echo mine >mine && chown 1000:1000 mine")  # fmt: skip
    changes = ("echo changed >mine; echo made >made; mkdir -p d/e; ln -s made soft; ln made hard; mkfifo pipe;"
               " chmod 4755 made; echo x >theirs; cat secret; mknod device c 1 3; chown 1000:1000 made;"
               " mv mine moved; cat moved hard theirs; rm hard")  # fmt: skip
    command = f"cd /mnt; ({changes}) 2>&1; stat -c '%u:%g %a %n' theirs secret moved made d pipe"
    words = ("--memory 512M --modules /kernels/6.12/modules --root /work/root --exec sh"
             f" --share {directory}:/mnt -- -c \"{command}\"")  # fmt: skip
    line = f"exec mayfly boot /kernels/6.12/vmlinux {words}"
    outcome = host.run(["su", "-s", "/bin/sh", "tester", "-c", line], timeout=300)
    check_status(outcome, OK)
    denied = ["sh: can't create theirs: Permission denied", "cat: can't open 'secret': Permission denied",
              "mknod: device: Operation not permitted", "chown: made: Operation not permitted"]  # fmt: skip
    read = ["changed", "made", "theirs"]
    # All files are root's there, and what is made is the user's here.
    modes = ["644 theirs", "600 secret", "644 moved", "4755 made", "755 d", "644 pipe"]
    check(outcome.out.decode().splitlines() == [*denied, *read, *(f"0:0 {mode}" for mode in modes)],
          "the guest's view", outcome)  # fmt: skip
    found = shell(f"cd {directory} && cat theirs && stat -c '%u:%g %a %F %n' theirs secret moved made d/e soft pipe")
    expected = ["theirs", "0:0 644 regular file theirs", "0:0 600 regular file secret"]
    expected += [f"1000:1000 {kind}" for kind in (
        "644 regular file moved", "4755 regular file made", "755 directory d/e", "777 symbolic link soft",
        "644 fifo pipe")]  # fmt: skip
    check(found.splitlines() == expected, f"the host finds {found}")


@case
def fifty_thousand_files_need_no_more_descriptors_than_there_are():
    ours_only("raises its limit, as root")
    directory = fresh("many")
    made = "for d in $(seq 100); do mkdir $d; (cd $d && seq 500 | xargs touch); done"
    shell(f"cd {directory} && {made}", timeout=600)
    command = ("cd /mnt; find . -type f | wc -l; ls -lR . | grep -c '^-rw'; echo end >100/500; cat 100/500;"
               " ls 1 | wc -l")  # fmt: skip
    line = (f"ulimit -n 1024; exec mayfly boot /kernels/6.12/vmlinux --memory 512M --share {directory}:/mnt"
            f" --modules /kernels/6.12/modules --root /work/root --exec sh -- -c '{command}'")  # fmt: skip
    outcome = host.run(["sh", "-c", line], timeout=900)
    check_status(outcome, OK)
    check(outcome.out.split() == [b"50000", b"50000", b"end", b"500"], "the guest's counts", outcome)
    check(outcome.err == "", "stderr", outcome)


@case
def a_host_whose_file_system_hangs_does_not_outlast_the_timeout():
    ours_only("has no timeout")
    shell("modprobe brd rd_nr=1 rd_size=65536; mke2fs /dev/ram0 >/dev/null 2>&1; mkdir -p /frozen"
          " && mount -t ext4 /dev/ram0 /frozen && fsfreeze --freeze /frozen")  # fmt: skip
    try:
        process = guests.start("echo begun; echo x >/mnt/file; echo done", "/frozen", "--timeout", "20")
        check(process.wait_for_output(rb"begun", timeout=200) is not None, "the guest does not begin")
        told = process.wait_for_output(rb"mayfly: .*20", timeout=100, is_error=True)
    finally:
        # A writer stays blocked until then: no signal ends its system call.
        shell("fsfreeze --unfreeze /frozen")
    outcome = process.wait(100)
    check(told is not None and b"done" not in outcome.out, "the timeout is not told", outcome)
    check_status(outcome, TIMEOUT)
    shell("umount /frozen")


@case
def impossible_shares_are_refused_before_a_guest_starts():
    ours_only("says other things")
    for share, why in (("/share/nothing", "/share/nothing"), ("/etc/passwd", "/etc/passwd")):
        outcome = guests.run("true", share)
        check_status(outcome, FAILED)
        check(outcome.err.startswith("mayfly: ") and why in outcome.err, "its reason", outcome)
    outcome = guests.run("true", fresh("twice"), "--share", "/share:/srv,tag=share0")
    check_status(outcome, FAILED)


# A host that swaps what names mean.

@case
def a_host_that_swaps_directories_for_links_leads_nobody_out():
    for cache in ("never", "auto"):
        race(guests, cache, RACE_SECONDS)


if __name__ == "__main__":
    main()
