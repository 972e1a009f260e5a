# SPDX-License-Identifier: Apache-2.0
"""--disk with unusable values: status 125 and one line with the option, the value, and a remedy."""
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess

from harness import boot, case, check, check_out, check_refused, check_silent, check_status, guest, guest_file
from harness import main, popen, run, skip, temporary_directory, write_file
from virtio_harness import boot_at, check_good, disks, mounted, read_disk, wait_until_free

HELLO = guest("hello")


def refused(value, *parts):
    outcome = boot(HELLO, "--disk", value)
    check_refused(outcome, "--disk", *parts)
    return outcome


@contextlib.contextmanager
def two_disks():
    with disks(2, size=1 << 20, is_sparse=True) as paths:
        yield paths


@case
def a_missing_disk():
    with temporary_directory() as directory:
        path = os.path.join(directory, "missing")
        refused(path, path, "no such file", f"truncate -s 1G {path}")
        os.symlink(path, os.path.join(directory, "link"))
        refused(os.path.join(directory, "link"), "link", "no such file")
        check(not os.path.exists(path), "a missing disk was made")
        refused(write_file(directory, "file", b"x" * 512) + "/below", "file/below", "Not a directory")


@case
def an_unreadable_disk():
    """Root may read everything, so this runs without root's rights."""
    with temporary_directory() as directory:
        path = write_file(directory, "disk", bytes(512))
        wrapper = ()
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
            os.chmod(path, 0o600)
            wrapper = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
        else:
            os.chmod(path, 0)
        for value in (path, path + ",ro"):
            outcome = boot(HELLO, "--disk", value, wrapper=wrapper)
            check_refused(outcome, "--disk", path, "Permission denied")
        os.chmod(path, 0o444)
        outcome = boot(HELLO, "--disk", path, wrapper=wrapper)
        check_refused(outcome, "--disk", path, "for writing", "Permission denied", "add ,ro", ",overlay")
        for key in ("ro", "overlay"):
            outcome = boot(HELLO, "--disk", f"{path},{key}", "--timeout", 20, wrapper=wrapper)
            check_status(outcome, 0)


@case
def a_file_that_is_not_a_disk():
    with temporary_directory() as directory:
        refused(directory, directory, "is a directory")
        fifo = os.path.join(directory, "fifo")
        os.mkfifo(fifo)
        refused(fifo, fifo, "is a pipe")
        refused(fifo + ",ro", fifo, "is a pipe")
        refused("/dev/null", "/dev/null", "is a character device")
        refused("/dev/zero,ro", "/dev/zero", "is a character device")
        place = os.path.join(directory, "socket")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(place)
            refused(place, place)


@case
def sizes_that_no_disk_has():
    with temporary_directory() as directory:
        path = write_file(directory, "empty", b"")
        refused(path, path, "is empty", f"truncate -s 1G {path}")
        for size in (1, 511, 513, 1000):
            path = write_file(directory, "odd", bytes(size))
            refused(path, path, f"{size} bytes", "512", f"truncate -s %512 {path}")
        # The remedy works, and keeps the content.
        check(os.system(f"truncate -s %512 {path}") == 0 and os.path.getsize(path) == 1024, "no remedy")
        check_status(boot(HELLO, "--disk", path, "--timeout", 20), 0)


@case
def one_writable_disk_twice():
    with two_disks() as (path, other):
        hard, soft = path + "-hard", path + "-soft"
        os.link(path, hard)
        os.symlink(path, soft)
        relative = os.path.join(os.path.dirname(path), ".", os.path.basename(path))
        for twin in (path, hard, soft, relative):
            for pair in ((path, twin), (path + ",ro", twin), (path, twin + ",ro"), (twin + ",direct", path)):
                outcome = boot(HELLO, "--disk", pair[0], "--disk", other, "--disk", pair[1])
                check_refused(outcome, "--disk", path, twin, "one file", "give both ,ro or ,overlay")
            outcome = boot(HELLO, "--disk", path + ",overlay", "--disk", twin)
            check_refused(outcome, "--disk", path, twin, "one file", "give both ,ro or ,overlay")
        for first, second in itertools.product(("ro", "overlay"), repeat=2):
            both = ("--disk", f"{path},{first}", "--disk", f"{hard},{second}", "--timeout", 20)
            check_status(boot(HELLO, *both), 0)


