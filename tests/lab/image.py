# SPDX-License-Identifier: Apache-2.0
"""The lab's initramfs: a base, made once and cached, and an overlay with what one lab is given."""
import glob
import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time

import packages
from cpio import CpioWriter, MERGED
from errors import Unavailable

# An image that was not used for this long may be removed.
STALE_SECONDS = 24 * 3600
# What QEMU reads from these directories to start a PC or a microvm with a serial port and virtio devices.
FIRMWARE = ("bios-256k.bin", "bios-microvm.bin", "bios.bin", "kvmvapic.bin", "linuxboot.bin",
            "linuxboot_dma.bin", "multiboot.bin", "multiboot_dma.bin", "pvh.bin", "qboot.rom")  # fmt: skip
FIRMWARE_DIRECTORIES = ("/usr/share/qemu", "/usr/share/seabios")
QEMU_MODULES = "/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so"
SIGNATURE_MARK, SIGNATURE_INFO_BYTES = b"~Module signature appended~\n", 12
INTERPRETER = re.compile(rb"^#!\s*(\S+)")

PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
GROUP = b"root:x:0:\ntty:x:5:\nkvm:x:36:\nnogroup:x:65534:\n"


def find_busybox():
    """The static one; the package of the other name links against libraries."""
    busybox = shutil.which("busybox")
    if busybox is None or b"INTERP" in subprocess.run(
        ["readelf", "-lW", busybox], capture_output=True, check=False
    ).stdout:
        raise Unavailable("no static busybox (package busybox-static)")
    return busybox


def base_image(cache, kernel, agent, machine):
    """The path of the base image for these inputs."""
    busybox = find_busybox()
    chosen = kernel.package, machine.modules, machine.modules_at_hand, machine.channel_device
    digest = hashlib.sha256(repr(chosen).encode())
    sources = [os.path.join(os.path.dirname(os.path.abspath(__file__)), n) for n in ("image.py", "cpio.py")]
    for path in (busybox, agent, *sources):
        with open(path, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    path = os.path.join(cache, f"base-{machine.name}-{kernel.version}-{digest.hexdigest()[:16]}.cpio")
    kernel.dependencies()  # made before the lock is taken
    with packages.locked(cache):
        if not os.path.exists(path):
            remove_stale(cache)
            with tempfile.NamedTemporaryFile(dir=cache, prefix="making-", delete=False) as file:
                write_base(file, kernel, agent, busybox, machine)
            os.replace(file.name, path)
        os.utime(path)
    return path


def remove_stale(cache):
    for pattern in ("base-*.cpio", "making-*"):
        for path in glob.glob(os.path.join(cache, pattern)):
            if time.time() - os.path.getmtime(path) > STALE_SECONDS:
                os.remove(path)


def write_base(file, kernel, agent, busybox, machine):
    writer = CpioWriter(file, merged_usr=True)
    for name in ("dev", "etc", "proc", "root", "run", "sys", "tmp", "mnt", "var", "work"):
        writer.directory(name)
    for name, target in MERGED.items():
        writer.directory(target)
        writer.symlink(name, target)
    writer.symlink("var/run", "../run")
    writer.symlink("var/tmp", "../tmp")
    # The first process's stdin, stdout and stderr, before anything is mounted.
    writer.character_device("dev/console", 5, 1)
    writer.data("etc/passwd", PASSWD)
    writer.data("etc/group", GROUP)
    writer.data("etc/hosts", b"127.0.0.1 localhost lab\n")
    writer.host_file("init", agent, 0o755)
    write_busybox(writer, busybox)
    write_modules(writer, kernel, machine)
    writer.data("etc/lab-channel", machine.channel_device.encode())
    writer.close()


def write_busybox(writer, busybox):
    writer.host_file("usr/bin/busybox", busybox, 0o755)
    listed = subprocess.run([busybox, "--list-full"], capture_output=True, text=True, check=True).stdout
    links = {os.path.join("/", "usr" if not p.startswith("usr/") else "", p) for p in listed.split()}
    for path in sorted(links):
        if os.path.basename(path) != "busybox":
            writer.symlink(path, "/usr/bin/busybox")


def write_modules(writer, kernel, machine):
    directory = f"usr/lib/modules/{kernel.release}"
    loaded = kernel.in_load_order(machine.modules)
    kept = kernel.in_load_order((*machine.modules, *machine.modules_at_hand))
    for path in kept:
        # The agent and busybox's modprobe load uncompressed ones.
        writer.data(f"{directory}/{uncompressed(path)}", unsigned(kernel.module_bytes(path)))
    dependencies = kernel.dependencies()
    lines = [f"{uncompressed(p)}: {' '.join(map(uncompressed, dependencies[p]))}".rstrip() for p in kept]
    writer.data(f"{directory}/modules.dep", "".join(line + "\n" for line in lines).encode())
    writer.data("etc/lab-modules", "".join(f"/{directory}/{uncompressed(p)}\n" for p in loaded).encode())


def unsigned(module):
    """Without the signature that is appended to a module, whose check is a fifth of the lab's boot."""
    if not module.endswith(SIGNATURE_MARK):
        return module
    # Linux 6.12, include/linux/module_signature.h: the structure before the mark ends with the length.
    end = len(module) - len(SIGNATURE_MARK)
    length = struct.unpack(">I", module[end - 4 : end])[0]
    return module[: end - SIGNATURE_INFO_BYTES - length]


def uncompressed(path):
    return path.removesuffix(".xz")


def libraries_of(program):
    """The shared libraries of an ELF file; none for a static one or a script."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    if "not found" in listed:
        raise Unavailable(f"{program} lacks libraries: {listed}")
    return sorted(set(re.findall(r"(/\S+) \(0x", listed)))


def tool_files(name):
    """{path in the lab: path of the host} for a program of the host and all that it needs to run."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    program = name if "/" in name else shutil.which(name, path=path)
    if program is None or not os.path.exists(program):
        raise Unavailable(f"--tool {name}: no such program on this host")
    programs = [program]
    files = {}
    if os.path.basename(program).startswith("qemu-system"):
        programs += [path for path in (QEMU_MODULES,) if os.path.exists(path)]
        for directory in FIRMWARE_DIRECTORIES:
            for firmware in FIRMWARE:
                path = os.path.join(directory, firmware)
                if os.path.exists(path):
                    files[path] = os.path.realpath(path)
    for path in programs:
        guest = f"/usr/bin/{os.path.basename(path)}" if path == program else path
        files[guest] = os.path.realpath(path)
        files.update({library: os.path.realpath(library) for library in libraries_of(path)})
    return files


def write_overlay(file, files):
    """`files` is {path in the lab: path of the host, or bytes}. Scripts' bytes are made executable."""
    writer = CpioWriter(file, merged_usr=True)
    for guest, source in files.items():
        if isinstance(source, bytes):
            writer.data(guest, source, 0o755 if INTERPRETER.match(source) else 0o644)
        else:
            writer.host_tree(guest, os.path.realpath(source))
    writer.close()
