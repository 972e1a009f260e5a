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
"""
import io
import os
import random
import sys
import tarfile

from support import linux_bench, results

from support.linux_lab import MARKER, ROOT, Lab, measure_alone, open_lab
from errors import LabError  # found by linux_lab
import packages

sys.path.insert(1, os.path.join(ROOT, "tests", "linux"))
from guests import busybox_initramfs, image  # noqa: E402  pylint: disable=wrong-import-position

DIRECTORIES, FILES, ARCHIVED = 46, 700, 200
REPOSITORY_FILES = 300
FILE_MIB = 64
READS, CREATED = 1000, 250
BOUND = 0.8
# More and shorter attempts than for a boot alone, because more of them hang.
ATTEMPTS = ((2000, 100), (3000, 100), (1000, 100), (2500, 200), (1500, 200), (500, 400), (3500, 400))
KERNEL = "/work/vmlinux-6.12"
SHARE = "/tmp/share"
SOCKET = "/tmp/share.socket"
SERIAL = "/tmp/serial"
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
# The cost is given per unit; this is the guest's number of units.
JOBS = {
    "find": ("a file", FILES),
    "tar": ("a file", ARCHIVED),
    "status": ("a file", REPOSITORY_FILES),
    "sequential": ("a MiB", FILE_MIB),
    "random": ("a read", READS),
    "create": ("a file", CREATED),
}
LABELS = {
    "find": "find",
    "tar": "tar to /dev/null",
    "status": "git status",
    "sequential": "sequential read",
    "random": "random read of 4 KiB",
    "create": "creating and removing",
}
# The job comes by the kernel's command line, as a variable. Its output is compared, so that every job is
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
    random) file_jobs read /mnt/file {READS} && echo done ;;
    create) file_jobs create /mnt/made {CREATED} && echo done ;;
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
    return lambda job: f"{MAYFLY}{options} --append 'quiet console=ttyS0 job={job}'"


def qemu(device, *options):
    daemon = " ".join([DAEMON, *(f"-o {option}" for option in options)])
    machine = f"{QEMU} {DEVICES[device]}"
    return lambda job: f"{daemon} 2>/tmp/virtiofsd & {machine} -append 'quiet console=ttyS0 job={job}'; wait"


CONTENDERS = {
    "mayfly": mayfly(""),
    "mayfly, cache=always": mayfly(",cache=always"),
    "QEMU, PCI": qemu("PCI"),
    "QEMU, PCI, cache=always": qemu("PCI", "cache=always"),
    "QEMU, PCI, cache=always, writeback": qemu("PCI", "cache=always", "writeback"),
    "QEMU, MMIO, cache=always": qemu("MMIO", "cache=always"),
}


def tree(archive, top, directories, files, chance):
    """Directories of some 15 files, three deep; three files of four are of less than 8 KiB."""
    names = [top]
    for number in range(directories):
        parent = names[chance.randrange(min(len(names), 40))]
        names.append(f"{parent}/part-{number}")
        add(archive, names[-1], None)
    for number in range(files):
        size = int(chance.paretovariate(1.2) * 1500) % 100_000
        add(archive, f"{names[number % len(names)]}/file-{number}.c", chance.randbytes(size))


def add(archive, name, content):
    about = tarfile.TarInfo(name)
    about.mtime = 1767225600
    about.type, about.mode = (tarfile.DIRTYPE, 0o755) if content is None else (tarfile.REGTYPE, 0o644)
    about.size = len(content or b"")
    archive.addfile(about, None if content is None else io.BytesIO(content))


def contents():
    """The bytes of a tar archive of the shared directory."""
    chance = random.Random(1)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("tree", "archived", "repository", "made"):
            add(archive, name, None)
        tree(archive, "tree", DIRECTORIES, FILES, chance)
        tree(archive, "archived", DIRECTORIES * ARCHIVED // FILES, ARCHIVED, chance)
        tree(archive, "repository", DIRECTORIES * REPOSITORY_FILES // FILES, REPOSITORY_FILES, chance)
        add(archive, "file", chance.randbytes(FILE_MIB << 20))
    return out.getvalue()


PREPARE = f"""
mkdir {SHARE} && mount -t tmpfs share {SHARE} && cd {SHARE} && tar x -f /work/share.tar && rm /work/share.tar
cd repository && export HOME=/root && git init -q . && git config core.looseCompression 0 && git add -A
git -c user.name=a -c user.email=a@b commit -q -m first
sleep 2; git status --short; find {SHARE}/tree | wc -l; tar c -C {SHARE} archived | wc -c
"""


class Shared:
    """A lab that contains the directory, and the expected output of each job there."""

    def __init__(self, lab):
        self._lab = lab
        prepared = lab.run(["sh", "-ec", PREPARE], timeout=900)
        words = prepared.out.decode().split()
        if prepared.status != 0 or len(words) != 2:
            raise LabError(f"the shared directory: {prepared}")
        self._expected = {"find": words[0], "tar": words[1], "status": "",
                          "sequential": f"{FILE_MIB}+0 records out"}  # fmt: skip

    def instructions(self, line, job):
        self._lab.run(["rm", "-f", SERIAL])
        measured = measure_alone(self._lab, ["sh", "-c", line(job)], attempts=ATTEMPTS)["exit_ns"]
        said = self._lab.get(SERIAL).decode(errors="replace")
        expected = f"{MARKER} {self._expected.get(job, 'done')}".strip()
        if expected not in [word.strip() for word in said.splitlines()]:
            raise LabError(f"{line(job)}: expected {expected!r}; it said {said[-800:]!r}")
        return measured

    def costs(self, line, jobs):
        """{job: instructions a unit}; "none" has those of a guest that only mounts."""
        self.instructions(line, "none")  # for everything that is loaded and cached only once
        found = {"none": min(self.instructions(line, "none") for _ in range(2))}
        for job in jobs:
            found[job] = (self.instructions(line, job) - found["none"]) / JOBS[job][1]
        return found


def measure(setting, names, jobs):
    kernel = packages.Kernel("6.12", os.path.join(setting.cache, "packages"))
    git = image.tool_files("git")
    programs = {}
    for name, path in {**git, "/usr/bin/file_jobs": setting.file_jobs}.items():
        with open(path, "rb") as file:
            programs[name.replace("/usr/bin", "/bin")] = file.read()
    daemon = {name: path for name, path in image.tool_files(VIRTIOFSD).items() if setting.with_qemu}
    files = {"/work/initrd-share": busybox_initramfs(INIT, programs, kernel, MODULES),
             "/work/share.tar": contents(), **git, **daemon}  # fmt: skip
    found = {}
    with open_lab(setting, Lab, files) as lab:
        shared = Shared(lab)
        for name in names:
            found[name] = shared.costs(CONTENDERS[name], jobs)
            print(name, {job: round(value) for job, value in found[name].items()}, flush=True)
    return found


def report(bench, found, jobs):
    for name, costs in found.items():
        bench.add_value("instructions of a guest that mounts", name, "instructions", round(costs["none"]))
        for job in jobs:
            label = f"instructions {JOBS[job][0]}, {LABELS[job]}"
            bench.add_value(label, name, "instructions", costs[job])
    rivals = [costs for name, costs in found.items() if name.startswith("QEMU")]
    for job in jobs:
        if "mayfly" in found and rivals:
            ratio = found["mayfly"][job] / min(costs[job] for costs in rivals)
            bench.add_limit(f"instructions, {LABELS[job]}, mayfly / the best QEMU", ratio, BOUND)
    bench.finish()


def main():
    parser = linux_bench.arguments(__doc__, "linux_share")
    parser.add_argument("--job", action="append", choices=list(JOBS), help="repeatable")
    options = parser.parse_args()
    names, jobs = options.only or list(CONTENDERS), options.job or list(JOBS)
    setting = linux_bench.setting_of(options, with_qemu=any(name.startswith("QEMU") for name in names))
    setting.file_jobs = str(options.build.resolve() / "perf" / "file_jobs")

    def run():
        found = measure(setting, names, jobs)
        report(results.Bench("linux_share", options.out), found, jobs)
        return 0

    return linux_bench.status_of(run)


if __name__ == "__main__":
    sys.exit(main())
