# SPDX-License-Identifier: Apache-2.0
"""A guest with a directory of its host at /mnt, under mayfly (--share) or under its yardstick, QEMU with virtiofsd.
Both run one command line of busybox's shell, and say how it ended. In the lab only.

$MAYFLY_SHARE_PEER=virtiofsd has a test program run with the yardstick, as far as it has what is asked for.
"""
import os
import re

from commands import Outcome
from harness import build_directory, check_status, kernel, linux_host
from errors import Unavailable
from guests import busybox_initramfs, ext4_image, image

GUEST_SECONDS = 600
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
PEER = os.environ.get("MAYFLY_SHARE_PEER", "mayfly")
# All that virtiofsd can and does not do unless it is told. chroot: the lab's root is no mount that could be left.
DAEMON = "virtiofsd --socket-path=/tmp/share.socket -o sandbox=chroot,xattr,posix_acl,modcaps=+sys_admin"
QEMU = ("while ! test -S /tmp/share.socket; do usleep 10000; done; exec qemu-system-x86_64 -accel kvm -cpu host"
        " -M microvm,pit=off,pic=off,rtc=off,isa-serial=on,pcie=on,memory-backend=m -nodefaults -no-user-config"
        " -nographic -no-reboot -serial stdio -object memory-backend-memfd,id=m,size=512M,share=on -m 512"
        " -chardev socket,id=c,path=/tmp/share.socket -device vhost-user-fs-pci,chardev=c,tag=share0")  # fmt: skip
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


class Guests:
    """The host, with an ext4 file system at /share, and guests on it. `programs` are {name: path} of static programs
    that a guest and the host both have, and `files` what is on the host besides."""

    def __init__(self, directory, *, programs, files=None, versions=("6.12",), size="1G"):
        made = {f"/work/root/bin/{name}": path for name, path in programs.items()}
        contents = os.path.join(directory, "empty")
        os.mkdir(contents)
        disk = ext4_image(os.path.join(directory, "share"), contents, size)
        self._programs, self._kernels = programs, {version: kernel(version) for version in versions}
        tools = ["qemu-system-x86_64", VIRTIOFSD] if PEER == "virtiofsd" else []
        self.host = linux_host(
            kernels=[f"{version}/{part}" for version in versions for part in ("vmlinux", "modules")],
            files={"/work/root/bin/busybox": image.find_busybox(), **made, **(files or {})},
            disks={"share": disk}, tools=tools, needs_lab=True, memory="3G",
        )  # fmt: skip
        self.shell("chmod 755 root/bin/* && ln -s busybox root/bin/sh && mkdir -p /share &&"
                   f" mount -t ext4 {self.host.path('share')} /share")

    def shell(self, command, timeout=300):
        """What a command of the host's says; it succeeds."""
        outcome = self.host.run(["sh", "-c", command], timeout=timeout)
        check_status(outcome, 0)
        return outcome.out.decode(errors="surrogateescape")

    def start(self, command, share, *options, version="6.12", share_options=""):
        """A guest with the host's directory `share` at /mnt: a commands.Command; see end()."""
        if PEER == "virtiofsd":
            return self._start_peer(command, share, version, share_options)
        return self.host.mayfly_popen(
            "boot", self.host.path(f"/kernels/{version}/vmlinux"), "--memory", "512M", "--modules",
            self.host.path(f"/kernels/{version}/modules"), "--share", f"{share}:/mnt{share_options}", *options,
            "--root", "/work/root", "--exec", "sh", "--", "-c", command,
        )  # fmt: skip

    def run(self, command, share, *options, timeout=GUEST_SECONDS, **more):
        return self.end(self.start(command, share, *options, **more), timeout)

    def end(self, process, timeout=GUEST_SECONDS):
        """The Outcome of a guest's command, whoever ran it."""
        outcome = process.wait(timeout)
        if PEER != "virtiofsd":
            return outcome
        said = outcome.out.replace(b"\r", b"")
        found = STATUS.search(said)
        values = vars(outcome) | {"out": said[: found.start()] if found else said}
        return Outcome(**(values | {"status": int(found[1]) if found else outcome.status}))

    def _start_peer(self, command, share, version, share_options):
        programs = {}
        for name, path in self._programs.items():
            with open(path, "rb") as file:
                programs[f"bin/{name}"] = file.read()
        modules = ["virtio_pci", "virtiofs"]
        initrd = busybox_initramfs(INIT, {**programs, "command": command}, self._kernels[version], modules)
        self.host.put(initrd, "/tmp/initrd-peer")
        cache = {"never": "none"}.get(share_options.partition("cache=")[2].partition(",")[0], "auto")
        line = f"rm -f /tmp/share.socket; {DAEMON} -o cache={cache} -o source={share} 2>/tmp/virtiofsd.log & {QEMU}"
        line += f" -kernel /kernels/{version}/vmlinux -initrd /tmp/initrd-peer -append 'quiet console=ttyS0'"
        return self.host.popen(["sh", "-c", line])
