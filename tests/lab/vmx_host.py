# SPDX-License-Identifier: Apache-2.0
"""A machine with Intel's VMX, APICv and posted interrupts, as Bochs emulates it: bochs.py. It starts from a CD
that is made for each lab; its agent is reached at the second serial port, by a socket on the loopback."""
import os
import re
import shutil
import socket
import subprocess
import tempfile

from bochs import PROGRAMS, bochs
from errors import LabError
from machine import Launch, Machine

ISOLINUX = {
    "isolinux.bin": ("/usr/lib/ISOLINUX/isolinux.bin", "isolinux"),
    "ldlinux.c32": ("/usr/lib/syslinux/modules/bios/ldlinux.c32", "syslinux-common"),
}
# clearcpuid=580: FSRM is offered, and the MSR by which Linux checks it does not exist, so that it takes half of
# the way back; idle=halt: what MWAIT waits for does not wake it; tsc=reliable: the TSC counts emulated ticks,
# which no other timer agrees with.
WORDS = ("console=ttyS0 quiet panic=-1 nokaslr tsc=reliable clearcpuid=580 idle=halt mitigations=off"
         " cryptomgr.notests")  # fmt: skip
MEMORY_MIB = {"M": 1, "G": 1024}
# The date is of a wall clock that is right: guests check theirs. Nothing depends on the machine's own clock, nor
# on what is random, so that runs repeat.
BOCHSRC = """
cpu: model=arrow_lake, count={cpus}, ips=100000000, quantum=16, reset_on_triple_fault=0, ignore_bad_msrs=1, \
exclude_features="rdrand,rdseed"
clock: sync=none, time0=1790000000
memory: guest={memory}, host={memory}
romimage: file={made}/bios
vgaromimage: file={made}/vgabios
vga: extension=vbe, update_freq=1, realtime=0
display_library: nogui
com1: enabled=1, mode=file, dev=/proc/self/fd/1
com2: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
ata0-master: type=cdrom, path=/proc/self/fd/{cd}, status=inserted
boot: cdrom
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
log: /proc/self/fd/{log}
"""
ISOLINUX_CONFIGURATION = "DEFAULT lab\nPROMPT 0\nLABEL lab\nKERNEL /linux\nINITRD /initrd\nAPPEND {words}\n"
POLL_SECONDS = 0.2
# Of Bochs' log: how it says that something is not as a processor has it.
TOLD = re.compile(r">>PANIC<<|VMFAIL|3rd \(")
LOG_LINES = 10


class VmxHost(Machine):
    name = "vmx"
    emulator = "Bochs"
    programs = {**PROGRAMS, "xorriso": "xorriso", "gzip": "gzip"}
    modules = ("irqbypass", "kvm", "kvm-intel", "tun", "loop")
    modules_at_hand = ("bridge", "veth", "brd", "overlay", "fuse", "virtiofs")
    channel_device = "/dev/ttyS1"
    restarts = True

    def __init__(self, options, _agent, cache):
        super().__init__(options)
        self._cache = cache
        if options.icount:
            raise LabError("--host vmx: its time is counted in instructions anyhow, and --icount is not for it")
        if options.disks:
            raise LabError(f"--disk {options.disks[0]}: --host vmx has no disks; --file copies an image in")
        if not re.fullmatch(r"[1-9]\d*[MG]", options.memory):
            raise LabError(f"memory of {options.memory}: expected a number and M or G")

    @staticmethod
    def missing_packages():
        return [package for path, package in ISOLINUX.values() if not os.path.exists(path)]

    def prepare(self, kernel, initrd):
        made = bochs(self._cache)
        words = [WORDS, self.options.append]
        if self.options.apicv is not None:
            words.append(f"kvm_intel.enable_apicv={int(self.options.apicv)}")
        size, unit = self.options.memory[:-1], self.options.memory[-1]
        try:
            launch = BochsLaunch(make_cd(kernel.bzimage, initrd, " ".join(words)))
        except (OSError, subprocess.CalledProcessError) as error:
            raise LabError(f"the lab's CD cannot be made: {error}") from None
        launch.command = [os.path.join(made, "bochs"), "-q", "-f", f"/proc/self/fd/{launch.rc}"]
        text = BOCHSRC.format(cpus=self.options.cpus, memory=int(size) * MEMORY_MIB[unit], made=made,
                              port=launch.port, cd=launch.cd, log=launch.log_fd)  # fmt: skip
        os.write(launch.rc, text.encode())
        return launch


def make_cd(bzimage, initrd, words):
    """A descriptor of the image, in memory and without a name: nothing of it can be left behind."""
    with tempfile.TemporaryDirectory(prefix="mayfly-lab-") as tree:
        shutil.copyfile(bzimage, os.path.join(tree, "linux"))
        with open(os.path.join(tree, "initrd"), "wb") as file:
            os.lseek(initrd, 0, os.SEEK_SET)
            subprocess.run(["gzip", "-1"], stdin=initrd, stdout=file, check=True)
        for name, (path, _) in ISOLINUX.items():
            shutil.copyfile(path, os.path.join(tree, name))
        with open(os.path.join(tree, "isolinux.cfg"), "w", encoding="ascii") as file:
            file.write(ISOLINUX_CONFIGURATION.format(words=words))
        image = os.memfd_create("cd")
        command = ["xorriso", "-as", "mkisofs", "-quiet", "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot",
                   "-boot-load-size", "4", "-boot-info-table", "-o", "-", tree]  # fmt: skip
        done = subprocess.run(command, stdout=image, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            os.close(image)
            raise LabError(f"xorriso: {done.stderr.strip()}")
        return image


class BochsLaunch(Launch):
    def __init__(self, cd):
        self.cd, self.rc, self.log_fd = cd, os.memfd_create("bochsrc"), os.memfd_create("log")
        self.fds = (self.cd, self.rc, self.log_fd)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.port = self._listener.getsockname()[1]

    def connect(self, has_ended):
        self._listener.settimeout(POLL_SECONDS)
        with self._listener:
            while not has_ended():
                try:
                    connected, _ = self._listener.accept()
                except TimeoutError:
                    continue
                connected.settimeout(None)
                return connected
        raise LabError("Bochs has ended before its machine started")

    def close(self):
        os.close(self.cd)
        os.close(self.rc)

    def end(self):
        os.close(self.log_fd)

    def log(self):
        with open(f"/proc/self/fd/{self.log_fd}", encoding="utf-8", errors="replace") as file:
            return [line.rstrip() for line in file if TOLD.search(line)][-LOG_LINES:]
