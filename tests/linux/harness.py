# SPDX-License-Identifier: Apache-2.0
"""Runs mayfly with real Linux kernels, on whichever host can: this machine when its KVM runs guest kernels
natively, else the nested lab. A test program is written for both:

    from harness import case, check, check_status, linux_host, main

    host = linux_host(kernels=["6.12/bzImage"], files={"/work/initrd": busybox_initramfs(...)})

    @case
    def a_sentence_of_behaviour():
        kernel, initrd = host.path("/kernels/6.12/bzImage"), host.path("/work/initrd")
        outcome = host.mayfly("boot", kernel, "--initrd", initrd, "--append", "console=ttyS0", timeout=60)
        check_status(outcome, 0)

    main()

Arguments: MAYFLY [WORD OF A CASE'S NAME...]; the rest of the build is found beside MAYFLY.
$MAYFLY_LINUX_HOST, native or lab, overrules the choice; $MAYFLY_LAB_CACHE is where the lab's downloads are,
else BUILD/lab. Exits with 77 when it finds no host at all. The cases' side (case, check, skip and their
like) is that of tests/kvm/harness.py.
"""
import atexit
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

_here = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(1, os.path.join(_here, os.pardir, "lab"))

import packages  # noqa: E402
from errors import LabError, Unavailable  # noqa: E402
from hosts import LabHost, NativeHost  # noqa: E402


def _load_kvm_harness():
    path = os.path.join(_here, os.pardir, "kvm", "harness.py")
    spec = importlib.util.spec_from_file_location("kvm_harness", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_kvm = _load_kvm_harness()
OK, TIMEOUT, FAILED, CRASHED, NOT_FOUND, SKIPPED = 0, 124, 125, 126, 127, _kvm.SKIPPED
Failure, Skip = _kvm.Failure, _kvm.Skip
case, skip = _kvm.case, _kvm.skip
check, check_match, check_out, check_status = _kvm.check, _kvm.check_match, _kvm.check_out, _kvm.check_status
check_one_line, check_refused, check_silent = _kvm.check_one_line, _kvm.check_refused, _kvm.check_silent

if len(sys.argv) < 2:
    sys.exit(f"usage: {sys.argv[0]} MAYFLY [WORD OF A CASE'S NAME...]")
mayfly_path = os.path.realpath(sys.argv[1])
_folders = [str(folder) for folder in pathlib.Path(mayfly_path).parents]
# Programs that stand for mayfly in a test lie deeper than mayfly does.
build_directory = next((f for f in _folders if os.path.exists(os.path.join(f, "build.ninja"))), _folders[0])
lab_agent_path = os.path.join(build_directory, "tests", "lab", "lab-agent")
cache_directory = os.path.abspath(os.environ.get("MAYFLY_LAB_CACHE") or os.path.join(build_directory, "lab"))
DOCTOR_SECONDS = 60
CASE_SECONDS = 1200


def why_not_native():
    """Empty when this machine's KVM runs guest kernels natively, by what doctor measured."""
    try:
        doctor = subprocess.run(
            [mayfly_path, "doctor", "--json"], capture_output=True, timeout=DOCTOR_SECONDS, check=False
        )
        report = json.loads(doctor.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return f"mayfly doctor: {error}"
    if not report.get("can_boot"):
        return report.get("verdict") or "mayfly doctor: no guest can be booted"
    interpreted = (report.get("measured") or {}).get("ring0_interpreted")
    if interpreted is None:
        return "mayfly doctor could not measure how guest kernels run"
    return "this machine's KVM interprets guest kernels" if interpreted else ""


def kernel(version):
    """packages.Kernel: .bzimage, .vmlinux, .modules, .release. Skips the program when it is not available."""
    try:
        return packages.Kernel(version, os.path.join(cache_directory, "packages"))
    except Unavailable as error:
        skip_program(f"no kernel {version}: {error}")


def skip_program(reason):
    print(f"SKIPPED, NOTHING WAS TESTED: {reason}", flush=True)
    sys.exit(SKIPPED)


def _kernel_file(name):
    """The host's path of 6.12/bzImage, 6.12/vmlinux or 6.12/modules, and so on."""
    version, _, part = name.partition("/")
    attributes = {"bzImage": "bzimage", "vmlinux": "vmlinux", "modules": "modules"}
    return getattr(kernel(version), attributes[part])


def linux_host(*, kernels=(), files=None, tools=(), disks=None, needs_lab=False, **lab_options):
    """The host to test on; it ends with the program.

    kernels: "VERSION/bzImage", "VERSION/vmlinux", "VERSION/modules": at host.path("/kernels/VERSION/...")
    files:   {path: host file, directory or bytes}, found at host.path(path); not to be written
    tools:   programs of this machine
    disks:   {name: path of an image}, found at host.path(name); may be written, and the image does not change
    needs_lab: for what only the lab can do; `lab_options` are Lab's: memory, cpus, icount, append.
    """
    try:
        contents = {f"/kernels/{name}": _kernel_file(name) for name in kernels}
        contents.update(files or {})
        wanted = os.environ.get("MAYFLY_LINUX_HOST", "")
        if wanted not in ("", "native", "lab"):
            sys.exit(f"MAYFLY_LINUX_HOST is {wanted!r}, expected native or lab")
        reason = "the test needs it" if needs_lab else why_not_native() if not wanted else "MAYFLY_LINUX_HOST"
        if wanted == "native" and not needs_lab or not reason:
            print("HOST: this machine's own KVM", flush=True)
            host = NativeHost(mayfly_path, contents, dict(disks or {}))
        else:
            print(f"HOST: the nested lab ({reason})", flush=True)
            host = LabHost(
                mayfly_path,
                contents,
                dict(disks or {}),
                agent=lab_agent_path,
                cache=cache_directory,
                tools=tools,
                **lab_options,
            )
            print(f"HOST: the lab was up after {host.boot_seconds:.1f} s", flush=True)
    except Unavailable as error:
        skip_program(str(error))
    except LabError as error:
        # A lab that is available and does not work must not pass.
        print(f"FAIL the lab: {error}\n0 passed, 1 failed, 0 skipped", flush=True)
        sys.exit(1)
    atexit.register(host.close)
    return host


def main(case_seconds=CASE_SECONDS):
    """Runs the cases, as tests/kvm/harness.py does. LabError in a case is that case's failure."""
    guests = os.path.join(build_directory, "firmware", "guests")
    sys.argv[1:2] = [mayfly_path, guests]
    # Some boot four guests, each with a limit of its own.
    _kvm.CASE_SECONDS = case_seconds
    _kvm.main(needs_kvm=False)
