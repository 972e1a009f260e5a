#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""linux_disk: the instructions that Linux's requests to a virtio disk take, in the lab; QEMU beside it.

fio in the guest, random reads of 4 KiB, 32 at a time, O_DIRECT and libaio, of a file on ext4 that the host
has in its page cache. A request's cost is the difference of a long and a short run by the difference of their
requests, so that neither the boot nor fio's start counts: in all, and outside the guest (monitor and host
kernel). QEMU runs in each way that could be its best, and the best is compared. Needs no KVM:
support/linux_lab.py.
"""
import os
import pathlib
import sys
import tempfile

from support import linux_bench, results

from support.linux_lab import MARKER, ROOT, SplitLab, measure_with_reader, open_lab
from errors import LabError  # found by linux_lab
import image
import packages

sys.path.insert(1, os.path.join(ROOT, "tests", "linux"))
from guests import busybox_initramfs, ext4_image  # noqa: E402  pylint: disable=wrong-import-position

# The longer a run, the likelier the emulation delivers an interrupt twice (support/linux_lab.py).
SHORT, LONG = 500, 2500
DISK_MIB = 64
BOUND = 1.3
# The number of requests comes by the kernel's command line, as a variable. The marker says that fio completed
# them.
INIT = f"""#!/bin/sh
mounts; load-modules
fio --name=r --filename=/dev/vda --rw=randread --bs=4k --iodepth=32 --ioengine=libaio --direct=1 --thread \\
  --size={DISK_MIB}m --io_size=$((requests * 4))k --norandommap --randseed=1 --gtod_reduce=1 >/fio.log 2>&1 \\
  && grep -q "total=$requests," /fio.log && echo {MARKER} || cat /fio.log
poweroff -f
"""
MICROVM = "qemu-system-x86_64 -M microvm,pit=off,pic=off,rtc=off,isa-serial=on"
COMMON = "-accel kvm -cpu host -m 512 -smp 1 -nodefaults -no-user-config -nographic -serial stdio -no-reboot"
FILE = "driver=raw,node-name=d,file.driver=file,file.filename=/mnt/disk,file.aio=io_uring,cache.direct=off"
THREADED = FILE.replace("io_uring", "threads")


def qemu(machine, *devices, file=FILE):
    kernel = ["-kernel", "/work/vmlinux-6.12", "-initrd", "/work/fio", "-append"]
    return [*(MICROVM + machine).split(), *COMMON.split(), "-blockdev", file, *devices, *kernel]


IOTHREAD = ("-object", "iothread,id=t")
CONTENDERS = {
    "mayfly": ["mayfly", "boot", "/work/vmlinux-6.12", "--initrd", "/work/fio", "--memory", "512M", "--disk",
               "/mnt/disk", "--append"],  # fmt: skip
    "QEMU, MMIO, io_uring": qemu("", "-device", "virtio-blk-device,drive=d"),
    "QEMU, PCI, io_uring": qemu(",pcie=on", "-device", "virtio-blk-pci,drive=d"),
    "QEMU, PCI, io_uring, iothread": qemu(
        ",pcie=on", *IOTHREAD, "-device", "virtio-blk-pci,drive=d,iothread=t"
    ),
    "QEMU, PCI, threads": qemu(",pcie=on", "-device", "virtio-blk-pci,drive=d", file=THREADED),
}


def guest(setting):
    kernel = packages.Kernel("6.12", os.path.join(setting.cache, "packages"))
    files = {name: pathlib.Path(path).read_bytes() for name, path in image.tool_files("fio").items()}
    return busybox_initramfs(INIT, files, kernel, ["virtio_blk", "virtio_mmio", "virtio_pci"])


def cost(lab, argv):
    """{part: instructions a request, "returns": a request}"""
    append = "quiet console=ttyS0 requests=" if argv[0] != "mayfly" else "quiet requests="
    runs = [lab.split([*argv, f"{append}{count}"])["exit"] for count in (SHORT, LONG)]
    return {part: (runs[1][part] - runs[0][part]) / (LONG - SHORT) for part in runs[0]}


def measure(setting, names):
    found = {}
    with tempfile.TemporaryDirectory(prefix="mayfly-disk-") as directory:
        contents = os.path.join(directory, "contents")
        os.mkdir(contents)
        with open(os.path.join(contents, "disk"), "wb") as file:
            file.write(os.urandom(DISK_MIB << 20))
        disk = ext4_image(os.path.join(directory, "ext4"), contents, f"{DISK_MIB * 3 // 2}M")
        with open_lab(setting, SplitLab, {"/work/fio": guest(setting)}, disks=[f"{disk}:discard"],
                      append="possible_cpus=2 nohz_full=1") as lab:  # fmt: skip
            outcome = lab.run("mount -t ext4 /dev/vda /mnt && cat /mnt/disk >/dev/null", timeout=600)
            if outcome.status != 0:
                raise LabError(f"the disk: {outcome}")
            measure_with_reader(lab, [*CONTENDERS["mayfly"], f"quiet requests={SHORT}"])
            for name in names:
                found[name] = cost(lab, CONTENDERS[name])
                print(name, {part: round(value, 3) for part, value in found[name].items()}, flush=True)
    return found


def report(bench, found):
    for name, counts in found.items():
        outside = counts["monitor"] + counts["host"]
        rows = (("in all", counts["total"]), ("the monitor's", counts["monitor"]),
                ("the host kernel's", counts["host"]), ("the guest's", counts["guest"]))  # fmt: skip
        for label, value in rows:
            bench.add_value(f"instructions a request, {label}", name, "instructions", value)
        bench.add_value("requests per million instructions outside the guest", name, "count", 1e6 / outside)
        bench.add_value("returns to user space per request", name, "per request", counts["returns"])
    rivals = [counts for name, counts in found.items() if name != "mayfly"]
    if "mayfly" in found and rivals:
        ours = found["mayfly"]

        def outside(counts):
            return counts["monitor"] + counts["host"]

        bench.add_limit("requests per host instruction outside the guest, mayfly / the best QEMU",
                        min(map(outside, rivals)) / outside(ours), BOUND, is_at_least=True)  # fmt: skip
        ratio = min(counts["total"] for counts in rivals) / ours["total"]
        label = "requests per instruction in all, mayfly / the best QEMU"
        bench.add_limit(label, ratio, BOUND, is_at_least=True)
    bench.finish()


def main():
    options = linux_bench.arguments(__doc__, "linux_disk").parse_args()
    setting = linux_bench.setting_of(options)

    def run():
        found = measure(setting, options.only or list(CONTENDERS))
        report(results.Bench("linux_disk", options.out), found)
        return 0

    return linux_bench.status_of(run)


if __name__ == "__main__":
    sys.exit(main())
