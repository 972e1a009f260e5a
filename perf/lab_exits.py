#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lab_exits: what a read from a disk costs in VM exits, on each host of the lab; QEMU beside mayfly.

The guest iobench reads 4 KiB, eight at a time, from a file in the page cache, and halts until an interrupt
comes. QEMU's microvm has PCI, and an I/O thread or none. Exits are those that KVM's tracepoint kvm_exit
counts; a request's are the difference of two runs of different lengths. Needs no KVM: tests/lab/README.md.
`--only svm`, `--only 'vmx, APICv off'` and `--only 'vmx, APICv on'` choose a host.
"""
import re
import sys

from support import io_runs, linux_bench, results

from errors import LabError
from lab import Lab

HOSTS = {
    "svm": {"host": "svm", "cpus": 2},
    "vmx, APICv off": {"host": "vmx", "cpus": 2, "apicv": False},
    "vmx, APICv on": {"host": "vmx", "cpus": 2, "apicv": True},
}
DISK_BYTES = 16 << 20
SHORT, LONG = 2000, 20_000
SECONDS = 900
GUEST = "dev=blk op=read size=4096 depth=8 irq=1 count="
DISK = "/work/disk"
EVENT = "/sys/kernel/tracing/events/kvm/kvm_exit"
COUNT = "hist:keys=common_type"
HITS = re.compile(rb"Hits: (\d+)")


def qemu_disk(options=""):
    return ["-object", "iothread,id=io0", "-blockdev",
            f"driver=raw,node-name=disk0,file.driver=file,file.filename={DISK},file.aio=io_uring,cache.direct=off",
            "-device", f"virtio-blk-pci,drive=disk0{options}"]  # fmt: skip


CONTENDERS = [
    *(io_runs.mayfly(f"mayfly --io {io}", "mayfly", "builtin:iobench", ["--disk", DISK, "--io", io])
      for io in ("inline", "thread")),
    io_runs.qemu("QEMU", "qemu-system-x86_64", "/work/iobench", qemu_disk()),
    io_runs.qemu("QEMU, iothread", "qemu-system-x86_64", "/work/iobench", qemu_disk(",iothread=io0")),
]  # fmt: skip


def exits(lab, contender, count):
    """Of a whole run."""
    lab.run(["sh", "-ec", f"echo '!{COUNT}' >{EVENT}/trigger; echo '{COUNT}' >{EVENT}/trigger"])
    argv = [*contender.argv, contender.append_flag, GUEST + str(count)]
    outcome = lab.run(argv, timeout=SECONDS)
    if outcome.status != contender.status or b"errors=0" not in outcome.out:
        raise LabError(f"{' '.join(argv)}: {outcome}")
    return int(HITS.search(lab.get(f"{EVENT}/hist"))[1])


def measure(setting, bench, hosts):
    files = {"/work/iobench": setting.guest}
    for host in hosts:
        with Lab(mayfly=setting.mayfly, agent=setting.agent, cache=setting.cache, files=files, memory="1536M",
                 tools=["qemu-system-x86_64"], **HOSTS[host]) as lab:  # fmt: skip
            lab.run(f"truncate -s {DISK_BYTES} {DISK}; cat {DISK} >/dev/null")
            for contender in CONTENDERS:
                few, many = (exits(lab, contender, count) for count in (SHORT, LONG))
                cost = (many - few) / (LONG - SHORT)
                bench.add_value(f"VM exits, {host}", contender.name, "per request", cost)
                print(f"{host}: {contender.name}: {cost:.4f}", flush=True)
    bench.finish()


def main():
    options = linux_bench.arguments(__doc__, "lab_exits").parse_args()
    setting = linux_bench.setting_of(options)
    setting.guest = str(options.build.resolve() / "firmware" / "guests" / "iobench_pvh.elf")

    def run():
        measure(setting, results.Bench("lab_exits", options.out), options.only or list(HOSTS))
        return 0

    return linux_bench.status_of(run)


if __name__ == "__main__":
    sys.exit(main())
