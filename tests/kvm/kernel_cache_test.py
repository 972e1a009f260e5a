# SPDX-License-Identifier: Apache-2.0
"""The cache of unpacked kernels, as a user meets it. Arguments: MAYFLY GUESTS-DIRECTORY [WORDS]."""
import os
import shutil
import subprocess
import time

import bzimage
import harness
from harness import boot, case, check, check_match, check_out, check_silent, check_status, guest, guest_bytes
from harness import main, skip, temporary_directory, write_file

# A file that changed within the last two seconds is not stored.
SETTLING_SECONDS = 2.1


def large_kernel(directory, name="vmlinuz"):
    """The hello guest, with 2 MiB behind it that no compression makes smaller."""
    elf = guest_bytes("hello") + os.urandom(2 << 20)
    return write_file(directory, name, bzimage.image(bzimage.payload("gzip", elf)))


def says(outcome, line):
    check_status(outcome, 0)
    check_out(outcome, boot(guest("hello")).out)
    check_match(outcome, rf"(?m)^mayfly: unpacked kernel: {line}$")


@case
def a_bzimage_is_stored_at_its_first_boot_and_cached_from_the_second():
    with temporary_directory() as directory:
        kernel, cache = large_kernel(directory), os.path.join(directory, "new", "cache")
        time.sleep(SETTLING_SECONDS)
        says(boot(kernel, "-v", "--kernel-cache", cache), f"stored in {cache}")
        for _ in range(2):
            says(boot(kernel, "-v", "--kernel-cache", cache), f"cached in {cache}")
        check_silent(boot(kernel, "--kernel-cache", cache))
        large_kernel(directory)
        time.sleep(SETTLING_SECONDS)
        says(boot(kernel, "-v", "--kernel-cache", cache), f"stored in {cache}")
        check(len(os.listdir(cache)) == 1, "the kernel that was written over has two entries")


@case
def the_environment_names_the_place():
    with temporary_directory() as directory:
        kernel, home = large_kernel(directory), os.path.join(directory, "home")
        os.mkdir(home)
        time.sleep(SETTLING_SECONDS)
        environment = {key: value for key, value in os.environ.items() if key != "MAYFLY_CACHE_DIR"}
        environment.pop("XDG_CACHE_HOME", None)
        says(boot(kernel, "-v", env={**environment, "HOME": home}), f"stored in {home}/.cache/mayfly/kernels")
        says(boot(kernel, "-v", env={**environment, "HOME": home}), f"cached in {home}/.cache/mayfly/kernels")


@case
def a_mayfly_with_more_rights_than_its_user_asks_nobodys_environment():
    user = 65534
    with temporary_directory() as directory:
        os.chmod(directory, 0o755)
        mine, kernel = os.path.join(directory, "mine"), large_kernel(directory)
        os.mkdir(mine, 0o755)
        os.chown(mine, user, user)
        copy = shutil.copy(harness.mayfly_path, directory)
        os.chmod(copy, 0o4755)
        time.sleep(SETTLING_SECONDS)
        places = {"MAYFLY_CACHE_DIR": mine, "XDG_CACHE_HOME": mine, "HOME": mine}
        outcome = harness.finish(
            subprocess.Popen(
                [copy, "boot", kernel, "-v"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **places},
                user=user,
                group=user,
                extra_groups=[],
            ),
            time.monotonic(),
        )
        says(outcome, r"not cached: mayfly has more rights than its user, .*--kernel-cache\)")
        check(not os.listdir(mine), "the environment chose where it writes", outcome)


@case
def a_cache_that_cannot_be_used_is_a_reason_of_v_and_no_more():
    with temporary_directory() as directory:
        kernel = large_kernel(directory)
        for _ in range(10):
            os.utime(kernel)  # a new change time; repeated if the host stalls before mayfly reads it
            started = time.monotonic()
            outcome = boot(kernel, "-v")
            if time.monotonic() - started < 2:
                break
        says(outcome, "not cached in .*: the bzImage changed within the last 2 seconds, and may .*")
        time.sleep(SETTLING_SECONDS)
        for place in ("/proc/none/of/these", kernel, "/dev/null/x"):
            says(boot(kernel, "-v", "--kernel-cache", place), f"not cached in {place}: .+")
            check_silent(boot(kernel, "--kernel-cache", place))
        open_to_all = os.path.join(directory, "open")
        os.mkdir(open_to_all)
        os.chmod(open_to_all, 0o777)
        says(boot(kernel, "-v", "--kernel-cache", open_to_all), "not cached in .*: others may write to it: .*777")
        check(os.listdir(open_to_all) == [], "something was written to a directory of everybody's")


@case
def off_is_off():
    with temporary_directory() as directory:
        kernel = large_kernel(directory)
        outcome = boot(kernel, "-v", "--kernel-cache", "off", cwd=directory)
        check_status(outcome, 0)
        check("unpacked kernel" not in outcome.err, "a cache is mentioned", outcome)
        check(os.listdir(directory) == ["vmlinuz"], "something was written")


@case
def only_large_bzimages_touch_the_cache():
    if shutil.which("strace") is None:
        skip("strace is not installed")
    with temporary_directory() as directory:
        small = write_file(
            directory, "small", bzimage.image(bzimage.payload("gzip", guest_bytes("hello")))
        )
        elf = write_file(directory, "vmlinux", guest_bytes("hello") + bytes(2 << 20))
        large = large_kernel(directory)
        for kernel, touches in ((small, False), (elf, False), (guest("hello"), False), (large, True)):
            trace, cache = os.path.join(directory, "trace"), os.path.join(directory, "cache")
            strace = ("strace", "-f", "-qq", "-e", "trace=file", "-o", trace)
            check_status(boot(kernel, "--kernel-cache", cache, wrapper=strace), 0)
            with open(trace, encoding="utf-8") as file:
                seen = any(cache in line for line in file if "execve" not in line)
            check(seen == touches, f"{kernel}: the cache was {'' if seen else 'not '}looked at")


main()
