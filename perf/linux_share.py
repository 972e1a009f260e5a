#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""linux_share: the instructions that Linux's work on a shared directory of the host takes, in the lab; QEMU
with virtiofsd beside it.

The guest has 512 MiB, one vCPU and cold caches, and mounts the directory, a tmpfs of the host. A job's cost
is the lab's instructions, of monitor, daemon, host kernel and guest together, less those for a guest that
only mounts. QEMU and its daemon run in each way that could be their best, some of which show the guest less
of the host's changes than mayfly does; for each job the best is compared. Needs no KVM: support/linux_lab.py.

The tree has the shape of a kernel's sources and a hundredth of their files. No job takes many more than a
thousand requests: the more requests, the likelier the emulation delivers an interrupt twice. `--only NAME`
and `--job NAME` choose.

With `--whole` the tree has all of 70,000 files, and a job is as large as people's. No emulation that counts
instructions survives that many requests: such a lab does not count, and a cost is the processor's time that
the emulator takes for it. Such times repeat to some 10 %. It takes an hour.
"""
import collections
import io
import os
import random
import sys
import tarfile
import tempfile

from support import linux_bench, results

from support.linux_lab import MARKER, ROOT, Lab, measure_alone, open_lab
from errors import LabError  # found by linux_lab
import packages

sys.path.insert(1, os.path.join(ROOT, "tests", "linux"))
from guests import busybox_initramfs, image  # noqa: E402  pylint: disable=wrong-import-position

Scale = collections.namedtuple("Scale", "files archived repository_files file_mib reads created")
PART = Scale(700, 200, 300, 64, 1000, 250)
WHOLE = Scale(70_000, 70_000, 70_000, 256, 65_536, 10_000)
FILES_A_DIRECTORY = 15
BOUND = 0.8
PREPARE_SECONDS = 3600
JOB_SECONDS = 3600
# More and shorter attempts than for a boot alone, because more of them hang.
ATTEMPTS = ((2000, 100), (3000, 100), (1000, 100), (2500, 200), (1500, 200), (500, 400), (3500, 400))
KERNEL = "/work/vmlinux-6.12"
SHARE = "/tmp/share"
SOCKET = "/tmp/share.socket"
SERIAL = "/tmp/serial"
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
# The cost is given per unit; the number of units is this member of the scale.
JOBS = {
    "find": ("a file", "files"),
    "tar": ("a file", "archived"),
    "status": ("a file", "repository_files"),
    "sequential": ("a MiB", "file_mib"),
    "random": ("a read", "reads"),
    "create": ("a file", "created"),
}
LABELS = {
    "find": "find",
    "tar": "tar to /dev/null",
    "status": "git status",
    "sequential": "sequential read",
    "random": "random read of 4 KiB",
    "create": "creating and removing",
}
# The job and its size come by the kernel's command line, as variables. Its output is compared, so that every job is
# complete.
INIT = f"""#!/bin/sh
mounts; load-modules
export HOME=/root GIT_OPTIONAL_LOCKS=0
mount -t virtiofs share0 /mnt || poweroff -f
case $job in
    none) echo done ;;
    find) find /mnt/tree | wc -l ;;
    tar) tar c -C /mnt archived | wc -c ;;
    status) cd /mnt/repository && git -c safe.directory='*' status --short ;;
    sequential) dd if=/mnt/file of=/dev/null bs=1M 2>&1 | grep records.out ;;
    random) file_jobs read /mnt/file $units && echo done ;;
    create) file_jobs create /mnt/made $units && echo done ;;
