#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""linux_streams: the instructions that a MiB takes through a program's stdin and stdout, in the lab; beside
them a virtio disk, and QEMU's virtserialport.

dd in a guest of 256 MiB with one vCPU, 1 MiB at a time. A program of --exec writes into a pipe; of QEMU's port
both are measured, the port itself and a pipe that cat passes on to it. A MiB's cost is the difference of a long and a short
run, so that neither the boot nor dd's start counts. The disk is a file that the host has in its page cache.
Also all instructions of `--exec true`; with --only none, only these. Needs no KVM: support/linux_lab.py.
"""
import os
import sys

from support import linux_bench, results

from support.linux_lab import MARKER, ROOT, Lab, measure_alone, open_lab
from errors import LabError  # found by linux_lab
import packages

sys.path.insert(1, os.path.join(ROOT, "tests", "linux"))
from guests import busybox_initramfs  # noqa: E402  pylint: disable=wrong-import-position
from guests import image  # noqa: E402  pylint: disable=wrong-import-position

SHORT, LONG = 16, 64
OUT_BOUND, IN_BOUND, RIVAL_BOUND = 1.25, 2.0, 0.5
KERNEL = "/work/vmlinux-6.12"
SERIAL = "/tmp/serial"
# The job comes by the kernel's command line, as variables.
INIT = f"""#!/bin/sh
mounts; load-modules
case $job in port-*) sleep 1 ;; esac  # a port is there before it can be opened
case $job in
    disk-out) dd if=/dev/zero of=/dev/vda bs=1M count=$mib conv=fsync ;;
    disk-in) dd if=/dev/vda of=/dev/null bs=1M count=$mib ;;
    port-out) dd if=/dev/zero of=/dev/vport0p1 bs=1M count=$mib ;;
    port-pipe) dd if=/dev/zero bs=1M count=$mib | cat >/dev/vport0p1 ;;
    port-in) dd if=/dev/vport0p1 of=/dev/null bs=1M count=$mib iflag=fullblock ;;
esac && echo {MARKER}
poweroff -f
"""
MODULES = ["virtio_blk", "virtio_console", "virtio_mmio", "virtio_pci"]
EXEC = f"exec mayfly boot {KERNEL} --memory 256M --exec /work/busybox --"
DISK = f"exec mayfly boot {KERNEL} --memory 256M --initrd /work/initrd-streams --disk /work/disk --console {SERIAL}"
QEMU = (f"exec qemu-system-x86_64 -M microvm,pit=off,pic=off,rtc=off,isa-serial=on -accel kvm -cpu host -m 256"
        f" -smp 1 -nodefaults -no-user-config -nographic -no-reboot -serial file:{SERIAL} -kernel {KERNEL}"
        " -initrd /work/initrd-streams -device virtio-serial-device -device virtserialport,chardev=c")  # fmt: skip
# A standard input that ends would close the port for the output, too.
QEMU_OUT, QEMU_IN = QEMU + " -chardev file,id=c,path=/dev/null", QEMU + " -chardev stdio,id=c,signal=off"


def guest(job, mib):
    return f"'quiet console=ttyS0 job={job} mib={mib}'"


CONTENDERS = {
    "stdout": lambda mib: f"{EXEC} dd if=/dev/zero bs=1M count={mib} >/dev/null",
    "stdout, through a pipe": lambda mib: f"({EXEC} dd if=/dev/zero bs=1M count={mib}) | cat >/dev/null",
    "stdin": lambda mib: f"{EXEC} dd of=/dev/null bs=1M </work/input-{mib}",
    "virtio disk, written": lambda mib: f"{DISK} --append {guest('disk-out', mib)}",
    "virtio disk, read": lambda mib: f"{DISK} --append {guest('disk-in', mib)}",
    "QEMU's virtserialport, out": lambda mib: f"{QEMU_OUT} -append {guest('port-out', mib)}",
    "QEMU's virtserialport, out of a pipe": lambda mib: f"{QEMU_OUT} -append {guest('port-pipe', mib)}",
    "QEMU's virtserialport, in": lambda mib: f"{QEMU_IN} -append {guest('port-in', mib)} </work/disk",
}
TRUE = f"{EXEC} true"


def run(lab, line):
    lab.run(["rm", "-f", SERIAL])
    measured = measure_alone(lab, ["sh", "-c", line])["exit_ns"]
    if SERIAL in line and MARKER not in lab.get(SERIAL).decode(errors="replace"):
        raise LabError(f"{line}: dd has failed: {lab.get(SERIAL).decode(errors='replace')[-500:]}")
    return measured


def measure(setting, names):
    kernel = packages.Kernel("6.12", os.path.join(setting.cache, "packages"))
    files = {
        "/work/initrd-streams": busybox_initramfs(INIT, {}, kernel, MODULES),
        "/work/busybox": image.find_busybox(),
    }
    found = {}
    with open_lab(setting, Lab, files) as lab:
        script = "cd /work; chmod 755 busybox; dd if=/dev/urandom of=disk bs=1M count=80"
        script += "".join(f"; dd if=disk of=input-{mib} bs=1M count={mib}" for mib in (SHORT, LONG))
        prepared = lab.run(script, timeout=600)
        if prepared.status != 0:
            raise LabError(f"the disk: {prepared}")
        run(lab, TRUE)  # for everything that is loaded and cached only once
        found["true"] = min(run(lab, TRUE) for _ in range(2))
        print(f"--exec true: {found['true'] / 1e6:.2f} M", flush=True)
        for name in names:
            short, long = (run(lab, CONTENDERS[name](mib)) for mib in (SHORT, LONG))
            found[name] = (long - short) / (LONG - SHORT)
            print(f"{name}: {found[name] / 1e6:.2f} M a MiB", flush=True)
    return found


def report(bench, found):
    bench.add_value("instructions of --exec true, in all", "mayfly", "instructions", found.pop("true"))
    for name, value in found.items():
        bench.add_value("instructions a MiB", name, "instructions", value)
    for ours, theirs, bound in (
        ("stdout", "virtio disk, written", OUT_BOUND),
        ("stdin", "virtio disk, read", IN_BOUND),
        ("stdout", "QEMU's virtserialport, out", RIVAL_BOUND),
        ("stdin", "QEMU's virtserialport, in", RIVAL_BOUND),
    ):
        if ours in found and theirs in found:
            bench.add_limit(f"instructions a MiB, {ours} / {theirs}", found[ours] / found[theirs], bound)
    bench.finish()


def main():
    options = linux_bench.arguments(__doc__, "linux_streams").parse_args()
    setting = linux_bench.setting_of(options)

    def run_all():
        found = measure(setting, [name for name in options.only or CONTENDERS if name != "none"])
        report(results.Bench("linux_streams", options.out), found)
        return 0

    return linux_bench.status_of(run_all)


if __name__ == "__main__":
    sys.exit(main())
