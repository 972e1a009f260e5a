# SPDX-License-Identifier: Apache-2.0
"""The Debian package: in a fresh root that debootstrap made, without any build tool, it is installed, runs and goes
without a trace."""
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile

from harness import build_directory, case, check, main, skip, skip_program
from debian_root import debian_image
from errors import Unavailable

SCRIPT = os.path.join(os.path.dirname(os.path.realpath(__file__)), *[os.pardir] * 2, ".ci", "deb")
# What dpkg changes of its own.
OF_DPKG = ("/var/lib/dpkg", "/var/log", "/var/cache", "/dev")


def done(*command, **options):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, check=False, **options)
    check(result.returncode == 0, f"{' '.join(command)}: status {result.returncode}\n{result.stdout}")
    return result.stdout


def in_root(*command):
    return done("chroot", ROOT, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command)


def contents():
    """{path: its kind, mode and content}"""
    found = {}
    for directory, directories, files in os.walk(ROOT):
        for name in directories + files:
            path = os.path.join(directory, name)
            inside = path[len(ROOT):]
            if inside.startswith(OF_DPKG):
                continue
            status = os.lstat(path)
            what = (stat.S_IFMT(status.st_mode), status.st_mode, status.st_uid, status.st_gid)
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    what += (hashlib.sha256(file.read()).hexdigest(),)
            found[inside] = what
    return found


if os.geteuid() != 0:
    skip_program("chroot needs root")
if shutil.which("dpkg-deb") is None:
    skip_program("dpkg-deb is missing")
try:
    _image = debian_image()
except Unavailable as error:
    skip_program(str(error))
_work = tempfile.TemporaryDirectory(prefix="mayfly-deb-test-")
ROOT = os.path.join(_work.name, "root")
PACKAGE = done(SCRIPT, build_directory, _work.name).splitlines()[-1]
os.mkdir(ROOT)
done("debugfs", "-R", f"rdump / {ROOT}", _image)
# The image comes without documents.
for _name in ("doc", "man/man1", "lintian/overrides", "bash-completion/completions"):
    os.makedirs(os.path.join(ROOT, "usr", "share", _name), exist_ok=True)


@case
def it_is_installed_runs_and_is_gone_without_a_trace():
    check(not any(os.path.exists(f"{ROOT}/usr/bin/{tool}") for tool in ("gcc", "cc", "meson", "ninja")), "build tools")
    before = contents()
    shutil.copy(PACKAGE, os.path.join(ROOT, "tmp", "mayfly.deb"))
    in_root("dpkg", "--install", "/tmp/mayfly.deb")
    os.unlink(os.path.join(ROOT, "tmp", "mayfly.deb"))
    version = in_root("mayfly", "version")
    check("mayfly" in version and in_root("dpkg-query", "-W", "-f", "${Version}", "mayfly") in version, version)
    check("usage: mayfly boot" in in_root("mayfly", "boot", "--help"), "no help")
    check(in_root("dpkg", "--verify", "mayfly") == "", "dpkg finds files that are not as they were packed")
    added = {path for path, what in contents().items() if before.get(path) != what}
    packed = set(in_root("dpkg", "--listfiles", "mayfly").splitlines())
    check({"/usr/bin/mayfly", "/usr/share/doc/mayfly/copyright", "/usr/share/doc/mayfly/README.md",
           "/usr/share/doc/mayfly/docs/programs.md", "/usr/lib/systemd/system/mayfly@.service"} <= added, f"{added}")
    check(added <= packed, f"these are not dpkg's: {added - packed}")
    in_root("dpkg", "--purge", "mayfly")
    after = contents()
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    check(not changed, f"these are left, or others: {sorted(changed)}")


@case
def a_guest_boots_in_that_root():
    if not os.path.exists("/dev/kvm"):
        skip("no /dev/kvm")
    in_root_package = os.path.join(ROOT, "tmp", "mayfly.deb")
    shutil.copy(PACKAGE, in_root_package)
    in_root("dpkg", "--install", "/tmp/mayfly.deb")
    node = os.path.join(ROOT, "dev", "kvm")
    try:
        os.mknod(node, stat.S_IFCHR | 0o600, os.stat("/dev/kvm").st_rdev)
        os.close(os.open(node, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        skip(f"no device node in {ROOT}: {error.strerror}")
    check(in_root("mayfly", "boot", "builtin:hello") == "Hello from mayfly\n", "the guest")


@case
def the_package_follows_debians_policy():
    directory = os.path.join(_work.name, "unpacked")
    done("dpkg-deb", "--raw-extract", PACKAGE, directory)
    paths = [os.path.join(at, name) for at, _, names in os.walk(directory) for name in names]
    inside = {path[len(directory):]: path for path in paths}
    check(not any(name.startswith(("/usr/local", "/home", "/tmp")) for name in inside), f"{sorted(inside)}")
    for name, path in inside.items():
        with open(path, "rb") as file:
            text = file.read()
        if not text.startswith(b"\x7fELF"):
            check(b"/usr/local/bin/mayfly" not in text and build_directory.encode() not in text, f"{name} names the build")
    sections = done("readelf", "--sections", "--wide", inside["/usr/bin/mayfly"])
    check(".symtab" not in sections and ".debug" not in sections, "the binary is not stripped")
    with open(inside["/usr/share/doc/mayfly/copyright"], encoding="utf-8") as file:
        licences = file.read()
    for part in ("Apache-2.0", "musl-dev", "liburing-dev", "libstdc++"):
        check(part in licences, f"the licence of {part} is not told")
    check(set(os.listdir(os.path.join(directory, "DEBIAN"))) == {"control", "md5sums"}, "scripts of a maintainer")
    if shutil.which("lintian"):
        found = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", PACKAGE], capture_output=True, text=True,
                               check=False)
        check(found.returncode == 0, found.stdout)


@case
def the_same_tree_makes_the_same_package():
    directory = os.path.join(_work.name, "again")
    again = done(SCRIPT, build_directory, directory).splitlines()[-1]
    times = {" ".join(line.split()[3:5]) for line in done("dpkg-deb", "--contents", PACKAGE).splitlines()}
    check(len(times) == 1, f"times of the tree's are in the package: {times}")
    with open(PACKAGE, "rb") as one, open(again, "rb") as other:
        check(one.read() == other.read(), "two packages of one tree differ")


main()
