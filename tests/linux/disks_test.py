# SPDX-License-Identifier: Apache-2.0
"""Linux on mayfly's disks: a root file system that outlives its guests, whichever machine each of them has;
order, read-only disks, discard, and a disk that is cut short under a running guest."""
import os
import re
import sys
import tempfile

from harness import case, check, check_status, linux_host, main, skip
from device_guest import GUEST_SECONDS, check_guest, initramfs, once, virtio_interrupts
from guests import busybox_ext4

MIB = 1 << 20

# Each boot lists what the ones before it left, and leaves a file of its own.
ROOT_INIT = """#!/bin/sh
mounts
echo "== found"; (cd /kept; md5sum *)
dd if=/dev/urandom of=/kept/$guest_step bs=1M count=2 2>/dev/null
echo "== left"; (cd /kept; md5sum $guest_step)
sync
echo "== root"; grep ' / ' /proc/mounts
echo "== interrupts"; cat /proc/interrupts
echo "== end"
mount -o remount,ro /
poweroff -f
"""

DEVICES = """
echo "== order"
for disk in vda vdb vdc vdd; do
    echo "$disk $(head -c 6 /dev/$disk) $(cat /sys/block/$disk/size) $(cat /sys/block/$disk/serial)"
done
echo "== rng"
cat /sys/class/misc/hw_random/rng_current
for n in 1 2; do dd if=/dev/hwrng bs=4096 count=1 iflag=fullblock 2>/dev/null | md5sum; done
dd if=/dev/hwrng bs=4096 count=4 iflag=fullblock 2>/dev/null | gzip | wc -c
echo "== readonly"
cat /sys/block/vdc/ro
if echo overwritten >/dev/vdc; then echo written; else echo refused; fi
blockdev --setrw /dev/vdc
if echo overwritten >/dev/vdc; then echo written; else echo refused; fi
head -c 6 /dev/vdc; echo
echo "== discard"
cat /sys/block/vdb/queue/discard_max_bytes
blkdiscard -o 1048576 -l 1048576 /dev/vdb && echo discarded
dd if=/dev/vdb bs=1M skip=1 count=1 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c
dd if=/dev/vdb bs=1M skip=2 count=1 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c
at() { dd if=/dev/vdd of=/dev/null bs=64k count=1 skip=$(($1 * 16)) iflag=direct 2>&1 | tail -n 1; }
echo "== before"
at 0; at 8
echo "== cutting"
read word
echo "== after"
at 8; at 0
echo "== log"
dmesg -r | grep 'I/O error'
echo "== others"
echo still >/dev/vdb && sync && head -c 5 /dev/vdb; echo
echo "== interrupts"; cat /proc/interrupts
"""


def start():
    with tempfile.TemporaryDirectory(prefix="mayfly-disks-") as directory:
        first = {"kept/first": "made with the image\n"}
        root = busybox_ext4(os.path.join(directory, "root"), ROOT_INIT, first)
        started = linux_host(
            kernels=["6.12/bzImage", "6.1/vmlinux"],
            files={
                "/work/initrd-6.12": initramfs("6.12", {"devices": DEVICES}),
                "/work/initrd-6.1": initramfs("6.1"),
            },
            disks={"root": root},
        )
    return started


host = start()


def boot(kernel, *arguments, append):
    initrd = host.path("/work/initrd-" + kernel.partition("/")[0])
    return host.mayfly_popen(
        "boot", host.path(f"/kernels/{kernel}"), "--initrd", initrd, "--append", append,
        "--timeout", str(GUEST_SECONDS + 10), *arguments,
    )  # fmt: skip


# The root, from boot to boot.

BOOTS = {
    "modern": ("6.12/bzImage",),
    "legacy": ("6.12/bzImage", "--profile", "legacy"),
    "mmio": ("6.12/bzImage", "--transport", "mmio"),
    "old": ("6.1/vmlinux", "--cpus", "2"),
}


@once
def booted(step):
    """The Parts of this boot from the root; the boots before it have been."""
    previous = list(BOOTS)[: list(BOOTS).index(step)]
    if previous:
        booted(previous[-1])
    kernel, *arguments = BOOTS[step]
    process = boot(
        kernel, "--disk", host.path("root"), *arguments, append=f"quiet guest_root=vda guest_step={step}"
    )
    return check_guest(process.wait(GUEST_SECONDS))


def check_kept(text, steps, outcome=None):
    for step in steps:
        left = booted(step)["left"].split()[0]
        check(f"{left}  {step}" in text, f"the file of {step} is not as it was left", outcome)


def check_root(step):
    parts = booted(step)
    check(" / ext4 rw" in parts["root"], "the root is not the disk", parts.outcome)
    check("  first" in parts["found"], "the image's file is missing", parts.outcome)
    check_kept(parts["found"], list(BOOTS)[: list(BOOTS).index(step)], parts.outcome)
    return parts


def check_msi_x(text, outcome, idle="-config|-input"):
    """Every virtio queue in use has a vector that fired, and none has a pin."""
    found = virtio_interrupts(text)
    check(any("-req" in name for name in found), "no vector of a disk's queue", outcome)
    for name, (count, kind) in found.items():
        check(kind.startswith("PCI-MSI"), f"{name} is on {kind}", outcome)
        check(count > 0 or re.search(f"(?:{idle})$", name), f"{name} never fired", outcome)


@case
def the_modern_machine_has_its_root_on_a_disk():
    parts = check_root("modern")
    check_msi_x(parts["interrupts"], parts.outcome)
    check("IO-APIC" not in parts["interrupts"], "this machine has no IO-APIC", parts.outcome)