esac >/said && echo "{MARKER} $(cat /said)"
poweroff -f
"""
MODULES = ["virtio_mmio", "virtio_pci", "virtiofs"]
MAYFLY = (f"exec mayfly boot {KERNEL} --memory 512M --initrd /work/initrd-share --console {SERIAL}"
          f" --share {SHARE}")  # fmt: skip
# chroot: the lab's root is its initramfs, which no pivot_root() leaves. Other settings are defaults.
DAEMON = f"rm -f {SOCKET}; virtiofsd --socket-path={SOCKET} -o source={SHARE} -o sandbox=chroot"
QEMU = (f"while ! test -S {SOCKET}; do usleep 1000; done; qemu-system-x86_64 -accel kvm -cpu host -m 512"
        f" -smp 1 -nodefaults -no-user-config -nographic -no-reboot -serial file:{SERIAL} -kernel {KERNEL}"
        " -initrd /work/initrd-share -object memory-backend-memfd,id=m,size=512M,share=on"
        f" -chardev socket,id=c,path={SOCKET}")  # fmt: skip
MICROVM = "-M microvm,pit=off,pic=off,rtc=off,isa-serial=on,memory-backend=m"
DEVICES = {
    "PCI": MICROVM + ",pcie=on -device vhost-user-fs-pci,chardev=c,tag=share0",
    "MMIO": MICROVM + " -device vhost-user-fs-device,chardev=c,tag=share0",
}


def mayfly(options):
    return lambda job: f"{MAYFLY}{options} --append 'quiet console=ttyS0 {job}'"


def qemu(device, *options):
    daemon = " ".join([DAEMON, *(f"-o {option}" for option in options)])
    machine = f"{QEMU} {DEVICES[device]}"
    return lambda job: f"{daemon} 2>/tmp/virtiofsd & {machine} -append 'quiet console=ttyS0 {job}'; wait"


CONTENDERS = {
    "mayfly": mayfly(""),
    "mayfly, cache=always": mayfly(",cache=always"),
    "QEMU, PCI": qemu("PCI"),
    "QEMU, PCI, cache=always": qemu("PCI", "cache=always"),
    "QEMU, PCI, cache=always, writeback": qemu("PCI", "cache=always", "writeback"),
    "QEMU, MMIO, cache=always": qemu("MMIO", "cache=always"),
}


class Archive:
    """Writes the shared directory as a tar archive."""

    def __init__(self, file):
        self._archive = tarfile.open(fileobj=file, mode="w|", format=tarfile.GNU_FORMAT)
        self._chance = random.Random(1)

    def write(self, scale):
        for name in ("tree", "archived", "repository", "made"):
            self._add(name)
        self._add_tree("tree", scale.files)
        self._add_tree("archived", scale.archived)
        self._add_tree("repository", scale.repository_files)
        self._add("file", b"".join(self._chance.randbytes(1 << 20) for _ in range(scale.file_mib)))
        self._archive.close()

    def _add(self, name, content=None):
        about = tarfile.TarInfo(name)
        about.mtime = 1767225600
        about.type, about.mode = (tarfile.DIRTYPE, 0o755) if content is None else (tarfile.REGTYPE, 0o644)
        about.size = len(content or b"")
        self._archive.addfile(about, None if content is None else io.BytesIO(content))

    def _add_tree(self, top, files):
        """Directories of some 15 files, three deep; three files of four are of less than 8 KiB."""
        chance, names = self._chance, [top]
        for number in range(files // FILES_A_DIRECTORY):
            parent = names[chance.randrange(min(len(names), 40))]
            names.append(f"{parent}/part-{number}")
            self._add(names[-1])
        for number in range(files):
            size = int(chance.paretovariate(1.2) * 1500) % 100_000
            self._add(f"{names[number % len(names)]}/file-{number}.c", chance.randbytes(size))


PREPARE = f"""
mkdir {SHARE} && mount -t tmpfs share {SHARE} && cd {SHARE} && tar x -f /dev/vda
cd repository && export HOME=/root && git init -q . && git config core.looseCompression 0 && git add -A
git -c user.name=a -c user.email=a@b -c gc.auto=0 commit -q -m first
sleep 2; git status --short; find {SHARE}/tree | wc -l; tar c -C {SHARE} archived | wc -c
"""


class Shared:
    """A lab that contains the directory, and the expected output of each job there."""

    def __init__(self, lab, scale):
        self._lab, self._scale = lab, scale
        prepared = lab.run(["sh", "-ec", PREPARE], timeout=PREPARE_SECONDS)
        words = prepared.out.decode().split()
        if prepared.status != 0 or len(words) != 2:
            raise LabError(f"the shared directory: {prepared}")
        self._expected = {"find": words[0], "tar": words[1], "status": "",
                          "sequential": f"{scale.file_mib}+0 records out"}  # fmt: skip

    def units(self, job):
        return getattr(self._scale, JOBS[job][1]) if job in JOBS else 0

    def cost(self, line, job):
        command = line(f"job={job} units={self.units(job)}")
        self._lab.run(["rm", "-f", SERIAL])
        measured = self._measure(command)
        said = self._lab.get(SERIAL).decode(errors="replace")
        expected = f"{MARKER} {self._expected.get(job, 'done')}".strip()
        if expected not in [word.strip() for word in said.splitlines()]:
            raise LabError(f"{command}: expected {expected!r}; it said {said[-800:]!r}")
        return measured

    def _measure(self, command):
        """Instructions."""
        return measure_alone(self._lab, ["sh", "-c", command], attempts=ATTEMPTS)["exit_ns"]

    def costs(self, line, jobs):
        """{job: cost of a unit}; "none" has that of a guest that only mounts."""
        self.cost(line, "none")  # for everything that is loaded and cached only once
        found = {"none": min(self.cost(line, "none") for _ in range(2))}
        for job in jobs:
            found[job] = (self.cost(line, job) - found["none"]) / self.units(job)
        return found


class TimedShared(Shared):
    def _measure(self, command):
        """Nanoseconds of the emulator's threads."""
        before = emulator_ns(self._lab.process_id)
        outcome = self._lab.run(["sh", "-c", command], timeout=JOB_SECONDS)
        if outcome.status != 0:
            raise LabError(f"{command}: {outcome}")
        return emulator_ns(self._lab.process_id) - before


