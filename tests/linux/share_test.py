# SPDX-License-Identifier: Apache-2.0
"""--share with Debian's kernels: a directory of the host is a file system of the guest's like any other, what
either side changes the other sees. What must not be is in share_limits_test.py.

share_probe asks the guest's side a case at a time (share_probe/main.cc has what it says). With
$MAYFLY_SHARE_PEER=virtiofsd it asks QEMU and virtiofsd: share_guest.py.
"""
import atexit
import re
import tempfile

from harness import OK, case, check, check_status, main
from share_guest import Guests, ours_only, program

# The time that a guest may go on with what it knows is a second.
CACHED_SECONDS = 2

_directory = tempfile.TemporaryDirectory(prefix="mayfly-share-")  # pylint: disable=consider-using-with
atexit.register(_directory.cleanup)
guests = Guests(_directory.name, programs={"share_probe": program("share_probe")}, versions=("6.12", "6.1"))
shell, fresh = guests.shell, guests.fresh


# A file system like any other.

def check_probe(name, *, missing=(), without=(), **more):
    """Every case of share_probe is "ok", except those that the guest's kernel lacks, which are then
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
def a_guest_of_6_1_finds_a_file_system_like_any_other():
    ours_only("as of 6.12")
    check_probe("6.1", version="6.1", missing=MISSING_IN_6_1)


@case
def a_guest_without_a_cache_finds_a_file_system_like_any_other():
    check_probe("never", share_options=",cache=never", without=MANY)


@case
def a_guest_that_always_caches_finds_a_file_system_like_any_other():
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


# Each side sees the other's changes.

class Steps:
    """A guest that goes through parts of a script, and waits for the host between them."""

    def __init__(self, directory, *parts, **more):
        command = "; echo; echo STEP; read line; ".join([*parts, "true"])
        self._process = guests.start(command, directory, **more)
        self._seen = 0

    def next(self):
        """The guest's output until it waited. It goes on at go()."""
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
def without_a_cache_the_guest_sees_changes_at_once():
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


if __name__ == "__main__":
    main()