@case
def the_legacy_machine_finds_the_file_that_the_modern_one_left():
    parts = check_root("legacy")
    check_msi_x(parts["interrupts"], parts.outcome)


@case
def a_disk_of_the_mmio_transport_has_what_the_others_left():
    parts = check_root("mmio")
    found = virtio_interrupts(parts["interrupts"])
    check(found, "no interrupt of a virtio device", parts.outcome)
    for name, (_, kind) in found.items():
        check(kind == "IO-APIC", f"{name} is on {kind}", parts.outcome)
    check(max(count for count, _ in found.values()) > 0, "no interrupt came", parts.outcome)


@case
def the_older_kernel_with_two_processors_has_its_root_there_too():
    parts = check_root("old")
    check_msi_x(parts["interrupts"], parts.outcome)


@case
def the_host_reads_the_guests_files():
    booted("old")
    if not host.is_lab:
        skip("mounts a disk: in the lab only")
    mount = f"mkdir -p mnt && mount -t ext4 -o ro,loop {host.path('root')} mnt"
    outcome = host.run(mount + " && cd mnt/kept && md5sum *")
    check_status(outcome, 0)
    check_kept(outcome.out.decode(), BOOTS, outcome)


# One guest with several disks and a source of random numbers.

@once
def devices():
    """The Parts of it, and of what the host found afterwards."""
    names = [host.path(f"/work/{name}") for name in ("first", "second", "third", "fourth")]
    outcome = host.run(
        "for n in 1 2 3 4; do set -- " + " ".join(names) + "; shift $((n - 1));"
        f" tr '\\0' x </dev/zero | dd of=$1 bs=1M count=$((n * 4)) iflag=fullblock 2>/dev/null;"
        " echo -n disk-$n | dd of=$1 conv=notrunc 2>/dev/null; done; stat -c %b " + names[1]
    )
    check_status(outcome, 0)
    first, second, third, fourth = names
    process = boot(
        "6.12/bzImage", "--disk", first, "--disk", f"{second},id=number-two", "--disk", f"{third},ro",
        "--disk", fourth, "--rng", append="quiet guest_script=devices",
    )  # fmt: skip
    if process.wait_for_output(rb"== cutting\r?\n", timeout=GUEST_SECONDS) is not None:
        check_status(host.run(["truncate", "-s", str(4 * MIB), fourth]), 0)
        process.write(b"go\n")
    parts = check_guest(process.wait(GUEST_SECONDS))
    after = host.run(f"stat -c %b {second}; stat -c %s {fourth}; head -c 6 {third}")
    parts.blocks_before = int(outcome.out)
    blocks, parts.cut_size, parts.third = after.out.decode().split()
    parts.blocks_after = int(blocks)
    return parts


@case
def several_disks_keep_their_order_sizes_and_names():
    found = [line.split() for line in devices()["order"].splitlines()]
    expected = [[f"vd{'abcd'[n - 1]}", f"disk-{n}", str(n * 4 * MIB // 512)] for n in (1, 2, 3, 4)]
    check([line[:3] for line in found] == expected, f"found {found}", devices().outcome)
    check(found[1][3:] == ["number-two"], f"the second one's serial is {found[1][3:]}", devices().outcome)


@case
def random_numbers_come_through_hwrng():
    current, first, second, compressed = [line.split()[0] for line in devices()["rng"].splitlines()]
    check(current.startswith("virtio_rng"), f"the source is {current}", devices().outcome)
    check(first != second, "two reads gave the same", devices().outcome)
    check(int(compressed) >= 4 * 4096, f"16384 random bytes fit into {compressed}", devices().outcome)


@case
def a_read_only_disk_refuses_writes():
    lines = devices()["readonly"].splitlines()
    check(lines[0] == "1", "the guest is not told", devices().outcome)
    check("written" not in lines and lines.count("refused") == 2, f"{lines}", devices().outcome)
    check(lines[-1] == "disk-3" and devices().third == "disk-3", "something else is on it", devices().outcome)


@case
def a_discarded_range_reads_as_zeroes_and_is_free_on_the_host():
    limit, done, inside, behind = devices()["discard"].splitlines()
    check(int(limit) > 0 and done == "discarded", "nothing was discarded", devices().outcome)
    check(inside == "0" and behind == str(MIB), f"{inside} and {behind} bytes are not 0", devices().outcome)
    freed = devices().blocks_before - devices().blocks_after
    check(freed == MIB // 512, f"{freed} blocks of 512 bytes were freed", devices().outcome)


@case
def a_disk_that_is_cut_short_is_an_i_o_error_and_the_guest_goes_on():
    parts = devices()
    check(parts["before"].count("1+0 records out") == 2, "the disk was not whole at first", parts.outcome)
    behind, inside = parts["after"].splitlines()
    check("Input/output error" in behind and inside == "1+0 records out", "after the cut", parts.outcome)
    check(parts["log"].count("dev vdd, sector 16384") == 1, "not the one request behind it", parts.outcome)
    check(parts.cut_size == str(4 * MIB), f"the file has {parts.cut_size} bytes", parts.outcome)
    check(parts["others"] == "still\n", "the other disks suffer", parts.outcome)


@case
def every_queue_in_use_has_a_message_interrupt_of_its_own():
    parts = devices()
    check_msi_x(parts["interrupts"], parts.outcome, idle="-config")
    requests = [name for name in virtio_interrupts(parts["interrupts"]) if "-req" in name]
    check(len(requests) == 4, f"vectors of four disks are {requests}", parts.outcome)


if __name__ == "__main__":
    sys.exit(main())
