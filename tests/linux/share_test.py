# SPDX-License-Identifier: Apache-2.0
"""--share with Debian's kernels: a directory of the host is a file system of the guest's like any other, what
either side changes the other sees, and nothing but that directory is touched.

share_probe asks the guest's side a case at a time (share_probe/main.cc has what it says). With
$MAYFLY_SHARE_PEER=virtiofsd it asks QEMU and virtiofsd: share_guest.py.
"""
import atexit
import re
import tempfile

from harness import FAILED, OK, TIMEOUT, case, check, check_match, check_status, main, skip
from share_guest import PEER, Guests, look_at, program, race

MIB = 1 << 20
# The time that a guest may go on with what it knows is a second.
CACHED_SECONDS = 2
RACE_SECONDS = 15
PROGRAMS = {name: program(name) for name in ("share_probe", "share_hammer", "share_swap")}

_directory = tempfile.TemporaryDirectory(prefix="mayfly-share-")  # pylint: disable=consider-using-with
atexit.register(_directory.cleanup)
guests = Guests(_directory.name, programs=PROGRAMS, versions=("6.12", "6.1"))
host, shell = guests.host, guests.shell


def fresh(name):
    return guests.fresh(name)


def ours_only(reason):
    if PEER != "mayfly":
        skip(f"virtiofsd: {reason}")


# A file system like any other.

def check_probe(name, *, missing=(), without=(), **more):
    """Every case of share_probe is "ok", but for those that the guest's kernel cannot have, which are then
    "unsupported"; `without` those that take too long."""
    directory = fresh(f"probe-{name}")
    expected = [name for name in shell("/work/root/bin/share_probe --list").split() if name not in without]
    outcome = guests.run(" ".join(["share_probe /mnt", *expected]), directory, **more)
    said = dict(re.findall(r"(?m)^(\w+): (.*)$", outcome.out.decode(errors="replace")))
    check(list(said) == expected, f"not every case was run: {sorted(set(expected) - set(said))}", outcome)
    wrong = [f"{case}: {found}" for case, found in said.items()
             if (found != "ok" if case not in missing else not found.startswith("unsupported"))]  # fmt: skip
    check(not wrong, "\n  ".join([f"{len(wrong)} of {len(said)} cases:", *wrong]))
    return directory


# Linux 6.12, fs/fuse/inode.c: times of birth come by FUSE_STATX, which 6.6 is the first to have.
MISSING_IN_6_1 = ("birth",)
# Cases of thousands of files.
MANY = ("changed_while_listed", "listing", "many_open")


@case
def a_guest_of_6_12_finds_a_file_system_like_any_other_and_the_host_what_it_made():
    made = check_probe("6.12")
    found = shell(f"cd {made} && stat -c '%u:%g %a %F' made_by_users/file made_by_users/directory"
                  " made_by_users/link setgid_directories/shared/file devices/block pipes/pipe sockets/socket"
                  " odd_names/-rf"
                  " && stat -c '%t:%T' devices/zero && cat renames/b soft_links/link && ls odd_names | wc -l"
                  " && readlink soft_links/status")  # fmt: skip
    expected = ["1000:1001 600 regular file", "1000:1001 755 directory", "1000:1001 777 symbolic link",
                "1000:2000 644 regular empty file", "0:0 600 block special file", "0:0 640 fifo",
                "0:0 755 socket", "0:0 644 regular file", "1:5"]  # fmt: skip
    lines = found.splitlines()
    check(lines[:9] == expected, f"the host finds {lines[:9]}")
    check(lines[9].startswith("afile") and lines[-1] == "/proc/self/status", f"the host finds {lines[9:]}")


@case
def so_does_a_guest_of_6_1():
    ours_only("as of 6.12")
    check_probe("6.1", version="6.1", missing=MISSING_IN_6_1)


@case
def so_does_one_that_believes_nothing_it_has_seen():
    check_probe("never", share_options=",cache=never", without=MANY)


