# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels, as shipped: downloaded once into a cache that any number of processes may share.

A package is unpacked into CACHE/NAME-VERSION; what is made from it (the uncompressed vmlinux, modules.dep)
lies beside it. Everything is made under a lock and under another name, then renamed.
"""
import contextlib
import fcntl
import glob
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile

from errors import Unavailable

KERNELS = {"6.1": "linux-image-cloud-amd64", "6.12": "linux-image-6.12-cloud-amd64"}
DOWNLOAD_SECONDS = 300

# Linux boot protocol, "The Real-Mode Kernel Header": where a bzImage describes its parts.
SETUP_SECTORS, PAYLOAD_OFFSET, PAYLOAD_LENGTH = 0x1F1, 0x248, 0x24C
SECTOR_BYTES = 512
UNPACKERS = {
    b"\x02\x21\x4c\x18": ("lz4", "-d", "-c"),
    b"\x28\xb5\x2f\xfd": ("zstd", "-d", "-c", "-q"),
}


@contextlib.contextmanager
def locked(directory):
    """One maker at a time; the others wait, and then find it made."""
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, ".lock"), "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def output_of(*command, directory=None):
    try:
        return subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, "LC_ALL": "C"},  # apt's words are looked for
            capture_output=True,
            text=True,
            check=True,
            timeout=DOWNLOAD_SECONDS,
        ).stdout
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{' '.join(command)}: no end after {DOWNLOAD_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(command)}: {error.stderr.strip()}") from None


def real_package(name):
    """The dependency of a meta-package; the package itself when it is an ordinary one."""
    found = re.search(r"Depends: (linux-image-\d\S+)", output_of("apt-cache", "depends", name))
    return found.group(1) if found else name


def resolved(name, cache):
    """The real package's name, asked of apt once: what was fetched is used until the note is removed."""
    note = os.path.join(cache, name + ".resolved")
    if os.path.exists(note):
        with open(note, encoding="utf-8") as file:
            return file.read().strip()
    package = real_package(name)
    write_whole(note, package.encode())
    return package


def write_whole(path, data):
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        file.write(data)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def fetch(name, cache, part=None):
    """The directory that the package is unpacked in; `part` is the only one of its directories that is
    wanted, where the rest is large: "boot"."""
    with locked(cache):
        try:
            return _fetch(name, cache, part)
        except Unavailable:
            # A machine that has never read its package lists does so now.
            if os.geteuid() != 0:
                raise
            subprocess.run(["apt-get", "-q", "update"], capture_output=True, timeout=300, check=False)
            return _fetch(name, cache, part)


def _unpack(archive, directory, part):
    if part is None:
        output_of("dpkg-deb", "-x", archive, directory)
        return
    os.makedirs(directory)
    # tar says what a pipe of dpkg-deb's that ends early lacks.
    piped = 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" "$2"'
    output_of("sh", "-c", piped, archive, directory, f"./{part}")


def _fetch(name, cache, part):
    package = resolved(name, cache)
    directory = os.path.join(cache, f"{package}-{part}" if part else package)
    if not os.path.isdir(directory):
        with tempfile.TemporaryDirectory(dir=cache) as work:
            output_of("apt-get", "-q", "download", package, directory=work)
            archives = glob.glob(os.path.join(work, package + "_*.deb"))
            if not archives:
                raise Unavailable(f"apt-get download {package}: no package came")
            unpacked = os.path.join(work, "unpacked")
            _unpack(archives[0], unpacked, part)
            os.rename(unpacked, directory)
    return directory


def unpack_vmlinux(bzimage):
    """The ELF file inside a bzImage."""
    with open(bzimage, "rb") as file:
        image = file.read()
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    start = (image[SETUP_SECTORS] + 1) * SECTOR_BYTES + offset
    payload = image[start : start + length]
    tool = UNPACKERS.get(payload[:4])
    if tool is None:
        raise Unavailable(f"{bzimage}: a payload of unknown compression: {payload[:4].hex()}")
    # The size of what comes out stands behind what is packed.
    size = struct.unpack("<I", payload[-4:])[0]
    try:
        elf = subprocess.run(tool, input=payload[:-4], capture_output=True, check=False).stdout
    except FileNotFoundError:
        raise Unavailable(f"{tool[0]} is not installed (package {tool[0]})") from None
    if len(elf) != size or elf[:4] != b"\x7fELF":
        raise Unavailable(f"{bzimage}: {tool[0]} made {len(elf)} bytes of it, expected {size} of an ELF file")
    return elf


class Kernel:
    """One of KERNELS: where its parts are. Whatever is missing is made at the first use."""

    def __init__(self, version, cache):
        if version not in KERNELS:
            raise Unavailable(f"no kernel {version}; known are {', '.join(KERNELS)}")
        self.version = version
        self.cache = os.path.abspath(cache)
        self.directory = fetch(KERNELS[version], self.cache)
        self.package = os.path.basename(self.directory)
        self.bzimage = glob.glob(os.path.join(self.directory, "boot", "vmlinuz-*"))[0]
        self.release = os.path.basename(self.bzimage).removeprefix("vmlinuz-")

    @property
    def vmlinux(self):
        path = os.path.join(self.cache, f"vmlinux-{self.release}")
        with locked(self.cache):
            if not os.path.exists(path):
                write_whole(path, unpack_vmlinux(self.bzimage))
        return path

    @property
    def modules(self):
        """The directory lib/modules/RELEASE, with modules.dep."""
        path = os.path.join(self.directory, "lib", "modules", self.release)
        with locked(self.cache):
            if not os.path.exists(os.path.join(path, "modules.dep.made")):
                depmod = shutil.which("depmod", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
                if depmod is None:
                    raise Unavailable("depmod is not installed (package kmod)")
                output_of(depmod, "-b", self.directory, self.release)
                write_whole(os.path.join(path, "modules.dep.made"), b"")
        return path

    def dependencies(self):
        """{path below .modules: the paths it needs, in the reverse of the order of loading}"""
        with open(os.path.join(self.modules, "modules.dep"), encoding="utf-8") as file:
            lines = (line.partition(":") for line in file)
            return {path: needs.split() for path, _, needs in lines}

    def in_load_order(self, names):
        """Paths below .modules for the modules `names` and what they need, each after those it needs. A name
        that is not a module (built in, or unknown) is left out."""
        dependencies = self.dependencies()
        by_name = {module_name(path): path for path in dependencies}
        ordered = []
        for name in names:
            path = by_name.get(name.replace("-", "_"))
            if path is not None:
                ordered += [*reversed(dependencies[path]), path]
        return list(dict.fromkeys(ordered))

    def module_bytes(self, path):
        """The uncompressed module at a path below .modules."""
        with open(os.path.join(self.modules, path), "rb") as file:
            data = file.read()
        return lzma.decompress(data) if path.endswith(".xz") else data


def module_name(path):
    return os.path.basename(path).split(".ko")[0].replace("-", "_")
