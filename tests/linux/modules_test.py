# SPDX-License-Identifier: Apache-2.0
"""What --exec needs of a host's files, with Debian's kernels: room for an unpacked root, and modules as a package
has them; and what is said where something is lacking."""
import re

from harness import CRASHED, FAILED, OK, case, check, check_match, check_out, check_status, kernel, linux_host, main
from guests import image

BOOT_SECONDS = 300
VERSIONS = ("6.1", "6.12")

busybox = image.find_busybox()
host = linux_host(
    kernels=["6.1/bzImage", "6.1/modules", "6.12/vmlinux", "6.12/modules"],
    files={"/work/root/bin/busybox": busybox, "/work/disk": b"DISK\n" + bytes((1 << 20) - 5)},
)
check_status(host.run("chmod 755 root/bin/busybox && ln -s busybox root/bin/sh"), OK)
DISK = ("--disk", host.path("/work/disk"))


def kernel_path(version):
    return host.path("/kernels/6.1/bzImage" if version == "6.1" else "/kernels/6.12/vmlinux")


def release(version):
    return kernel(version).release


def unpacked_package(version, name):
    """Makes a package's tree without depmod's files, as far as its devices need it; its kernel's path."""
    modules = f"{name}/usr/lib/modules/{release(version)}"
    source = host.path(f"/kernels/{version}/modules")
    parts = " ".join(f"{source}/kernel/drivers/{part}" for part in ("block", "char", "net", "virtio"))
    nets = f"{source}/kernel/net/core"
    made = host.run(
        f"mkdir -p {name}/boot {modules}/kernel/drivers {modules}/kernel/net && "
        f"cp -r {parts} {modules}/kernel/drivers && if test -d {nets}; then cp -r {nets} {modules}/kernel/net; fi && "
        f"cp {source}/modules.builtin {modules} && cp {kernel_path(version)} {name}/boot/vmlinuz"
    )
    check_status(made, OK)
    return host.path(f"/work/{name}/boot/vmlinuz")


def shell(version, command, *options, root="/work/root", at=None):
    words = ["--root", host.path(root), *options, "--exec", "sh", "--", "-c", command]
    return host.mayfly("boot", at or kernel_path(version), *words, timeout=BOOT_SECONDS)


def fill(directory, mebibytes):
    made = host.run(
        f"mkdir -p {directory} && cp -r root/. {directory} && "
        f"dd if=/dev/urandom of={directory}/large bs=1M count={mebibytes}"
    )
    check_status(made, OK)


@case
def a_root_that_would_not_fit_unpacked_is_refused_with_a_memory_that_does():
    fill("wide", 60)
    try:
        for version in VERSIONS:
            outcome = shell(version, "exit 3", root="/work/wide")
            check_status(outcome, FAILED)
            check_match(
                outcome,
                r"^mayfly: the initramfs takes 62 MiB, and unpacked 62 MiB more, for which Linux has room for "
                r"\d+ MiB of --memory 128 MiB: half of .*\(--memory \d+M would do, or a smaller --root\)\n$",
            )
        memory = re.search(r"--memory (\d+M) would", outcome.err).group(1)
        outcome = shell("6.12", "md5sum /large && exit 3", "--memory", memory, root="/work/wide")
        check_status(outcome, 3)
        check_out(outcome, host.run("md5sum wide/large").out.replace(b"wide/", b"/"))
    finally:
        host.run("rm -r wide")


@case
def a_root_that_did_not_fit_is_told_by_init():
    # With rootfstype= mayfly knows of no half, and this one says that there is.
    fill("wide", 35)
    try:
        outcome = shell("6.12", "exit 3", "--append", "rootfstype=tmpfs", root="/work/wide")
        check_status(outcome, FAILED)
        check_match(
            outcome, r"^mayfly: mayfly's init could not find all of its root, .*--memory\): No space left on device\n$"
        )
    finally:
        host.run("rm -r wide")


def auto_finds(version):
    at = unpacked_package(version, f"package-{version}")
    try:
        look = "head -c 4 /dev/vda; head -c 16 /dev/hwrng | wc -c"
        outcome = shell(version, look, *DISK, "--rng", "--modules", "auto", at=at)
        check_status(outcome, OK)
        check_out(outcome, b"DISK16\n")
        check(outcome.err == "", "stderr is not empty", outcome)
    finally:
        host.run(f"rm -r package-{version}")


@case
def auto_finds_the_modules_of_a_package_beside_its_bzimage():
    auto_finds("6.1")


@case
def auto_finds_the_modules_of_a_package_beside_its_vmlinux():
    auto_finds("6.12")


@case
def auto_that_finds_nothing_says_where_it_looked():
    # Of 6.1 it could find the modules of the lab's own kernel.
    outcome = shell("6.12", "true", *DISK, "--modules", "auto")
    check_status(outcome, FAILED)
    check_match(
        outcome,
        rf"^mayfly: --modules auto: no modules of Linux {re.escape(release('6.12'))} in .*/lib/modules/.*, "
        rf"/usr/lib/modules/{re.escape(release('6.12'))}; the guest needs virtio_\w+ \(--modules DIR\)\n$",
    )


@case
def modules_of_another_kernel_are_refused_with_both_releases():
    outcome = shell("6.12", "true", *DISK, "--modules", host.path("/kernels/6.1/modules"))
    check_status(outcome, FAILED)
    check_match(
        outcome,
        rf"^mayfly: .*: has the modules of Linux {re.escape(release('6.1'))}, "
        rf"and the kernel is {re.escape(release('6.12'))} ",
    )


@case
def a_disk_that_no_driver_took_is_told_with_the_cure():
    outcome = shell("6.12", "test -e /dev/vda || exit 4", *DISK, "--rng")
    check_status(outcome, 4)
    taken = r"mayfly: warning: {}: no driver of the guest took it; this kernel has {} as a module, if at all: "
    check_match(outcome, "^" + taken.format("disk0", "virtio_blk") + r"--modules auto, or --modules DIR\n")
    # Without a program of ours, a guest that found its root on no disk.
    append = ("--append", "root=/dev/vda")
    outcome = host.mayfly("boot", kernel_path("6.12"), *DISK, *append, timeout=BOOT_SECONDS)
    check_status(outcome, CRASHED)
    check_match(outcome, taken.format("disk0", "virtio_blk") + r"its initramfs has to load virtio_blk\n$")


main()
