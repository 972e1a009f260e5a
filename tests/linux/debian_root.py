# SPDX-License-Identifier: Apache-2.0
"""A Debian root file system made by debootstrap, kept in the lab's cache as an ext4 image."""
import os
import shutil
import subprocess
import tempfile

from harness import cache_directory
from errors import Unavailable
from guests import ext4_image
from packages import locked, output_of

SUITE = "bookworm"
PACKAGES = ("fio", "iproute2", "iputils-ping")
IMAGE_SIZE = "640M"
MAKING_SECONDS = 1200
# Files that a test does not read: a third of the whole.
LEFT_OUT = ("usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt", "var/lib/apt/lists")


def mirror():
    """Where apt has SUITE from on this machine: the first of its sources that is Debian's own."""
    fields = "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)"
    listed = output_of("apt-get", "indextargets", "--format", fields)
    for line in listed.splitlines():
        origin, codename, component, uri = line.split("|")
        if (origin, codename, component) == ("Debian", SUITE, "main"):
            return uri
    raise Unavailable(f"apt has no source of Debian's {SUITE}; as root: apt-get update")


def make_root(directory):
    tool = shutil.which("debootstrap", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if tool is None:
        raise Unavailable("debootstrap is not installed")
    if os.geteuid() != 0:
        raise Unavailable("debootstrap needs root")
    # apt's own proxy, if it has one, is for this too.
    shell = output_of("apt-config", "shell", "PROXY", "Acquire::http::Proxy")
    proxy = shell.partition("=")[2].strip().strip("'")
    made = subprocess.run(
        [tool, "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, directory, mirror()],
        env={**os.environ, **({"http_proxy": proxy} if proxy else {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=MAKING_SECONDS,
        check=False,
    )
    if made.returncode != 0:
        raise Unavailable(f"debootstrap: status {made.returncode}: {made.stdout[-1000:].strip()}")


def debian_image():
    """The image's path; made when it is missing. Unavailable where debootstrap cannot run."""
    path = os.path.join(cache_directory, f"debian-{SUITE}-{'-'.join(PACKAGES)}.ext4")
    # Its own lock: the making takes minutes, and other labs start meanwhile.
    making = os.path.join(cache_directory, "debian")
    with locked(making):
        if not os.path.exists(path):
            with tempfile.TemporaryDirectory(dir=making) as work:
                root = os.path.join(work, "root")
                make_root(root)
                for name in LEFT_OUT:
                    shutil.rmtree(os.path.join(root, name), ignore_errors=True)
                ext4_image(os.path.join(work, "image"), root, IMAGE_SIZE)
                os.rename(os.path.join(work, "image"), path)
    return path
