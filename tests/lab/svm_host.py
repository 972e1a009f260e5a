# SPDX-License-Identifier: Apache-2.0
"""A machine with AMD's SVM: what QEMU emulates without KVM."""
import os
import socket
import subprocess

from errors import LabError
from machine import Launch, Machine

QEMU = "qemu-system-x86_64"
BIOS = ("/usr/share/seabios/bios-256k.bin", "seabios")


class SvmHost(Machine):
    name = "svm"
    emulator = "QEMU"
    programs = {QEMU: "qemu-system-x86"}
    # QEMU 7.2, svm_helper.c: at each #VMEXIT do_vmexit() clears CPU_INTERRUPT_VIRQ in interrupt_request without the
    # lock under which the thread of the timers sets CPU_INTERRUPT_HARD there: hosts have stood still for want of a
    # tick. The other way round the bit that was cleared comes back, an interrupt of vector 0 for a guest.
    loses_interrupts = True
    modules = ("irqbypass", "kvm", "kvm-amd", "virtio_pci", "virtio_blk", "virtio_console", "virtio_net", "tun",
               "loop")  # fmt: skip
    modules_at_hand = ("vhost_net", "vhost_vsock", "bridge", "veth", "brd", "overlay", "fuse", "virtiofs",
                       "isofs", "squashfs", "quota_v2")  # fmt: skip

    def __init__(self, options, agent, _cache):
        super().__init__(options)
        self._agent = agent
        if options.icount and options.cpus != 1:
            raise LabError("icount is for one CPU: instructions have one order only there")
        if options.apicv is not None:
            raise LabError("--apicv: QEMU's SVM has no AVIC that could be switched; --host vmx has APICv")

    @staticmethod
    def missing_packages():
        return [] if os.path.exists(BIOS[0]) else [BIOS[1]]

    def prepare(self, kernel, initrd):
        ours, theirs = socket.socketpair()
        launch = QemuLaunch(ours, theirs)
        launch.command = self._command(kernel.vmlinux, initrd, theirs.fileno())
        launch.fds = (initrd, theirs.fileno())
        return launch

    def _tsc_words(self):
        """The rate of the TSC for the lab's kernel, which is this machine's. On a busy machine its own first
        measurement can be 1,000 ppm off, and KVM, once loaded, would keep that. With icount it measures well:
        its TSC counts instructions, 1 GHz."""
        if self.options.icount:
            return []
        told = subprocess.run([self._agent, "--tsc-khz"], capture_output=True, text=True, check=False)
        return [f"tsc_early_khz={told.stdout.strip()}"] if told.returncode == 0 else []

    def _command(self, vmlinux, initrd, channel_fd):
        options = self.options
        words = ["console=ttyS0", "quiet", "panic=-1", "nokaslr", "tsc=reliable", *self._tsc_words()]
        # A third of the lab's boot: self-tests of ciphers.
        words += ["cryptomgr.notests", options.append]
        command = [QEMU, "-M", "q35", "-cpu", "max", "-m", options.memory, "-smp", str(options.cpus)]
        command += ["-accel", "tcg,thread=multi" if options.cpus > 1 else "tcg"]
        command += ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"]
        command += ["-kernel", vmlinux, "-initrd", f"/proc/self/fd/{initrd}", "-append", " ".join(words)]
        command += ["-chardev", f"socket,id=lab,fd={channel_fd}", "-device", "virtio-serial-pci"]
        command += ["-device", "virtserialport,chardev=lab,name=mayfly.lab"]
        if options.icount:
            # The same random numbers, date and clock each time too.
            command += ["-icount", "shift=0,sleep=off", "-seed", "1"]
            command += ["-rtc", "base=2026-01-01T00:00:00,clock=vm"]
        for number, disk in enumerate(options.disks):
            mode = {"ro": ",readonly=on", "discard": ",snapshot=on"}.get(disk.rpartition(":")[2], "")
            path = disk_path(disk).replace(",", ",,")
            command += ["-drive", f"file={path},if=none,id=disk{number},format=raw,cache=unsafe{mode}"]
            command += ["-device", f"virtio-blk-pci,drive=disk{number}"]
        return command


class QemuLaunch(Launch):
    def __init__(self, ours, theirs):
        self._ours, self._theirs = ours, theirs

    def connect(self, _has_ended):
        return self._ours

    def close(self):
        self._theirs.close()


def disk_path(disk):
    """Of an image that may have a mode: PATH, PATH:ro, PATH:discard."""
    path, _, mode = disk.rpartition(":")
    return path if mode in ("ro", "discard") and path else disk