@case
def so_does_one_that_believes_everything():
    ours_only("as with auto")
    check_probe("always", share_options=",cache=always", without=MANY)


@case
def two_processors_work_in_one_directory_at_once():
    directory = fresh("both")
    one = ("work() { mkdir $1 && cd $1 && for i in $(seq 40); do echo $1 $i >f$i; mv f$i g$i; ln g$i h$i;"
           " done; cat g* h* | sort | md5sum; rm h*; cd ..; }; cd /mnt;")  # fmt: skip
    outcome = guests.run(one + "for n in a b c d; do (work $n >$n.sum) & done; wait; cat *.sum | wc -l; sync",
                         directory, "--cpus", "2")  # fmt: skip
    check_status(outcome, OK)
    for name in "abcd":
        made = f"for i in $(seq 40); do echo {name} $i; echo {name} $i; done | sort | md5sum"
        sums = shell(f"cd {directory} && cat {name}.sum && {made} && ls {name} | wc -l")
        first, second, count = sums.splitlines()
        check(first == second and count == "40", f"{name}: {sums}", outcome)


@case
def a_tree_that_is_copied_there_and_back_is_the_same():
    directory = fresh("trees")
    shell(f"cd {directory} && mkdir -p in/sub/empty && cp -a /usr/bin/busybox in/tool &&"
          " ln -s ../tool in/sub/link && dd if=/dev/urandom of=in/random bs=1M count=20 2>/dev/null &&"
          " for i in $(seq 500); do"
          " mkdir -p in/many/$((i % 20)) && echo $i >in/many/$((i % 20))/$i; done; chmod 750 in/sub/empty"
          " && chown 12:34 in/random && touch -d @1000000000 in/tool in/many")  # fmt: skip
    outcome = guests.run("cp -a /mnt/in /tmp/there && cp -a /tmp/there /mnt/out", directory)
    check_status(outcome, OK)
    # busybox gives a link another time, and a directory one more than another.
    about = "find . -type f -exec stat -c '%n %F %s %a %u:%g %Y %h' {} + | sort"
    shell(f"cd {directory} && diff -r in out && (cd in && {about}) >/tmp/in && (cd out && {about}) >/tmp/out"
          " && diff /tmp/in /tmp/out && readlink out/sub/link")  # fmt: skip


# What one side changes, the other sees.

class Steps:
    """A guest that goes through parts of a script, and waits for the host between them."""

    def __init__(self, directory, *parts, **more):
        command = "; echo; echo STEP; read line; ".join([*parts, "true"])
        self._process = guests.start(command, directory, **more)
        self._seen = 0

    def next(self):
        """What the guest has said until it waited. It goes on at go()."""
        pattern = rb"(?s)(?:.*?STEP\r?\n){%d}" % (self._seen + 1)
        if self._process.wait_for_output(pattern, timeout=300) is None:
            check(False, f"the guest does not come to step {self._seen}", guests.end(self._process, 1))
        self._seen += 1
        said = self._process.output().replace(b"\r", b"").split(b"STEP\n")
        return said[self._seen - 1].decode(errors="replace").split()

    def go(self):
        self._process.write(b"go\n")

    def end(self):
        self.go()
        outcome = guests.end(self._process)
        check_status(outcome, OK)
        return outcome


LOOK = ("cat /mnt/word; stat -c %s /mnt/grown; ls /mnt/list | wc -l; cat /mnt/moved; stat -c %a /mnt/mode;"
        " ls /mnt/gone")  # fmt: skip