@contextlib.contextmanager
def another_mayfly_with(value):
    """Another mayfly that has the disk, and reads it until the block ends."""
    append = "dev=blk count=100 rounds=1000000"
    other = popen(["boot", guest_file("iobench"), "--append", append, "--disk", value, "--timeout", 60])
    try:
        check(other.stdout.readline().startswith(b"iobench "), "the other mayfly does not read")
        yield other.pid
    finally:
        other.kill()
        other.communicate()


@case
def a_disk_that_another_mayfly_has():
    with two_disks() as (path, _):
        with another_mayfly_with(path) as process:
            holder = f"in use by process {process} (mayfly)"
            refused(path, path, holder, ",ro")
            refused(path + ",ro", path, holder, "another process writes")
        # Killed, it leaves nothing in the way.
        wait_until_free(path)
        check_status(boot(HELLO, "--disk", path, "--timeout", 20), 0)


@case
def a_disk_that_is_only_read_is_shared():
    with two_disks() as (path, _):
        for key in ("ro", "overlay"):
            with another_mayfly_with(f"{path},{key}") as process:
                for other in ("ro", "overlay"):
                    check_status(boot(HELLO, "--disk", f"{path},{other}", "--timeout", 20), 0)
                refused(path, path, f"in use by process {process} (mayfly)", "only disks that are ,ro or ,overlay")
            wait_until_free(path)


@case
def keys_that_are_not_known():
    with two_disks() as (path, _):
        for key in ("rw", "ro=1", "ro=", "direct=on", "queues", "id", "", "RO", "size=1M", "=", "=1"):
            outcome = refused(f"{path},{key}", "is not known", "FILE[,ro|,overlay][,direct][,format=raw][,queues=N]")
            check(f"'{key.split('=')[0]}" in outcome.err, f"{key} is not named", outcome)


@case
def invalid_values():
    with two_disks() as (path, _):
        for value, *parts in (
            ("queues=0", "queues", "0", "below 1"),
            ("queues=17", "queues", "17", "16"),
            ("queues=x", "queues", "'x'"),
            ("queues=-1", "queues", "'-1'"),
            ("queues=", "queues", "''"),
            ("queues=99999999999999999999", "queues", "99999999999999999999"),
            ("id=123456789012345678901", "id=123456789012345678901", "20"),
            ("iops=0", "iops=0", "1 to 2^40"),
            ("iops=many", "iops", "'many'"),
            ("iops=5:", "iops", "''"),
            ("iops=5:0", "iops=5:0", "1 to 2^40"),
            ("iops=5:5:5", "iops", "5:5"),
            ("iops=1099511627777", "iops", "1099511627777", "1099511627776"),
            ("bw=0", "bw=0", "1 to 2^40"),
            ("bw=1Q", "bw", "'1Q'", "128M"),
            ("bw=", "bw", "''"),
            ("format=", "format=", "a disk is raw"),
            ("format=qcow2", "format=qcow2", "a disk is raw", f"qemu-img convert -f qcow2 -O raw {path} {path}.raw"),
            ("overlay,ro", path, ",overlay", ",ro", "leave one out"),
            ("ro,queues=2,overlay", path, ",overlay", ",ro", "leave one out"),
        ):
            refused(f"{path},{value}", *parts)


@case
def an_image_that_is_not_raw():
    """By its magic number, in front or, of a VHD of fixed size, behind."""
    size = 64 << 10
    for name, qemu_name, at, magic in (
        ("qcow2", "qcow2", 0, b"QFI\xfb\0\0\0\3"),
        ("VMDK", "vmdk", 0, b"KDMV\1\0\0\0"),
        ("VMDK", "vmdk", 0, b"# Disk DescriptorFile\n"),
        ("VHD", "vpc", 0, b"conectix"),
        ("VHD", "vpc", size - 512, b"conectix"),
        ("VHDX", "vhdx", 0, b"vhdxfile"),
    ):
        image = bytearray(size)
        image[at : at + len(magic)] = magic
        with temporary_directory() as directory:
            path = write_file(directory, "disk", bytes(image))
            for options in ("", ",ro", ",overlay"):
                what = f"is a {name} image, and a disk is raw"
                command = f"qemu-img convert -f {qemu_name} -O raw {path} {path}.raw"
                refused(path + options, path, what, command, ",format=raw")
                said_so = boot(HELLO, "--disk", f"{path}{options},format=raw", "--timeout", 20)
                check_status(said_so, 0)
                check_silent(said_so)
            check(read_disk(path) == image, "the image was changed")


