# SPDX-License-Identifier: Apache-2.0
"""Debian's Xen as shipped, in gzip as GRUB reads it, comes up by Multiboot 1 and 2: without a dom0 kernel it
says so, and with Debian's kernel as its module it starts that."""
import glob
import os

from harness import OK, cache_directory, case, check, check_status, linux_host, main, packages, skip_program
from errors import Unavailable

BOOT_SECONDS = 300
XEN = "xen-hypervisor-4.17-amd64"
# The cloud kernels cannot be a dom0.
DOM0 = "linux-image-amd64"
# smap=off: under the nested lab's QEMU a ring 3 that executes iret reads its stack as ring 0 would, which SMAP
# forbids; so does each PV kernel under Xen, before it can handle the fault.
XEN_WORDS = "console=com1 com1=115200,8n1 smap=off"


def boot_file(package, pattern):
    try:
        directory = packages.fetch(package, os.path.join(cache_directory, "packages"), part="boot")
        return glob.glob(os.path.join(directory, "boot", pattern))[0]
    except (Unavailable, IndexError) as error:
        skip_program(f"no {pattern} of {package}: {error}")


host = linux_host(
    files={"/work/xen.gz": boot_file(XEN, "xen-*.gz"), "/work/vmlinuz": boot_file(DOM0, "vmlinuz-6.1*")}
)


def xen_says(expected, protocol, words, *options):
    outcome = host.mayfly(
        "boot",
        host.path("/work/xen.gz"),
        "--protocol",
        protocol,
        "--memory",
        "512M",
        "--append",
        words,
        "--expect",
        expected,
        *options,
        timeout=BOOT_SECONDS,
    )
    check_status(outcome, OK)
    return outcome


def lacks_a_dom0(protocol):
    outcome = xen_says(r"^\(XEN\) dom0 kernel not specified\.", protocol, XEN_WORDS)
    check(b"(XEN) Xen version 4.17" in outcome.out, "no banner of Xen's", outcome)
    check(f"(XEN) Command line: {XEN_WORDS}".encode() in outcome.out, "not its command line", outcome)


def starts_dom0(protocol):
    # Xen's own lines take half of the time: a character is four exits.
    words = XEN_WORDS + " loglvl=error"
    module = f"{host.path('/work/vmlinuz')} console=hvc0 earlyprintk=xen"
    xen_says(r"^\[ +0\.000000\] Linux version 6\.1\.", protocol, words, "--module", module)


@case
def xen_by_multiboot_1_says_that_it_lacks_a_dom0_kernel():
    lacks_a_dom0("multiboot")


@case
def xen_by_multiboot_2_says_that_it_lacks_a_dom0_kernel():
    lacks_a_dom0("multiboot2")


@case
def xen_by_multiboot_1_starts_its_module_as_dom0():
    starts_dom0("multiboot")


@case
def xen_by_multiboot_2_starts_its_module_as_dom0():
    starts_dom0("multiboot2")


main()
