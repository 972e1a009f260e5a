# SPDX-License-Identifier: Apache-2.0
"""Linux user spaces for guests: a busybox initramfs, and ext4 images, made without root."""
import io
import os
import subprocess
import tempfile

import image
from cpio import CpioWriter
from errors import Unavailable

# Equal contents give equal images.
FIXED_UUID = "6d61796f-666c-7920-6c61-6220726f6f74"
FIXED_TIME = "1767225600"

LOAD_MODULES = b"""#!/bin/sh
# Loads what the test chose, each after what it needs.
while read -r module; do insmod "$module" || echo "load-modules: $module failed"; done </modules/list
"""

MOUNTS = b"""#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts; mount -t devpts pts /dev/pts; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
"""


def busybox_entries(init, files=None, kernel=None, modules=()):
    """{path: bytes or a host's path} of a user space: busybox and its applets under /bin, `init` as /init and
    /sbin/init, /bin/mounts (the usual file systems) and /bin/load-modules (the chosen `modules` of `kernel`,
    uncompressed, with what they need; those that are built in are left out)."""
    entries = {"bin/busybox": image.find_busybox(), "bin/mounts": MOUNTS, "bin/load-modules": LOAD_MODULES}
    entries["init"] = init if isinstance(init, bytes) else init.encode()
    paths = kernel.in_load_order(modules) if modules else []
    names = [f"modules/{os.path.basename(image.uncompressed(path))}" for path in paths]
    for name, path in zip(names, paths):
        entries[name] = kernel.module_bytes(path)
    entries["modules/list"] = "".join(f"/{name}\n" for name in names).encode()
    entries["etc/passwd"] = image.PASSWD
    for name, content in (files or {}).items():
        entries[name.lstrip("/")] = content.encode() if isinstance(content, str) else content
    return entries


def applets():
    command = [image.find_busybox(), "--list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split() if name != "busybox"]


def is_program(name, content):
    if name == "init" or name.startswith(("bin/", "sbin/")):
        return True
    return content[:2] == b"#!" or content[:4] == b"\x7fELF"


def busybox_initramfs(init, files=None, kernel=None, modules=()):
    """The bytes of an initramfs whose /init is `init`: a shell script's text, beginning with #!/bin/sh, or
    an ELF program's bytes. `files` is {path: text or bytes}."""
    out = io.BytesIO()
    writer = CpioWriter(out)
    for name in ("dev", "proc", "sys", "tmp", "run", "root", "mnt", "sbin"):
        writer.directory(name)
    writer.character_device("dev/console", 5, 1)
    for name, content in busybox_entries(init, files, kernel, modules).items():
        if isinstance(content, bytes):
            writer.data(name, content, 0o755 if is_program(name, content) else 0o644)
        else:
            writer.host_file(name, content, 0o755)
    for name in applets():
        writer.symlink(f"bin/{name}", "busybox")
    writer.close()
    return out.getvalue()


def ext4_image(path, directory, size="64M"):
    """Makes an ext4 file system of what is in a directory, and returns `path`. Owners stay."""
    command = ["/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-d", directory, "-U", FIXED_UUID]
    command += ["-E", f"root_owner=0:0,hash_seed={FIXED_UUID},lazy_itable_init=0,lazy_journal_init=0"]
    try:
        made = subprocess.run(
            [*command, path, size],
            env={**os.environ, "E2FSPROGS_FAKE_TIME": FIXED_TIME, "SOURCE_DATE_EPOCH": FIXED_TIME},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable("mke2fs is not installed (package e2fsprogs)") from None
    if made.returncode != 0:
        raise Unavailable(f"mke2fs: {made.stderr.strip()}")
    return path


def busybox_ext4(path, init, files=None, kernel=None, modules=(), size="64M"):
    """Makes an ext4 root with busybox, its /sbin/init being `init`, and returns `path`."""
    with tempfile.TemporaryDirectory(prefix="mayfly-root-") as root:
        for name in ("dev", "proc", "sys", "tmp", "run", "root", "mnt", "bin", "sbin"):
            os.makedirs(os.path.join(root, name))
        for name, content in busybox_entries(init, files, kernel, modules).items():
            target = os.path.join(root, "sbin/init" if name == "init" else name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not isinstance(content, bytes):
                with open(content, "rb") as file:
                    content = file.read()
            with open(target, "wb") as file:
                file.write(content)
            os.chmod(target, 0o755 if is_program(name, content) else 0o644)
        for name in applets():
            os.symlink("busybox", os.path.join(root, "bin", name))
        return ext4_image(path, root, size)
