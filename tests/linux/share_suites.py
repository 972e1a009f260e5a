# SPDX-License-Identifier: Apache-2.0
"""--share and what others have written to test file systems, for minutes: pjdfstest and fsx (from crates.io,
built by cargo into the lab's cache), fio where it is installed, and share_race at length. ./check --long runs
it.

With $MAYFLY_SHARE_PEER=virtiofsd it is QEMU's virtiofsd that is tested, whose own failures are listed beside.
"""
import atexit
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time

from harness import cache_directory, case, check, check_status, main, skip, skip_program
from errors import Unavailable
from packages import locked
from share_guest import PEER, Guests, image, program, race

CRATES = {"pjdfstest": "0.2.2", "fsx": "0.3.2"}
BUILD_SECONDS = 1800
SUITE_SECONDS = 3600
RACE_SECONDS = 300  # each of two
FSX_SECONDS = 3600
FSX_OPERATIONS = 2000  # of a guest

# {peer: {test of pjdfstest that fails there: why the server of the directory is not at fault}}
EXPECTED = {"mayfly": {}, "virtiofsd": {}}
PJDFSTEST = """[features]
posix_fallocate = {}
rename_ctime = {}
utime_now = {}
utimensat = {}
[settings]
naptime = 0.05
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"""
# A program that runs until it is ended, whatever it is called: pause() forever. It lies where pjdfstest looks
# for a sleep to copy.
SLEEP_CODE = bytes.fromhex("b822000000 0f05 ebf7")
PASSWD = b"root:x:0:0::/:/bin/sh\ndaemon:x:1:1::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
GROUP = b"root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n"
FAILURE = re.compile(r"(?m)^(\S+) +FAILED\r?\n((?:[\t ].*\n)*)")
RESULT = re.compile(r"(?m)^(\S+) +(ok|FAILED|skipped)\r?$")


def sleep_program():
    base, head = 0x400000, 64 + 56
    ident = b"\x7fELF\2\1\1" + bytes(9)
    elf = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 62, 1, base + head, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = head + len(SLEEP_CODE)
    return elf + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096) + SLEEP_CODE


def crates():
    """{name: path}; made when they are missing. Static: the guest has no library."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise Unavailable("cargo is not installed, which builds pjdfstest and fsx")
    made = {}
    with locked(os.path.join(cache_directory, "crates")):
        for name, version in CRATES.items():
            root = os.path.join(cache_directory, "crates", f"{name}-{version}")
            made[name] = os.path.join(root, "bin", name)
            if os.path.exists(made[name]):
                continue
            done = subprocess.run(
                [cargo, "install", "--locked", "--quiet", "--target", "x86_64-unknown-linux-gnu",
                 "--root", root, f"{name}@{version}"],
                env={**os.environ, "RUSTFLAGS": "-C target-feature=+crt-static"}, capture_output=True,
                text=True, timeout=BUILD_SECONDS, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                raise Unavailable(f"cargo install {name}: {done.stderr.strip()[-500:]}")
    return made


def started():
    directory = tempfile.TemporaryDirectory(prefix="mayfly-suites-")  # pylint: disable=consider-using-with
    atexit.register(directory.cleanup)
    try:
        programs = {**crates(), **{name: program(name) for name in ("share_hammer", "share_swap")}}
    except Unavailable as error:
        skip_program(str(error))
    files = {"/work/root/etc/passwd": PASSWD, "/work/root/etc/group": GROUP,
             "/work/root/etc/pjdfstest": PJDFSTEST.encode(),
             "/work/root/tests/sleep": sleep_program()}  # fmt: skip
    try:
        fio = image.tool_files("fio")
    except Unavailable:
        fio = {}
    files.update({f"/work/root{name}": path for name, path in fio.items()})
    return Guests(directory.name, programs=programs, files=files), bool(fio)


guests, has_fio = started()


def run_pjdfstest(name, **more):
    directory = guests.fresh(name)
    command = "PATH=/tests:$PATH; pjdfstest -c /etc/pjdfstest -p /mnt | cat"
    outcome = guests.run(command, directory, timeout=SUITE_SECONDS, **more)
    said = outcome.out.decode(errors="replace")
    found = dict(RESULT.findall(said))
    check(len(found) > 350 and "Summary: " in said, f"{len(found)} results", outcome)
    failed = {name for name, result in found.items() if result == "FAILED"}
    expected = set(EXPECTED[PEER])
    print(f"pjdfstest, {name}: {len(found)} results, {sorted(failed)} failed", flush=True)
    why = "\n".join(words for name, words in FAILURE.findall(said) if name not in expected)
    check(failed <= expected, f"also {sorted(failed - expected)}:\n{why}")
    check(failed >= expected, f"{sorted(expected - failed)} pass now: they are not to be expected any more")


@case
def calls_answer_as_posix_has_them():
    run_pjdfstest("posix")


@case
def calls_answer_as_posix_has_them_without_a_cache():
    run_pjdfstest("posix-never", share_options=",cache=never")


@case
def written_bytes_are_read_back():
    # virtiofsd does not allow mapping an uncached file.
    caches = ("auto", "never", "always") if PEER == "mayfly" else ("auto",)
    end = time.monotonic() + FSX_SECONDS
    seed = 0
    while seed < len(caches) or time.monotonic() < end:
        seed += 1
        cache = caches[seed % len(caches)]
        command = f"fsx -q -N {FSX_OPERATIONS} -S {seed} /mnt/file 2>&1 | tail -n 30"
        more = {"timeout": SUITE_SECONDS, "share_options": f",cache={cache}"}
        outcome = guests.run(command, guests.fresh("fsx"), **more)
        check(b"All operations completed A-OK" in outcome.out, f"cache={cache}, seed {seed}", outcome)
    print(f"fsx: {seed} seeds of {FSX_OPERATIONS} operations, with cache {', '.join(caches)}", flush=True)


@case
def fio_verifies_what_it_has_written():
    if not has_fio:
        skip("fio is not installed")
    directory = guests.fresh("fio")
    job = ("fio --directory=/mnt --size=16m --verify=crc32c --verify_fatal=1 --randrepeat=1 --rw=randrw"
           " --bs=4k --group_reporting --eta=never --thread --numjobs=2")  # fmt: skip
    for name, options in (("psync", "--ioengine=psync"), ("mmap", "--ioengine=mmap"),
                          ("direct", "--ioengine=libaio --iodepth=16 --direct=1")):  # fmt: skip
        outcome = guests.run(f"{job} --name={name} {options}", directory, timeout=SUITE_SECONDS)
        check_status(outcome, 0)
        check(b"err= 0" in outcome.out, name, outcome)


@case
def a_host_that_swaps_directories_for_links_for_minutes_leads_nobody_out():
    for cache in ("never", "auto"):
        race(guests, cache, RACE_SECONDS)


if __name__ == "__main__":
    main(case_seconds=2 * SUITE_SECONDS)
