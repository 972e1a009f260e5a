# SPDX-License-Identifier: Apache-2.0
"""A guest with a directory of its host at /mnt, under mayfly (--share) or under its yardstick, QEMU with
virtiofsd. Both run one command line of busybox's shell, and say how it ended. In the lab only.

$MAYFLY_SHARE_PEER=virtiofsd has a test program run with the yardstick, as far as it has what is asked for.
"""
import os
import re

from commands import Outcome
from harness import build_directory, check, check_status, kernel, linux_host, skip
from errors import Unavailable
from guests import busybox_initramfs, ext4_image, image

GUEST_SECONDS = 600
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
PEER = os.environ.get("MAYFLY_SHARE_PEER", "mayfly")
# Everything that virtiofsd can do and does not do by default. chroot: the lab's root is not a mount that
# pivot_root() can leave.
DAEMON = "virtiofsd --socket-path=/tmp/share.socket -o sandbox=chroot,xattr,posix_acl,modcaps=+sys_admin"
QEMU = ("while ! test -S /tmp/share.socket; do usleep 10000; done; exec qemu-system-x86_64 -accel kvm"
        " -cpu host -M microvm,pit=off,pic=off,rtc=off,isa-serial=on,pcie=on,memory-backend=m -nodefaults"
        " -no-user-config -nographic -no-reboot -serial stdio -m 512"
        " -object memory-backend-memfd,id=m,size=512M,share=on -chardev socket,id=c,path=/tmp/share.socket"
        " -device vhost-user-fs-pci,chardev=c,tag=share0")  # fmt: skip
INIT = """#!/bin/sh
mounts; load-modules
mount -t virtiofs share0 /mnt || poweroff -f
sh /command; echo "STATUS $?"
poweroff -f
"""
STATUS = re.compile(rb"STATUS (\d+)\n?$")


def program(name):
    """A static program of the tests: its path."""
    path = os.path.join(build_directory, "tests", "linux", name)
    if not os.path.exists(path):
        raise Unavailable(f"{path} is not built")
    return path


def ours_only(reason):
    """Skips a case under the yardstick."""
    if PEER != "mayfly":
        skip(f"virtiofsd: {reason}")


class Guests:
    """The host, with an ext4 file system at /share, and guests on it. `programs` are {name: path} of static
    programs that a guest and the host both have; `tools` the host alone has; `files`, {path below /work/root:
    path or bytes}, is what else is in a guest's root."""

    def __init__(self, directory, *, programs, files=None, versions=("6.12",), size="1G", tools=()):
        made = {f"/work/root/bin/{name}": path for name, path in programs.items()}
        contents = os.path.join(directory, "empty")
        os.mkdir(contents)
        disk = ext4_image(os.path.join(directory, "share"), contents, size)
        # Also in the root of the yardstick's guest.
        self._files = {name.removeprefix("/work/root/"): source for name, source in (files or {}).items()}
        self._programs, self._kernels = programs, {version: kernel(version) for version in versions}
        peer = ("qemu-system-x86_64", VIRTIOFSD) if PEER == "virtiofsd" else ()
        self.host = linux_host(
            kernels=[f"{version}/{part}" for version in versions for part in ("vmlinux", "modules")],
            files={"/work/root/bin/busybox": image.find_busybox(), **made, **(files or {})},
            disks={"share": disk}, tools=(*tools, *peer), needs_lab=True, memory="3G",
        )  # fmt: skip
        self.shell("chmod -R a+rx root && for n in sh mount umount which; do ln -s busybox root/bin/$n; done"
                   f" && mkdir -p /share && mount -t ext4 {self.host.path('share')} /share")

    def shell(self, command, timeout=300):
        """The output of a host's command, which must succeed."""
        outcome = self.host.run(["sh", "-c", command], timeout=timeout)
        check_status(outcome, 0)
        return outcome.out.decode(errors="surrogateescape")

    def fresh(self, name):
        """An empty directory to share."""
        self.shell(f"rm -rf /share/{name} && mkdir /share/{name}")
        return f"/share/{name}"

    def start(self, command, share, *options, version="6.12", share_options=""):
        """A guest with the host's directory `share` at /mnt: a commands.Command; see end()."""
        if PEER == "virtiofsd":
            return self._start_peer(command, share, version, share_options)
        return self.host.mayfly_popen(
            "boot", f"/kernels/{version}/vmlinux", "--memory", "512M", "--modules",
            f"/kernels/{version}/modules", "--share", f"{share}:/mnt{share_options}", *options,
            "--root", "/work/root", "--exec", "sh", "--", "-c", command,
        )  # fmt: skip

    def run(self, command, share, *options, timeout=GUEST_SECONDS, **more):
        return self.end(self.start(command, share, *options, **more), timeout)

    def end(self, process, timeout=GUEST_SECONDS):
        """The Outcome of a guest's command, under either monitor."""
        outcome = process.wait(timeout)
        if PEER != "virtiofsd":
            return outcome
        said = outcome.out.replace(b"\r", b"")
        found = STATUS.search(said)
        values = vars(outcome) | {"out": said[: found.start()] if found else said}
        return Outcome(**(values | {"status": int(found[1]) if found else outcome.status}))

    def _start_peer(self, command, share, version, share_options):
        files = {f"bin/{name}": path for name, path in self._programs.items()} | self._files
        for name, source in files.items():
            if not isinstance(source, bytes):
                with open(source, "rb") as file:
                    files[name] = file.read()
        modules = ["virtio_pci", "virtiofs"]
        initrd = busybox_initramfs(INIT, {**files, "command": command}, self._kernels[version], modules)
        self.host.put(initrd, "/tmp/initrd-peer")
        cache = {"never": "none"}.get(share_options.partition("cache=")[2].partition(",")[0], "auto")
        line = f"rm -f /tmp/share.socket; {DAEMON} -o cache={cache} -o source={share} 2>/tmp/virtiofsd.log &"
        line += f" {QEMU} -kernel /kernels/{version}/vmlinux -initrd /tmp/initrd-peer"
        line += " -append 'quiet console=ttyS0'"
        return self.host.popen(["sh", "-c", line])


