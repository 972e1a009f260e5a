# SPDX-License-Identifier: Apache-2.0
"""Debian's user space, made by debootstrap, on a disk: Debian's 6.12 boots it, and its fio writes and
verifies another disk. A program's status there is mayfly's exit status, by the exit port."""
import json
import sys

from harness import case, check, check_status, linux_host, main, skip_program
from device_guest import GUEST_SECONDS, Parts, initramfs, once, virtio_interrupts
from debian_root import SUITE, debian_image
from errors import Unavailable

EXIT_PORT = 0xF4
DISK_BYTES = 16 << 20
FIO_BYTES = 8 << 20

# The first process of the root on vda: runs the script on vdb, and tells its status through the exit port.
INIT = """
mount -t ext4 /dev/vda /mnt || exit
mount -t proc proc /mnt/proc; mount -t sysfs sys /mnt/sys
mount -t devtmpfs dev /mnt/dev; mount -t tmpfs tmp /mnt/tmp
cp /tests/debian-init /mnt/tmp/init; cp /tests/debian-end /mnt/tmp/end; chmod 755 /mnt/tmp/init
exec switch_root /mnt /tmp/init $debian_job
"""

DEBIAN_INIT = f"""#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
fio() {{
    command fio --name=t --filename=/dev/vdb --size={FIO_BYTES} --rw=randrw --bs=4k --iodepth=16 \\
        --direct=1 --eta=never --verify=crc32c --verify_fatal=1 --randrepeat=1 --ioengine=io_uring \\
        --output-format=json --output=/tmp/fio
    status=$?
    echo "== fio"; cat /tmp/fio; echo "== status"; echo $status
}}
echo "== release"; cat /etc/os-release; uname -r
case $1 in
fio) fio ;;
zeroes)
    echo "== zeroes"
    blkdiscard -z -o 4194304 -l 4194304 /dev/vdb && echo zeroed
    cmp -n 4194304 -i 4194304:0 /dev/vdb /dev/zero && echo "are zeroes"
    fallocate -p -o 8388608 -l 1048576 /dev/vdb && echo punched
    cmp -n 1048576 -i 8388608:0 /dev/vdb /dev/zero && echo "are zeroes"
    false; status=$? ;;
esac
echo "== interrupts"; cat /proc/interrupts
echo "== end"
sync; mount -o remount,ro /
python3 /tmp/end $status
"""

# Debian's kernel has no /dev/port. mov edx, edi; mov eax, esi; out dx, al; ret
END = f"""
import ctypes, mmap, sys
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("89fa 89f0 ee c3"))
out = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
if ctypes.CDLL(None, use_errno=True).ioperm({EXIT_PORT}, 1, 1) != 0:
    sys.exit(f"ioperm: error {{ctypes.get_errno()}}")
out({EXIT_PORT}, int(sys.argv[1]))
"""


def start():
    try:
        root = debian_image()
    except Unavailable as error:
        skip_program(f"no Debian root: {error}")
    scripts = {"debian": INIT, "debian-init": DEBIAN_INIT, "debian-end": END}
    return linux_host(
        kernels=["6.12/bzImage"],
        files={"/work/initrd": initramfs("6.12", scripts)},
        disks={"root": root},
    )


host = start()


@once
def booted(job):
    """The Parts of a boot that does this; the disk keeps what the boots before it wrote."""
    check_status(host.run(["truncate", "-s", str(DISK_BYTES), host.path("/work/data")]), 0)
    outcome = host.mayfly(
        "boot", host.path("/kernels/6.12/bzImage"), "--initrd", host.path("/work/initrd"), "--memory", "256M",
        "--disk", host.path("root"), "--disk", host.path("/work/data"),
        "--append", f"quiet guest_script=debian debian_job={job}", timeout=2 * GUEST_SECONDS,
    )  # fmt: skip
    parts = Parts(outcome)
    check("end" in parts.by_name, "the guest ended before its script did", outcome)
    return parts


@case
def debian_is_the_root_and_fio_verifies_what_it_wrote():
    parts = booted("fio")
    check(f"VERSION_CODENAME={SUITE}\n" in parts["release"], "not Debian's root", parts.outcome)
    check(parts["status"] == "0\n", "fio's status", parts.outcome)
    check_status(parts.outcome, 0)
    report = json.loads(parts["fio"][parts["fio"].index("{") :])
    job = report["jobs"][0]
    check(job["error"] == 0, "fio's own error", parts.outcome)
    written, read = job["write"]["io_bytes"], job["read"]["io_bytes"]
    check(written + read >= FIO_BYTES, f"fio wrote {written} and read {read} bytes", parts.outcome)
    check(written > FIO_BYTES // 4 and read > FIO_BYTES // 4, f"wrote {written}, read {read}", parts.outcome)
    used = [count for name, (count, _) in virtio_interrupts(parts["interrupts"]).items() if "-req" in name]
    check(len(used) == 2 and min(used) > 0, f"interrupts of the two disks: {used}", parts.outcome)


@case
def zeroes_are_written_and_a_status_other_than_0_is_mayflys():
    parts = booted("zeroes")
    expected = ["zeroed", "are zeroes", "punched", "are zeroes"]
    check(parts["zeroes"].splitlines() == expected, "not zeroes", parts.outcome)
    check_status(parts.outcome, 1)


if __name__ == "__main__":
    sys.exit(main())
