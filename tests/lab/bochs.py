# SPDX-License-Identifier: Apache-2.0
"""Bochs, which emulates VMX with APICv and posted interrupts. Debian 12's is too old, so this one is built from
the source package of a later Debian release, with the corrections in bochs.patch. Everything lies in a cache:
nothing is installed, and the machine's own apt stays as it is.
"""
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

import packages
from errors import LabError, Unavailable

RELEASE = "trixie"
# What is built, and the firmware of the machine that it emulates: {package: (file in it, name in the cache)}.
SOURCE = "bochs"
FIRMWARE = {
    "bochsbios": ("usr/share/bochs/BIOS-bochs-latest", "bios"),
    "vgabios": ("usr/share/vgabios/vgabios.bin", "vgabios"),
}
CONFIGURE = (
    "--enable-cpu-level=6", "--enable-x86-64", "--enable-vmx=2", "--enable-smp", "--enable-all-optimizations",
    "--enable-avx", "--enable-evex", "--enable-pci", "--enable-long-phy-address", "--enable-show-ips=no",
    "--disable-plugins", "--disable-docbook", "--with-nogui", "--with-term=no",
)  # fmt: skip
PATCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bochs.patch")
BUILD_SECONDS = 3600
LOG_LINES = 20
# What the build is made with: a program, and the Debian package that has it.
PROGRAMS = {"g++": "g++", "make": "make", "patch": "patch", "apt-get": "apt", "tar": "tar", "xz": "xz-utils"}


def bochs(cache):
    """The directory with `bochs`, `bios` and `vgabios`, made when it does not exist: three minutes of a CPU.

    Errors: Unavailable where the packages cannot be downloaded, LabError where the build fails."""
    with open(PATCH, "rb") as file:
        digest = hashlib.sha256(file.read() + repr((RELEASE, CONFIGURE, FIRMWARE)).encode()).hexdigest()
    directory = os.path.join(cache, "bochs")
    made = os.path.join(directory, f"bochs-{RELEASE}-{digest[:16]}")
    with packages.locked(directory):
        if not os.path.isdir(made):
            # Left by a build that was killed.
            for half in glob.glob(os.path.join(directory, "making-*")):
                shutil.rmtree(half)
            print("lab: building Bochs, once: some three minutes of a CPU", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=directory, prefix="making-") as work:
                os.rename(make(work), made)
    return made


def make(work):
    """The directory that is to be kept, in `work`."""
    apt = PrivateApt(os.path.join(work, "apt"))
    source, made = os.path.join(work, "source"), os.path.join(work, "made")
    os.mkdir(source)
    os.mkdir(made)
    for package, (path, name) in FIRMWARE.items():
        shutil.copy(os.path.join(apt.unpacked(package), path), os.path.join(made, name))
    run("tar", "-xf", apt.source_archive(SOURCE), "-C", source, "--strip-components=1")
    run("patch", "-p1", "-i", PATCH, directory=source)
    run("./configure", *CONFIGURE, directory=source)
    run("make", f"-j{os.cpu_count()}", directory=source)
    run("strip", "-o", os.path.join(made, "bochs"), os.path.join(source, "bochs"))
    return made


def run(*command, directory=None):
    """A step of the build."""
    try:
        done = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=BUILD_SECONDS,
                              check=False)  # fmt: skip
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"Bochs: {command[0]} did not end within {BUILD_SECONDS} s") from None
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-LOG_LINES:])
        raise LabError(f"Bochs: {' '.join(command)} failed with status {done.returncode}:\n{end}")


class PrivateApt:
    """apt with lists and archives of its own, for another release from the mirrors of this machine."""

    def __init__(self, directory):
        self._directory = directory
        for name in ("parts", "lists/partial", "archives/partial", "downloads"):
            os.makedirs(os.path.join(directory, name))
        packages.write_whole(os.path.join(directory, "parts", "release.sources"), sources().encode())
        self._options = []
        for key, value in (("Dir::Etc::sourcelist", "/dev/null"),
                           ("Dir::Etc::sourceparts", os.path.join(directory, "parts")),
                           ("Dir::State::lists", os.path.join(directory, "lists")),
                           ("Dir::Cache::archives", os.path.join(directory, "archives")),
                           ("Dir::Cache::pkgcache", ""), ("Dir::Cache::srcpkgcache", ""),
                           ("APT::Sandbox::User", "root")):  # fmt: skip
            self._options += ["-o", f"{key}={value}"]
        packages.output_of("apt-get", "-q", *self._options, "update")

    def _download(self, *words):
        """Where what was downloaded is. apt checks the release's signature, and each file against it."""
        directory = tempfile.mkdtemp(dir=os.path.join(self._directory, "downloads"))
        packages.output_of("apt-get", "-q", *self._options, *words, directory=directory)
        return directory

    def unpacked(self, package):
        """The directory that a binary package is unpacked in."""
        directory = self._download("download", package)
        unpacked = os.path.join(directory, "unpacked")
        packages.output_of("dpkg-deb", "-x", glob.glob(os.path.join(directory, "*.deb"))[0], unpacked)
        return unpacked

    def source_archive(self, package):
        """The archive of a package's source as its authors published it. Not every mirror keeps the .dsc, which
        is not needed: the archive is checked against the release's signed list."""
        shown = packages.output_of("apt-cache", *self._options, "showsrc", package)
        listed = re.search(r"(?m)^ ([0-9a-f]{64}) \d+ (\S+\.orig\.tar\.\w+)$", shown)
        if listed is None:
            raise Unavailable(f"{RELEASE} has no source of {package}")
        digest, name = listed.groups()
        try:
            self._download("source", "--download-only", package)
        except Unavailable as error:
            why = str(error)
        else:
            why = "no such file came"
        for path in glob.glob(os.path.join(self._directory, "downloads", "*", name)):
            with open(path, "rb") as file:
                if hashlib.sha256(file.read()).hexdigest() == digest:
                    return path
            raise LabError(f"{name}: its SHA-256 differs from the release's list")
        raise Unavailable(f"{name}: {why}")


def sources():
    """A list of sources for RELEASE, from those that this machine has for its own."""
    with open("/etc/os-release", encoding="utf-8") as file:
        found = re.search(r"(?m)^VERSION_CODENAME=(\w+)", file.read())
    if found is None:
        raise Unavailable("/etc/os-release names no release of Debian")
    own = found.group(1)
    stanzas = [*new_style(own), *old_style(own)]
    if not stanzas:
        raise Unavailable(f"/etc/apt has no source of packages for {own}")
    return "\n\n".join("".join(f"{key}: {value}\n" for key, value in stanza.items()) for stanza in stanzas)


def new_style(own):
    for path in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")):
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"(?m)^#.*\n", "", file.read())
        for part in re.split(r"\n[ \t]*\n", text):
            stanza = dict(re.findall(r"(?m)^([\w-]+):[ \t]*((?:.|\n[ \t])*)$", part))
            if own in stanza.get("Suites", "").split():
                yield stanza | {"Suites": RELEASE, "Types": "deb deb-src"}


def old_style(own):
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*.list"))]:
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            lines = file.read()
        line = rf"(?m)^deb[ \t]+(?:\[([^]]*)\][ \t]*)?(\S+)[ \t]+{own}[ \t]+(.*)$"
        for options, uri, components in re.findall(line, lines):
            stanza = {"Types": "deb deb-src", "URIs": uri, "Suites": RELEASE, "Components": components}
            signed = re.search(r"signed-by=(\S+)", options)
            yield stanza | ({"Signed-By": signed.group(1)} if signed else {})
