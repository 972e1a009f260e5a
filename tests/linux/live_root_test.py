# SPDX-License-Identifier: Apache-2.0
"""Directories of the host in a guest of --exec, with Debian's kernels: as its root, which is changed only where that
is asked for, and at places in it."""
from harness import FAILED, OK, case, check, check_match, check_out, check_status, linux_host, main
from guests import image

BOOT_SECONDS = 300
VERSIONS = ("6.1", "6.12")
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n"

# Contents, not the files of this machine: a link that leads out of a share leads nowhere in the guest.
with open(image.find_busybox(), "rb") as _file:
    busybox = _file.read()
host = linux_host(
    kernels=["6.1/bzImage", "6.1/modules", "6.12/vmlinux", "6.12/modules"],
    files={
        "/work/busybox": busybox,
        "/work/root/bin/busybox": busybox,
        "/work/root/etc/passwd": PASSWD,
        "/work/root/etc/config": b"the root's\n",
        "/work/root/usr/share/kept": b"kept\n",
        "/work/tree/one": b"one\n",
        "/work/tree/sub/two": b"two\n",
    },
)
SET_UP = """chmod 755 busybox root/bin/busybox && ln -s busybox root/bin/sh && ln -s usr/share root/share
mkdir root/old root/proc root/sys root/dev && echo old >root/old/file"""


def shell(command):
    outcome = host.run(command)
    check_status(outcome, OK)
    return outcome.out.decode()


shell(SET_UP)


def kernel_path(version):
    return host.path("/kernels/6.1/bzImage" if version == "6.1" else "/kernels/6.12/vmlinux")


def run(command, *options, root="root,live", version="6.12", program=("sh",), modules=True):
    """A line of shell in a guest with a live root, whose commands are busybox's."""
    words = ["--root", host.path("/work/" + root), *options]
    if modules:
        words += ["--modules", host.path(f"/kernels/{version}/modules")]
    arguments = [*program[1:], "-c", command]
    return host.mayfly("boot", kernel_path(version), *words, "--exec", program[0], "--", *arguments, timeout=BOOT_SECONDS)


def share(name, place, *words):
    return ["--share", ",".join([f"{host.path('/work/' + name)}:{place}", *words])]


def everything(directory):
    """Names, types, modes, times and contents."""
    listing = f"cd {directory} && find . -exec stat -c '%n %F %a %u %Y %Z' {{}} + | sort"
    return shell(f"{listing}; find . -type f -exec md5sum {{}} + | sort")


@case
def a_live_root_is_the_directory_and_stays_as_it_is():
    before = everything("root")
    command = """cat /etc/config /share/kept; echo mine >/etc/config && cat /etc/config
mv old new && cat new/file && rm -r usr && ls -d usr 2>/dev/null; mkdir -p a/b && ls a
stat -c '%a %u' /; stat -c %a /tmp; touch /tmp/x /run/x /dev/shm/x
ls -d /proc/self /sys/class /dev/null; hostname; exit 3"""
    for version in VERSIONS:
        outcome = run(command, "--hostname", "alive", version=version)
        check_status(outcome, 3)
        expected = b"the root's\nkept\nmine\nold\nb\n755 0\n1777\n/dev/null\n/proc/self\n/sys/class\nalive\n"
        check_out(outcome, expected)
        check(outcome.err == "", f"{version}: stderr", outcome)
    check(everything("root") == before, "the directory has changed")


@case
def a_live_root_may_be_larger_than_the_guests_memory():
    shell("truncate -s 2G root/large && printf end >>root/large")
    try:
        outcome = run("tail -c 3 /large; stat -c %s /large", "--memory", "96M")
    finally:
        shell("rm root/large")
    check_status(outcome, OK)
    check_out(outcome, b"end%d\n" % ((2 << 30) + 3))


@case
def copies_in_lie_over_a_live_root_and_copies_out_come_from_there():
    before = everything("root")
    options = []
    for name, place in (("tree", "/share"), ("tree/one", "/etc/config"), ("tree/one", "/tmp/new/"), ("tree/", "/old")):
        options += ["--copy-in", f"{host.path('/work/' + name)}:{place}"]
    options += ["--copy-out", f"/usr/share/:{host.path('/work/out/')}", "--user", "ann", "--workdir", "/made/here"]
    shell("mkdir -p out")
    command = """pwd; id -u; cat /usr/share/kept /usr/share/one /share/sub/two /etc/config /tmp/new/one
ls /old; readlink /share; stat -c '%u %a' /usr/share/one /usr/share /tmp; echo $HOME $KEY; echo mine >/usr/share/sub/mine"""
    outcome = run(command, "--env", "KEY=value", *options)
    check_status(outcome, OK)
    check_out(outcome, b"/made/here\n1000\nkept\none\ntwo\none\none\nfile\none\nsub\nusr/share\n"
                       b"1000 644\n0 755\n0 1777\n/home/ann value\n")
    check(shell("cat out/kept out/one out/sub/mine") == "kept\none\nmine\n", "what came out")
    check(everything("root") == before, "the directory has changed")