def check_seen(cache, seconds):
    directory = fresh("seen")
    shell(f"cd {directory} && echo old >word && echo 1 >grown && mkdir list && touch list/a &&"
          " echo before >moved && touch mode gone && chmod 600 mode")  # fmt: skip
    change = "echo by-the-guest >/mnt/answer; mkdir /mnt/list/theirs; rm /mnt/word"
    again = f"sleep {seconds}; {LOOK} 2>&1; {change}"
    steps = Steps(directory, LOOK, again, share_options=cache)
    first = steps.next()
    check(first == ["old", "2", "1", "before", "600", "/mnt/gone"], f"at first {first}")
    shell(f"cd {directory} && echo new >word && echo 123456 >>grown && touch list/b list/c &&"
          " echo after >other && mv other moved && chmod 640 mode && rm gone")  # fmt: skip
    steps.go()
    second = steps.next()
    check(second[:5] == ["new", "9", "3", "after", "640"] and "No" in second, f"then {second}")
    # The guest still runs: its changes are the host's at once.
    found = shell(f"cd {directory} && cat answer && ls list && ls").split()
    expected = ["by-the-guest", "a", "b", "c", "theirs", "answer", "grown", "list", "mode", "moved"]
    check(found == expected, f"the host finds {found}")
    steps.end()


@case
def what_the_host_changes_the_guest_sees_after_the_time_of_its_cache_and_the_other_way_at_once():
    check_seen("", CACHED_SECONDS)


@case
def without_a_cache_it_sees_it_at_once():
    check_seen(",cache=never", 0)


@case
def a_file_that_the_host_replaces_or_deletes_is_never_taken_for_another():
    directory = fresh("replaced")
    shell(f"cd {directory} && for i in $(seq 40); do echo first $i >f$i; done")
    # After the host has deleted files, and made others that get their inodes' numbers.
    look = "for i in $(seq 40); do read a b </mnt/f$i && echo $a.$b; done 2>/dev/null"
    held = "exec 5</mnt/f1 6</mnt/f2"
    steps = Steps(directory, f"{look}; {held}", f"{look}; cat <&5; cat <&6", f"sleep 2; {look}; cat <&5")
    first = steps.next()
    check(first == [f"first.{i}" for i in range(1, 41)], f"at first {first}")
    shell(f"cd {directory} && echo replaced 1 >new && mv new f1 && rm f2 && for i in $(seq 3 40); do rm f$i;"
          " done; for i in $(seq 60); do echo wrong $i >g$i; done; echo replaced 3 >f3")  # fmt: skip
    steps.go()
    second = steps.next()
    allowed = [{f"first.{i}"} for i in range(41)]
    allowed[1].add("replaced.1")
    allowed[3].add("replaced.3")
    names = [word for word in second if "." in word]
    check(all(word in allowed[int(word.partition(".")[2])] for word in names), f"then {names}")
    check(second[-4:] == ["first", "1", "first", "2"], f"what is open: {second[-4:]}")
    steps.go()
    check(steps.next() == ["replaced.1", "replaced.3"], "after the time of the cache")
    steps.end()


@case
def a_directory_that_disappears_ends_nothing_but_itself():
    directory = fresh("gone")
    shell(f"echo here >{directory}/file && mkdir {directory}/below")
    look = ("sleep 2; cat /mnt/file; ls /mnt; echo x >/mnt/new; mkdir /mnt/more; ls .; df /mnt >/dev/null;"
            " echo on")  # fmt: skip
    steps = Steps(directory, "cat /mnt/file; cd /mnt/below", look)
    check(steps.next() == ["here"], "at first")
    shell(f"rm -rf {directory} && mkdir {directory} && echo another >{directory}/file")
    steps.go()
    said = steps.next()
    check(said[-1] == "on" and "another" not in said, f"then {said}")
    outcome = steps.end()
    check("No such file or directory" in outcome.err + outcome.out.decode(), "another error", outcome)
    left = shell(f"ls {directory} && cat {directory}/file")
    check(left == "file\nanother\n", f"the new directory is touched: {left}")


# Limits, and what must not be.

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
        # Whoever writes there stays until then: a call of the kernel's that no signal ends.
        shell("fsfreeze --unfreeze /frozen")
    outcome = process.wait(100)
    check(told is not None and b"done" not in outcome.out, "the timeout is not told", outcome)
    check_status(outcome, TIMEOUT)
    shell("umount /frozen")


@case
def what_cannot_be_shared_is_refused_before_a_guest_starts():
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