def emulator_ns(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def open_timed_lab(setting, files, disks):
    """The lab of linux_lab.open_lab(), but it does not count."""
    kernel = packages.Kernel("6.12", os.path.join(setting.cache, "packages"))
    return Lab(mayfly=setting.mayfly, agent=setting.agent, cache=setting.cache, memory="8G", disks=disks,
               files={KERNEL: kernel.vmlinux, **files}, tools=["qemu-system-x86_64"])  # fmt: skip


def measure(setting, names, jobs, is_whole):
    kernel = packages.Kernel("6.12", os.path.join(setting.cache, "packages"))
    git = image.tool_files("git")
    programs = {}
    for name, path in {**git, "/usr/bin/file_jobs": setting.file_jobs}.items():
        with open(path, "rb") as file:
            programs[name.replace("/usr/bin", "/bin")] = file.read()
    daemon = {name: path for name, path in image.tool_files(VIRTIOFSD).items() if setting.with_qemu}
    files = {"/work/initrd-share": busybox_initramfs(INIT, programs, kernel, MODULES), **git, **daemon}
    found = {}
    with tempfile.NamedTemporaryFile(prefix="mayfly-share-") as archive:
        Archive(archive).write(WHOLE if is_whole else PART)
        archive.flush()
        disks = [f"{archive.name}:ro"]
        with open_timed_lab(setting, files, disks) if is_whole else open_lab(
            setting, Lab, files, disks=disks
        ) as lab:
            shared = TimedShared(lab, WHOLE) if is_whole else Shared(lab, PART)
            for name in names:
                found[name] = shared.costs(CONTENDERS[name], jobs)
                print(name, {job: round(value) for job, value in found[name].items()}, flush=True)
    return found


def report(bench, found, jobs, unit):
    for name, costs in found.items():
        bench.add_value(f"{unit} of a guest that mounts", name, unit, round(costs["none"]))
        for job in jobs:
            bench.add_value(f"{unit} {JOBS[job][0]}, {LABELS[job]}", name, unit, costs[job])
    rivals = [costs for name, costs in found.items() if name.startswith("QEMU")]
    for job in jobs:
        if "mayfly" in found and rivals:
            ratio = found["mayfly"][job] / min(costs[job] for costs in rivals)
            bench.add_limit(f"{unit}, {LABELS[job]}, mayfly / the best QEMU", ratio, BOUND)
    bench.finish()


def main():
    parser = linux_bench.arguments(__doc__, "linux_share")
    parser.add_argument("--job", action="append", choices=list(JOBS), help="repeatable")
    parser.add_argument("--whole", action="store_true", help="70,000 files; times, not instructions")
    options = parser.parse_args()
    names, jobs = options.only or list(CONTENDERS), options.job or list(JOBS)
    setting = linux_bench.setting_of(options, with_qemu=any(name.startswith("QEMU") for name in names))
    setting.file_jobs = str(options.build.resolve() / "perf" / "file_jobs")
    title, unit = ("linux_share_whole", "ns") if options.whole else ("linux_share", "instructions")

    def run():
        found = measure(setting, names, jobs, options.whole)
        report(results.Bench(title, options.out), found, jobs, unit)
        return 0

    return linux_bench.status_of(run)


if __name__ == "__main__":
    sys.exit(main())
