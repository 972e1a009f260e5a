# SPDX-License-Identifier: Apache-2.0
"""KVM's answers that one boot keeps for the next, as a user meets them. Arguments: MAYFLY GUESTS-DIRECTORY
[WORDS]. The entry's format is restated here: three words (format, when it was compared with KVM, a sum of
the rest), a key and facts, then struct kvm_cpuid2."""
import contextlib
import os
import struct
import subprocess
import time

import harness
from harness import boot, case, check, check_match, check_out, check_silent, check_status, main, skip
from harness import temporary_directory

HEADER_BYTES = 160
SUM_AT, SUMMED_FROM, CONFIRMED_AT = 16, 24, 8
ENTRY_BYTES = 40  # struct kvm_cpuid_entry2: function, index, flags, eax, ebx, ecx, edx, padding
BRAND = 0x80000002  # the first letters of the processor's name: a guest works with other letters
HELLO = b"Hello from mayfly\n"
WRONG = r"(?m)^mayfly: KVM does not answer as it did when an earlier boot asked it"
WORD = (1 << 64) - 1


def entry_of(directory):
    return os.path.join(directory, "kvm-answers")


def read(directory):
    with open(entry_of(directory), "rb") as file:
        return file.read()


def write(directory, content):
    with open(entry_of(directory), "wb") as file:
        file.write(content)