@case
def an_image_that_qemu_made_and_what_its_hint_makes_of_it():
    if shutil.which("qemu-img") is None:
        skip("no qemu-img")
    with disks(size=8 << 20) as (raw,):
        for name, kind, *options in (
            ("qcow2", "qcow2"),
            ("qcow", "qcow"),
            ("QED", "qed"),
            ("VMDK", "vmdk"),
            ("VMDK", "vmdk", "-o", "subformat=monolithicFlat"),
            ("VHD", "vpc"),
            ("VHD", "vpc", "-o", "subformat=fixed,force_size=on"),
            ("VHDX", "vhdx"),
            ("VDI", "vdi"),
            ("Parallels", "parallels"),
        ):
            image = f"{raw}.{kind}"
            make = ["qemu-img", "convert", "-f", "raw", "-O", kind, *options, raw, image]
            made = subprocess.run(make, capture_output=True, text=True, check=False)
            if "Unknown" in made.stderr or "not supported" in made.stderr:
                continue
            check(made.returncode == 0, f"{make}: {made.stderr}")
            outcome = refused(image, image, f"is a {name} image")
            command = outcome.err[outcome.err.index("qemu-img") : outcome.err.index(";")]
            subprocess.run(command.split(), check=True)
            check(read_disk(image + ".raw")[: 8 << 20] == read_disk(raw), f"{command}: made something else")
            check_status(boot(HELLO, "--disk", image + ".raw", "--timeout", 20), 0)
            for left in (image, image + ".raw"):
                os.unlink(left)


@case
def a_disk_without_a_name():
    refused(",ro", "without a file name", "--disk FILE")
    refused("", "empty")
    outcome = run("boot", HELLO, "--disk")
    check_refused(outcome, "--disk", "needs a value")


@case
def a_comma_in_a_name_is_written_twice():
    with temporary_directory() as directory:
        path = write_file(directory, "a,ro", bytes(8 << 20))
        outcome = boot_at("modern pci", "virtio", "device=blk", "--disk", path.replace(",", ",,"))
        check_good(outcome)
        refused(path, "/a", "no such file")


@case
def the_last_of_repeated_keys_counts():
    with disks() as (path,):
        options = ("--disk", path + ",queues=2,queues=4,id=first,id=second,ro,ro")
        outcome = boot_at("modern pci", "virtio", "device=blk", *options)
        check_good(outcome)
        check(b" queues 4 " in outcome.out, "another count of queues", outcome)


@case
def nothing_is_written_where_the_boot_fails():
    with disks() as (path,):
        before = os.stat(path).st_mtime_ns
        outcome = boot("/nonexistent/kernel", "--disk", path)
        check_refused(outcome, "/nonexistent/kernel", status=127)
        check(os.stat(path).st_mtime_ns == before, "the disk was touched")


@case
def direct_where_the_file_system_cannot():
    """ramfs has no O_DIRECT."""
    with mounted("ramfs") as directory:
        path = write_file(directory, "disk", bytes(8 << 20))
        refused(path + ",direct", path, "O_DIRECT", "leave out ,direct")
        check_good(boot_at("modern pci", "virtio", "device=blk", "--disk", path))


@case
def a_guest_without_a_driver_leaves_its_disk_alone():
    with disks() as (path,):
        before = os.stat(path).st_mtime_ns
        for io in ("inline", "thread", "auto"):
            outcome = boot(HELLO, "--disk", path, "--io", io, "--timeout", 20)
            check_status(outcome, 0)
            check_silent(outcome)
            check_out(outcome, b"Hello from mayfly\n")
        check(os.stat(path).st_mtime_ns == before, "the disk was touched")


@case
def a_terminating_signal_ends_a_guest_with_a_disk():
    with disks() as (path,):
        for io in ("inline", "thread"):
            append = "dev=blk depth=8 count=500 rounds=1000000"
            arguments = ["boot", guest_file("iobench"), "--io", io, "--disk", path, "--append", append]
            process = popen([*arguments, "--timeout", 60])
            check(process.stdout.readline().startswith(b"iobench "), "nothing was read")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            check(process.returncode in (143, -15), f"{io}: status {process.returncode} after SIGTERM")



main()