def look_at(guests, directory, is_read=False):
    """All that a change of any file there would change, and unless they are read, that too."""
    look = "-exec stat -c '%n %F %s %a %u:%g %Y %Z %i %h' {} +"
    read = "" if is_read else f"find {directory} -type f -exec stat -c '%n %X' {{}} + | sort"
    return guests.shell(f"find {directory} {look} | sort; {read}")


SHAPE = "mkdir -p a/b/c; for d in . a a/b a/b/c; do for f in file plain; do {} >$d/$f; done; done;"


def race(guests, cache, seconds):
    """The guest does all that can be done by names, and the host swaps what they mean for links that lead out
    of the directory: nothing outside is read, and nothing there changes. The guest goes on."""
    directory = guests.fresh("race")
    guests.shell(f"cd {directory} && {SHAPE.format('echo inside')}")
    secret = SHAPE.format("(echo SECRET; head -c 31330 /dev/zero)")
    guests.shell(f"rm -rf /share/outside && mkdir /share/outside && cd /share/outside && {secret}"
                 " for d in . a a/b a/b/c; do touch $d/only-outside; done;"
                 " find . -type f -exec touch -d @1500000000 {} +;"
                 " find . -type f -exec touch -a -d @1400000000 {} +")  # fmt: skip
    before = look_at(guests, "/share/outside")
    swap = guests.host.popen(["/work/root/bin/share_swap", directory, "/share/outside", str(seconds + 60)])
    try:
        outcome = guests.run(f"share_hammer /mnt {seconds}", directory, "--timeout", str(seconds + 120),
                             timeout=seconds + 300, share_options=f",cache={cache}")  # fmt: skip
    finally:
        swap.kill()
        swap.wait(60)
    after = look_at(guests, "/share/outside")
    check(b"BREACH" not in outcome.out, "the guest has seen what lies outside", outcome)
    check_status(outcome, 0)
    did = rb"reads (\d+) writes (\d+) made (\d+) lists (\d+) changes (\d+) breaches 0"
    found = re.search(did, outcome.out)
    counts = [int(count) for count in found.groups()] if found else []
    check(counts and min(counts) > 0 and sum(counts) > 100, "it did nothing", outcome)
    check(after == before, f"what lies outside has changed:\n{before}\n{after}")