@case
def a_root_that_is_written_has_what_the_program_made_and_nothing_of_inits():
    shell("cp -a root written")
    try:
        for version in VERSIONS:
            names = shell("cd written && find . | sort")
            made_in = f"/in-{version}"
            command = f"echo mine >/etc/config; mkdir {made_in}; echo made >{made_in}/file; mv /old /moved && mv /moved /old"
            outcome = run(command, root="written,live,rw", version=version)
            check_status(outcome, OK)
            check(outcome.err == "", f"{version}: stderr", outcome)
            made = [f".{made_in}", f".{made_in}/file"]
            check(shell("cd written && find . | sort").split() == sorted(names.split() + made), "the names")
            check(shell(f"cat written/etc/config written{made_in}/file") == "mine\nmade\n", "the contents")
    finally:
        shell("rm -r written")


@case
def mounts_in_a_live_root_are_visible():
    shell("mkdir root/sub && mount -t tmpfs sub root/sub && echo mounted >root/sub/file")
    try:
        for root in ("root,live", "root,live,rw"):
            outcome = run("cat /sub/file; echo more >/sub/more; cat /sub/more", root=root)
            check_status(outcome, OK)
            check_out(outcome, b"mounted\nmore\n")
        check(shell("ls root/sub") == "file\nmore\n", "what was written")
        # That of a running system, whose /proc and /dev are mounts.
        if host.is_lab:
            command = "ls -d /work/root /proc/self /dev/.mayfly; echo x >/etc/passwd && echo written"
            outcome = run(command, root="../,live", program=("/bin/busybox", "sh"))
            check_status(outcome, OK)
            check_out(outcome, b"/dev/.mayfly\n/proc/self\n/work/root\nwritten\n")
    finally:
        shell("umount root/sub && rmdir root/sub")


@case
def a_program_of_this_host_runs_with_a_live_root():
    before = everything("root")
    for root in ("root,live", "root,live,rw"):
        outcome = run("cat /etc/config; readlink /proc/$$/exe", root=root, program=("./busybox", "sh"))
        check_status(outcome, OK)
        check_out(outcome, b"the root's\n/dev/.mayfly/bin/busybox\n")
    check(everything("root") == before, "the directory has changed")


@case
def shares_are_mounted_in_their_order_and_read_only_ones_take_nothing():
    shell("mkdir -p outer/inner && echo outer >outer/file && echo hidden >outer/inner/hidden")
    options = [*share("outer", "/srv/a place"), *share("tree", "/srv/a place/inner", "ro")]
    command = """cd '/srv/a place' && cat file inner/one; ls inner; echo x >inner/x; echo y >y
grep -c virtiofs /proc/mounts; stat -c %a /srv"""
    for version in VERSIONS:
        for root in ("root,live", "root"):
            outcome = run(command, *options, root=root, version=version)
            check_status(outcome, OK)
            check_out(outcome, b"outer\none\none\nsub\n2\n755\n")
            check_match(outcome, r"(?m)^sh: can't create inner/x: Read-only file system$")
            check(shell("cat outer/y; rm outer/y; ls tree") == "y\none\nsub\n", "what was written")


@case
def a_failed_mount_ends_the_guest_with_a_line():
    outcome = run("true", *share("tree", "/mnt", "ro"), *share("root", "/mnt/none", "tag=second"))
    check_status(outcome, FAILED)
    check_match(outcome, r"(?m)^mayfly: init: cannot mount the host's directory second at /mnt/none: "
                         r"the directory does not exist, and cannot be made$")
    check_match(outcome, r"(?m)^mayfly: .*could not mount a directory of the host")


@case
def a_kernel_without_the_modules_is_refused_before_the_boot():
    def refused(words, version, *options, root="root"):
        outcome = run("true", *options, root=root, version=version, modules=False)
        check_status(outcome, FAILED)
        check_match(outcome, rf"^mayfly: {words} as a module, if at all \(--modules auto, or --modules DIR\)$")

    refused(r"--share .*/work/tree: this kernel has virtiofs", "6.1", *share("tree", "/mnt"))
    refused(r"--root .*/work/root: this kernel has virtiofs", "6.1", root="root,live,rw")
    refused(r"--root .*/work/root: this kernel has overlay", "6.12", root="root,live")
    # Which this kernel has built in.
    outcome = run("cat /mnt/one", *share("tree", "/mnt"), root="root,live,rw", modules=False)
    shell("rmdir root/mnt")
    check_status(outcome, OK)
    check_out(outcome, b"one\n")


@case
def impossible_requests_are_refused_before_the_boot():
    def refused(words, *options, root="root,live"):
        outcome = run("true", *options, root=root)
        check_status(outcome, FAILED)
        check_match(outcome, rf"^mayfly: {words}")

    refused(r"--root .*/work/root,rw: ,rw is for a live root", root="root,rw")
    refused(r"--root: 'life' is not known", root="root,life")
    refused(r"--copy-in .*:/x: would change .*/work/root", "--copy-in", f"{host.path('/work/tree')}:/x", root="root,live,rw")
    refused(r".*/work/tree: has no directory proc", root="tree,live,rw")
    refused(r"--share tag=root: is the tag of --root", *share("tree", "/mnt", "tag=root"))
    outcome = run("true", root="nowhere,live")
    check_status(outcome, FAILED)


main()