def run(directory, *arguments, kernel="builtin:hello", program=None):
    environment = {**os.environ, "MAYFLY_RUNTIME_DIR": directory}
    if program is None:
        return boot(kernel, *arguments, env=environment)
    process = subprocess.Popen([program, "boot", kernel, *arguments], env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return harness.finish(process, time.monotonic())


def stir(lane, word):
    product = (lane ^ word) * 0x9e3779b97f4a7c15 & WORD
    return (product << 29 | product >> 35) & WORD


def content_sum(start, content):
    lanes = [start + lane for lane in range(4)]
    padded = content + bytes(-len(content) % 32)
    for at in range(0, len(padded), 32):
        lanes = [stir(lane, word) for lane, word in zip(lanes, struct.unpack_from("<4Q", padded, at))]
    total = len(content)
    for lane in lanes:
        total = stir(total, lane)
    return total ^ total >> 32


def with_right_sum(content):
    total = content_sum(content_sum(0, content[SUMMED_FROM:HEADER_BYTES]), content[HEADER_BYTES:])
    return content[:SUM_AT] + struct.pack("<Q", total) + content[SUMMED_FROM:]


def with_another_name(content):
    """A well-formed entry that differs from KVM's answers, and that no boot has compared for long."""
    forged = bytearray(content)
    count, = struct.unpack_from("<I", forged, HEADER_BYTES)
    for at in range(HEADER_BYTES + 8, HEADER_BYTES + 8 + count * ENTRY_BYTES, ENTRY_BYTES):
        if struct.unpack_from("<I", forged, at)[0] == BRAND:
            forged[at + 12] ^= 1
    check(forged != content, "KVM has no name of the processor")
    forged[CONFIRMED_AT:CONFIRMED_AT + 8] = bytes(8)
    return with_right_sum(bytes(forged))


def says(outcome, line):
    check_status(outcome, 0)
    check_out(outcome, HELLO)
    check_match(outcome, rf"(?m)^mayfly: KVM's answers {line}$")


@contextlib.contextmanager
def kept_answers():
    """A runtime directory, in a directory of its own, in which a boot has left an entry."""
    with temporary_directory() as parent:
        directory = os.path.join(parent, "run")
        says(run(directory, "-v"), f"are kept in {directory}")
        yield directory


@case
def the_second_boot_has_what_the_first_was_told():
    with kept_answers() as directory:
        content = read(directory)
        check(with_right_sum(content) == content, "the sum is wrong")
        for _ in range(2):
            says(run(directory, "-v"), f"are those of an earlier boot: {directory}")
        check(read(directory) == content, "an entry that is right was written again")


@case
def an_entry_is_of_one_mayfly():
    with open(harness.mayfly_path, "rb") as file:
        program = file.read()
    if b"__asan_init" in program or b"__tsan_init" in program:
        skip("it is linked without the script that gives it its hash")
    # ELF gABI "Note Section": 4 bytes of owner, 20 of hash, type 3 (NT_GNU_BUILD_ID).
    note = program.index(struct.pack("<III", 4, 20, 3) + b"GNU\0") + 16
    with kept_answers() as directory:
        other = os.path.join(os.path.dirname(directory), "mayfly")
        check(program[note:note + 20] in read(directory), "the entry does not name its mayfly")
        with open(other, "wb") as file:
            file.write(program[:note] + os.urandom(20) + program[note + 20:])
        os.chmod(other, 0o755)
        outcome = run(directory, "-v", program=other)
        says(outcome, f"are kept in {directory}: the entry is of another KVM, or another mayfly")


@case
def guests_are_told_the_same():
    with temporary_directory() as parent:
        directory = os.path.join(parent, "run")
        seen = [run(place, "--cpus", "2", kernel="builtin:smp") for place in ("off", directory, directory)]
        for outcome in seen:
            check_status(outcome, 0)
            check_out(outcome, seen[0].out)


@case
def off_and_a_missing_directory_disable_the_cache():
    says(run("off", "-v"), "are not kept: no runtime directory")
    says(run("/proc/none", "-v"), "are not kept")
    for place in ("off", "/proc/none"):
        check_silent(run(place))


@case
def a_directory_that_others_write_to_is_not_used():
    with temporary_directory() as parent:
        directory = os.path.join(parent, "run")
        os.mkdir(directory)
        os.chmod(directory, 0o777)
        says(run(directory, "-v"), r"are not kept: others may write to it: its mode is 777")
        check_silent(run(directory))
        check(os.listdir(directory) == [], "something was written there")


@case
def damage_is_replaced_in_silence():
    with kept_answers() as directory:
        good = read(directory)
        for bad in (b"", b"x", good[:-1], good + b"x", good[:200] + b"\xff" * 40 + good[240:], os.urandom(3000)):
            write(directory, bad)
            outcome = run(directory)
            check_silent(outcome)
            check_out(outcome, HELLO)
            says(run(directory, "-v"), f"are those of an earlier boot: {directory}")


@case
def a_wrong_entry_ends_the_run_and_does_not_live():
    with kept_answers() as directory:
        for kernel in ("builtin:hello", "builtin:idle"):
            write(directory, with_another_name(read(directory)))
            began = time.monotonic()
            outcome = run(directory, "--timeout", "30", kernel=kernel)
            check_status(outcome, 125)
            check_match(outcome, WRONG)
            check(time.monotonic() - began < 20, "the guest ran on")
            check(read(directory) == b"", "the entry is still there")
            says(run(directory, "-v"), f"are kept in {directory}")


@case
def an_entry_of_an_earlier_second_is_compared_and_noted():
    with kept_answers() as directory:
        good = read(directory)
        write(directory, good[:CONFIRMED_AT] + bytes(8) + good[SUM_AT:])
        says(run(directory, "-v"), f"are those of an earlier boot: {directory}")
        noted = read(directory)
        check(noted[:CONFIRMED_AT] + noted[SUM_AT:] == good[:CONFIRMED_AT] + good[SUM_AT:], "more was written")
        check(noted[CONFIRMED_AT:SUM_AT] > bytes(8), "the comparison is not noted")


@case
def many_at_once_agree():
    with temporary_directory() as parent:
        directory = os.path.join(parent, "run")
        environment = {**os.environ, "MAYFLY_RUNTIME_DIR": directory}
        for _ in range(5):
            runs = [subprocess.Popen([harness.mayfly_path, "boot", "builtin:hello"], env=environment, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(8)]
            for one in runs:
                out, _ = one.communicate(timeout=60)
                check((one.returncode, out) == (0, HELLO), f"status {one.returncode}: {out!r}")
            write(directory, read(directory)[:100])


if __name__ == "__main__":
    main()
