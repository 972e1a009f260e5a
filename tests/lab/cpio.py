# SPDX-License-Identifier: Apache-2.0
"""Writes an initramfs: an archive in the format newc (Linux 6.12, Documentation/driver-api/early-userspace/
buffer-format.rst). Every entry belongs to root and has the time 0, so that equal contents give equal
archives."""
import os
import shutil
import stat

TRAILER = "TRAILER!!!"
# Debian's layout: these are links in the base image, so nothing may be made below them.
MERGED = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}


class CpioWriter:
    """Writes to a binary file. Directories on the way to an entry are made by themselves."""

    def __init__(self, file, merged_usr=False):
        self._file = file
        self._merged_usr = merged_usr
        self._inode = 0
        self._made = set()

    def _canonical(self, path):
        path = os.path.normpath(path).lstrip("/")
        first, slash, rest = path.partition("/")
        if self._merged_usr and slash and first in MERGED:
            return f"{MERGED[first]}/{rest}"
        return path

    def _header(self, path, mode, size, device=(0, 0), links=1):
        self._inode += 1
        name = path.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, links, 0, size, 0, 0, *device, len(name), 0)
        self._file.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
        self._pad(110 + len(name))

    def _pad(self, size):
        self._file.write(b"\0" * (-size % 4))

    def _entry(self, path, mode, data=b"", device=(0, 0)):
        path = self._canonical(path)
        self._parents(path)
        self._header(path, mode, len(data), device)
        self._file.write(data)
        self._pad(len(data))

    def _parents(self, path):
        parent = os.path.dirname(path)
        if parent and parent not in self._made:
            self.directory(parent)

    def directory(self, path, mode=0o755):
        path = self._canonical(path)
        if path in self._made or path == ".":
            return
        self._parents(path)
        self._made.add(path)
        self._header(path, stat.S_IFDIR | mode, 0, links=2)

    def data(self, path, data, mode=0o644):
        self._entry(path, stat.S_IFREG | mode, data)

    def symlink(self, path, target):
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path, major, minor, mode=0o600):
        self._entry(path, stat.S_IFCHR | mode, device=(major, minor))

    def host_file(self, path, source, mode=None):
        """Copies a file of the host without holding it in memory."""
        path = self._canonical(path)
        self._parents(path)
        with open(source, "rb") as file:
            info = os.fstat(file.fileno())
            mode = stat.S_IMODE(info.st_mode) if mode is None else mode
            self._header(path, stat.S_IFREG | mode, info.st_size)
            shutil.copyfileobj(file, self._file, 1 << 20)
        self._pad(info.st_size)

    def host_tree(self, path, source):
        """A file, a link, or a directory and all below it; sockets and devices are left out."""
        if os.path.islink(source):
            self.symlink(path, os.readlink(source))
        elif os.path.isdir(source):
            self.directory(path)
            for name in sorted(os.listdir(source)):
                self.host_tree(f"{path}/{name}", os.path.join(source, name))
        elif os.path.isfile(source):
            self.host_file(path, source)

    def close(self):
        self._header(TRAILER, 0, 0)
