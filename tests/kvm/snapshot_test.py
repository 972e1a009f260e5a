# SPDX-License-Identifier: Apache-2.0
"""Guests that are saved to a directory, and go on from there in another process: at every kind of moment, on every
machine, with their processors, devices and streams; and what is refused."""
import itertools
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import time
import zlib

import flat_kernel
import harness
from harness import boot, case, check, check_one_line, check_status, guest, guest_file, main, popen, run

READY = 0x508
EXIT = 0xF4
FAILED, TIMEOUT, CRASHED = 125, 124, 126
MACHINES = [("--profile", "modern"), ("--profile", "legacy"), ("--irqchip", "none")]
SIGNAL = ("--snapshot-at", "signal")
WAIT_SECONDS = 10


def snapshot(directory, kernel, *options, name="snap"):
    """Boots until the snapshot is made: (its directory, the outcome)."""
    place = os.path.join(directory, name)
    return place, boot(kernel, "--snapshot", place, "--timeout", 20, *options)


def restore(place, *options, **more):
    return run("restore", place, "--timeout", 20, *options, **more)


def finish(process):
    return harness.finish(process, time.monotonic())


def ready_then(directory, code, name="kernel"):
    """A kernel that writes to the ready port, and then does something else."""
    return harness.write_file(directory, name, flat_kernel.multiboot(flat_kernel.out8(READY, 1) + code + flat_kernel.HALT))


def print_text(text):
    """mov al, c; mov dx, 0x3f8; out dx, al"""
    return b"".join(flat_kernel.out8(0x3F8, c) for c in text)


def names_in(directory):
    return sorted(os.listdir(directory))


@case
def the_instruction_behind_the_ready_port_is_every_clones_first():
    for machine in MACHINES:
        with harness.temporary_directory() as directory:
            code = print_text(b"once") + flat_kernel.out32(EXIT, 7)
            place, outcome = snapshot(directory, ready_then(directory, code), *machine)
            check_status(outcome, 0)
            check(outcome.out == b"" and outcome.err == "", "it went on", outcome)
            for _ in range(3):
                outcome = restore(place)
                check_status(outcome, 7)
                check(outcome.out == b"once" and outcome.err == "", "its words", outcome)


@case
def a_snapshot_is_the_owners_alone_and_never_changes():
    with harness.temporary_directory() as directory:
        place, outcome = snapshot(directory, ready_then(directory, flat_kernel.out32(EXIT, 0)))
        check_status(outcome, 0)
        check(names_in(directory) == ["kernel", "snap"], f"{names_in(directory)}")
        check(names_in(place) == ["memory", "state"], f"{names_in(place)}")
        modes = [stat.S_IMODE(os.stat(os.path.join(place, name)).st_mode) for name in ("", "memory", "state")]
        check(modes == [0o700, 0o400, 0o400], f"modes {[oct(mode) for mode in modes]}")
        memory = os.stat(os.path.join(place, "memory"))
        check(memory.st_size == 128 << 20, f"{memory.st_size} bytes")
        check(memory.st_blocks * 512 <= 1 << 20, f"{memory.st_blocks * 512} bytes on the disk")
        before = [open(os.path.join(place, name), "rb").read() for name in ("memory", "state")]
        check_status(restore(place), 0)
        after = [open(os.path.join(place, name), "rb").read() for name in ("memory", "state")]
        check(before == after, "it has changed")


@case
def the_guest_goes_on_after_its_snapshot_where_that_is_asked_for():
    with harness.temporary_directory() as directory:
        code = print_text(b"on") + flat_kernel.out32(EXIT, 9)
        place, outcome = snapshot(directory, ready_then(directory, code), "--then", "go-on")
        check_status(outcome, 9)
        check(outcome.out == b"on", "its words", outcome)
        outcome = restore(place)
        check_status(outcome, 9)
        check(outcome.out == b"on", "its words", outcome)


@case
def a_boot_mark_is_a_moment():
    with harness.temporary_directory() as directory:
        code = flat_kernel.out8(0x80, 1) + flat_kernel.out8(0x80, 42) + flat_kernel.out32(EXIT, 6)
        kernel = harness.write_file(directory, "marks", flat_kernel.multiboot(code + flat_kernel.HALT))
        place, outcome = snapshot(directory, kernel, "--snapshot-at", "mark=42")
        check_status(outcome, 0)
        check_status(restore(place), 6)
        _, outcome = snapshot(directory, kernel, "--snapshot-at", "mark=43", name="never")
        check_status(outcome, 6)
        check_one_line(outcome, "never", "boot mark 43")
        check(not os.path.exists(os.path.join(directory, "never")), "a directory was left")


def at_signal(directory, kernel, *options, after=0.05, name="snap"):
    """A snapshot after a while, of a guest that runs on."""
    place = os.path.join(directory, name)
    process = popen(["boot", kernel, "--snapshot", place, *SIGNAL, "--timeout", "30", *options])
    time.sleep(after)
    process.send_signal(signal.SIGUSR2)
    outcome = finish(process)
    return place, outcome


@case
def every_guest_goes_on_wherever_a_signal_found_it():
    guests = {"demo": 1, "apic": 1, "timer": 1, "kvmclock": 1, "pveoi": 1, "steal": 1, "memory": 1, "ipi": 4, "smp": 4}
    found = 0
    for (name, cpus), profile in itertools.product(guests.items(), ("modern", "legacy")):
        with harness.temporary_directory() as directory:
            for number, after in enumerate((0.002, 0.004, 0.008, 0.016, 0.03)):
                options = ("--cpus", cpus, "--profile", profile)
                place, outcome = at_signal(directory, guest(name), *options, after=after, name=f"s{number}")
                if not os.path.exists(place):
                    continue  # it had ended, or mayfly was not so far
                found += 1
                check_status(outcome, 0)
                rest = restore(place)
                check_status(rest, 0)
                check(b"FAIL" not in outcome.out + rest.out, f"{name}, {profile}: it found something", rest)
    # Most guests end within milliseconds.
    check(found >= 5, f"only {found} snapshots")
    print(f"  {found} snapshots", flush=True)


@case
def processors_that_pass_a_token_lose_none():
    found = 0
    with harness.temporary_directory() as directory:
        for number in range(10):
            place, outcome = at_signal(directory, guest("ipi"), "--cpus", "4", "--append", "rounds=3000",
                                       after=0.002 + number * 0.001, name=f"s{number}")
            if not os.path.exists(place):
                continue
            found += 1
            rest = restore(place)
            check_status(rest, 0)
            check(b"FAIL" not in outcome.out + rest.out, "a token", rest)
    check(found >= 1, "no snapshot came in time")


@case
def a_guest_that_halts_or_spins_is_saved_too():
    for words, machine in itertools.product(((), ("--append", "spin")), MACHINES):
        with harness.temporary_directory() as directory:
            place, outcome = snapshot(directory, guest("idle"), "--snapshot-at", "mark=1", *machine, *words)
            check_status(outcome, 0)
            outcome = restore(place, "--timeout", 0.3)
            check_status(outcome, TIMEOUT)


@case
def typed_input_reaches_the_clone():
    with harness.temporary_directory() as directory:
        place, outcome = at_signal(directory, guest("echo"), after=0.3)
        check_status(outcome, 0)
        outcome = restore(place, input_bytes=b"abcq")
        check_status(outcome, 0)
        check(b"abc" in outcome.out, "what was typed", outcome)


@case
def a_disk_is_written_in_an_overlay_and_its_file_stays():
    with harness.temporary_directory() as directory:
        disk = harness.write_file(directory, "disk", os.urandom(1 << 20))
        content = open(disk, "rb").read()
        for io, profile in itertools.product(("inline", "thread"), ("modern", "legacy")):
            name = f"{io}-{profile}"
            place = os.path.join(directory, name)
            words = "dev=blk op=write size=4096 depth=8 count=4000000 irq=1"
            process = popen(["boot", guest_file("iobench"), "--disk", disk, "--io", io,
                             "--profile", profile, "--append", words, "--snapshot", place, *SIGNAL, "--timeout", "30"])
            time.sleep(0.4)
            process.send_signal(signal.SIGUSR2)
            check_status(finish(process), 0)
            check(open(disk, "rb").read() != content, "nothing was written")
            # The guest writes the same bytes again and again: the file's time tells.
            written = os.stat(disk).st_mtime_ns
            stats = os.path.join(directory, "stats")
            outcome = restore(place, "--disk", disk, "--timeout", 0.5, "--stats-json", stats)
            check_status(outcome, TIMEOUT)
            with open(stats, encoding="utf-8") as file:
                queues = json.load(file)["virtio"]["devices"][0]["queues"]
            check(sum(queue["requests"] for queue in queues) >= 100, f"the clone wrote little: {queues}")
            check(os.stat(disk).st_mtime_ns == written, "the disk was written")


@case
def a_disk_that_has_changed_is_refused_and_a_copy_is_not():
    with harness.temporary_directory() as directory:
        disk = harness.write_file(directory, "disk", bytes(1 << 20))
        kernel = ready_then(directory, flat_kernel.out32(EXIT, 3))
        place, outcome = snapshot(directory, kernel, "--disk", disk)
        check_status(outcome, 0)
        check_status(restore(place, "--disk", disk), 3)
        outcome = restore(place)
        check_status(outcome, FAILED)
        check_one_line(outcome, "--disk was given 0 times", disk)
        copy = os.path.join(directory, "copy")
        shutil.copy2(disk, copy)
        check_status(restore(place, "--disk", copy), 3)
        outcome = restore(place, "--disk", copy, "--disk", copy)
        check_status(outcome, FAILED)
        check_one_line(outcome, "--disk was given 2 times", "has 1")
        with open(copy, "r+b") as file:
            file.write(b"x")
        outcome = restore(place, "--disk", copy)
        check_status(outcome, FAILED)
        check_one_line(outcome, copy, "has changed since")
        with open(copy, "ab") as file:
            file.write(bytes(512))
        outcome = restore(place, "--disk", copy)
        check_one_line(outcome, copy, str((1 << 20) + 512))
        for words, said in (("queues=2", "queues="), ("id=other", "id=")):
            outcome = restore(place, "--disk", f"{disk},{words}")
            check_status(outcome, FAILED)
            check_one_line(outcome, disk, said, "cannot change")
        outcome = restore(place, "--disk", disk, "--net", "user")
        check_one_line(outcome, "--net was given 1 times", "has none")
        for option, name in (("--console", disk), ("--log", os.path.join(place, "memory"))):
            outcome = restore(place, "--disk", disk, option, name)
            check_status(outcome, FAILED)
            check_one_line(outcome, option, name)
        outcome = restore(place, "--disk", disk + ",ro")
        check_status(outcome, FAILED)
        check_one_line(outcome, "read-only")
        os.unlink(disk)
        outcome = restore(place, "--disk", disk)
        check_status(outcome, FAILED)
        check_one_line(outcome, disk, "No such file")


@case
def a_disk_whose_name_another_file_has_taken_fails_the_snapshot():
    with harness.temporary_directory() as directory:
        disk = harness.write_file(directory, "disk", bytes(1 << 20))
        place = os.path.join(directory, "snap")
        process = popen(["boot", guest("idle"), "--disk", disk, "--snapshot", place, *SIGNAL, "--timeout", "10"])
        time.sleep(0.3)
        os.rename(harness.write_file(directory, "other", bytes(1 << 20)), disk)
        process.send_signal(signal.SIGUSR2)
        outcome = finish(process)
        check_status(outcome, FAILED)
        check_one_line(outcome, disk, "another file has taken its name")
        check(names_in(directory) == ["disk"], f"left: {names_in(directory)}")


@case
def what_no_snapshot_can_have_is_refused_before_the_boot():
    with harness.temporary_directory() as directory:
        disk = harness.write_file(directory, "disk", bytes(1 << 20))
        place = os.path.join(directory, "snap")
        copies = ("--exec", "/bin/sh", "--copy-out", "/out:out")
        for options, word in ((("--disk", disk + ",overlay"), "overlay"), (("--share", directory), directory),
                              (copies, "--copy-out /out")):  # fmt: skip
            outcome = boot(guest("hello"), "--snapshot", place, *options)
            check_status(outcome, FAILED)
            check_one_line(outcome, word)
            check(outcome.out == b"", "it was booted", outcome)
        os.mkdir(place)
        outcome = boot(guest("hello"), "--snapshot", place)
        check_status(outcome, FAILED)
        check_one_line(outcome, place, "exists already")
        outcome = boot(guest("hello"), "--snapshot", os.path.join(directory, "no", "snap"))
        check_status(outcome, FAILED)
        check_one_line(outcome, os.path.join(directory, "no"))
        for options, words in ((("--then", "go-on"), ("--then go-on", "--snapshot")),
                               (("--snapshot", "x", "--snapshot-at", "soon"), ("soon", "mark=N")),
                               (("--snapshot", "x", "--then", "stay"), ("stay", "go-on"))):  # fmt: skip
            outcome = boot(guest("hello"), *options)
            check_status(outcome, FAILED)
            check_one_line(outcome, *words)


@case
def a_guest_that_never_becomes_ready_leaves_no_directory():
    with harness.temporary_directory() as directory:
        place, outcome = snapshot(directory, guest("idle"), "--timeout", 0.3)
        check_status(outcome, TIMEOUT)
        check("port 0x508" in outcome.err, "why it was not made", outcome)
        place, outcome = snapshot(directory, guest("hello"))
        check_status(outcome, FAILED)
        check_one_line(outcome, place, "port 0x508")
        place, outcome = snapshot(directory, guest("exits"), "--append", "exit=5")
        check_status(outcome, 5)
        check(names_in(directory) == [], f"left: {names_in(directory)}")


@case
def a_full_file_system_fails_the_snapshot_and_the_guest_goes_on():
    with harness.temporary_directory() as directory:
        code = print_text(b"on") + flat_kernel.out32(EXIT, 0)
        kernel = ready_then(directory, code)
        place = os.path.join(directory, "snap")
        command = ["sh", "-c", 'ulimit -f 100; exec "$@"', "sh", harness.mayfly_path, "boot", kernel, "--snapshot", place]
        for then, words in (("exit", b""), ("go-on", b"on")):
            done = subprocess.run([*command, "--then", then], capture_output=True, check=False, timeout=WAIT_SECONDS)
            check(done.returncode == FAILED, f"status {done.returncode}: {done.stderr}")
            check(b"File too large" in done.stderr and done.stdout == words, f"{done.stdout} {done.stderr}")
            check(names_in(directory) == ["kernel"], f"left: {names_in(directory)}")


@case
def a_name_that_is_taken_meanwhile_fails_the_snapshot_and_the_guest_goes_on():
    with harness.temporary_directory() as directory:
        place = os.path.join(directory, "snap")
        for then, status in (("go-on", TIMEOUT), ("exit", FAILED)):
            process = popen(["boot", guest("idle"), "--snapshot", place, *SIGNAL, "--then", then, "--timeout", "1"])
            time.sleep(0.3)
            os.mkdir(place)
            process.send_signal(signal.SIGUSR2)
            outcome = finish(process)
            check_status(outcome, status)
            check("exists already" in outcome.err, "why", outcome)
            os.rmdir(place)
            check(names_in(directory) == [], f"left: {names_in(directory)}")


@case
def a_signal_that_comes_early_is_for_the_snapshot():
    with harness.temporary_directory() as directory:
        place = os.path.join(directory, "snap")
        # Signals that came before mayfly was started wait for it to unblock them.
        blocked = ["python3", "-c", "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]);"
                   " os.kill(os.getpid(), signal.SIGUSR2); os.execv(sys.argv[1], sys.argv[1:])"]  # fmt: skip
        process = popen(["boot", guest("idle"), "--snapshot", place, *SIGNAL, "--timeout", "5"], wrapper=blocked)
        check_status(finish(process), 0)
        check_status(restore(place, "--timeout", 0.2), TIMEOUT)


@case
def a_killed_mayfly_leaves_a_whole_snapshot_or_what_the_next_one_removes():
    whole = 0
    with harness.temporary_directory() as directory:
        place = os.path.join(directory, "snap")
        kernel = ready_then(directory, flat_kernel.out32(EXIT, 4))
        for number in range(40):
            process = popen(["boot", kernel, "--memory", "64M", "--snapshot", place, "--timeout", "20"])
            time.sleep(number * 0.0005)
            process.kill()
            finish(process)
            if not os.path.exists(place):
                continue
            check_status(restore(place), 4)
            whole += 1
            shutil.rmtree(place)
        place, outcome = snapshot(directory, kernel)
        check_status(outcome, 0)
        check(names_in(directory) == ["kernel", "snap"], f"left: {names_in(directory)}")
    print(f"  {whole} of 40 were whole", flush=True)


@case
def damaged_and_foreign_snapshots_are_refused_in_one_line():
    with harness.temporary_directory() as directory:
        place, outcome = snapshot(directory, ready_then(directory, flat_kernel.out32(EXIT, 0)))
        check_status(outcome, 0)
        state, memory = (os.path.join(place, name) for name in ("state", "memory"))
        good = open(state, "rb").read()

        def refused(data, *words):
            os.chmod(state, 0o600)
            with open(state, "wb") as file:
                file.write(data)
            outcome = restore(place)
            check_status(outcome, FAILED)
            check_one_line(outcome, *words)

        for size in range(0, len(good), 37):
            refused(good[:size], place)
        refused(b'{"vmm_version": "1.17.0"}', "not a snapshot of mayfly")
        refused(good[:8] + struct.pack("<H", 2) + good[10:], "format is 2.0", "newer")
        refused(good[:-1] + bytes([good[-1] ^ 1]), "damaged", "checksum")
        with open(state, "wb") as file:
            file.write(good)
        os.chmod(memory, 0o600)
        os.truncate(memory, 4096)
        outcome = restore(place)
        check_status(outcome, FAILED)
        check_one_line(outcome, "4096 bytes", "truncated")
        os.unlink(memory)
        outcome = restore(place)
        check_one_line(outcome, memory, "missing")
        outcome = run("restore", os.path.join(directory, "none"))
        check_status(outcome, FAILED)
        check_one_line(outcome, "none", "no such snapshot")
        outcome = run("restore")
        check_one_line(outcome, "DIR")
        outcome = run("restore", place, place)
        check_one_line(outcome, "one argument too many")


def sections_of(state):
    """[(tag, critical, payload)] of a state file."""
    (count,) = struct.unpack_from("<I", state, 24)
    found = []
    for number in range(count):
        tag, _, flags, offset, size = struct.unpack_from("<4sHHQQ", state, 64 + 32 * number)
        found.append((tag, flags, state[offset : offset + size]))
    return found


def state_of(sections):
    offset = 64 + 32 * len(sections)
    size = offset + sum(len(payload) for _, _, payload in sections)
    file = b"mayflySS" + struct.pack("<HHIQII", 1, 0, 64, size, len(sections), 0) + bytes(32)
    for tag, flags, payload in sections:
        file += struct.pack("<4sHHQQQ", tag, 1, flags, offset, len(payload), 0)
        offset += len(payload)
    file += b"".join(payload for _, _, payload in sections)
    return file[:32] + struct.pack("<I", zlib.crc32(file)) + file[36:]


@case
def a_forged_snapshot_with_a_right_checksum_is_refused_for_what_it_says():
    with harness.temporary_directory() as directory:
        place, outcome = snapshot(directory, ready_then(directory, flat_kernel.out32(EXIT, 8)))
        check_status(outcome, 0)
        state = os.path.join(place, "state")
        good = sections_of(open(state, "rb").read())
        os.chmod(state, 0o600)

        def restored(change, *added):
            """With the payload of each section changed."""
            with open(state, "wb") as file:
                file.write(state_of([(t, f, change(t, p)) for t, f, p in good] + list(added)))
            return restore(place)

        def unchanged(_, payload):
            return payload

        def with_bytes(where, old, new):
            def change(tag, payload):
                check(tag != where or payload.count(old) == 1, f"{where}: {payload.count(old)} times {old!r}")
                return payload.replace(old, new) if tag == where else payload

            return change

        check_status(restored(unchanged), 8)
        check_status(restored(unchanged, (b"More", 0, b"what a later mayfly adds")), 8)
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot_id = file.read().strip()
        size = struct.pack("<Q", 128 << 20)
        apic = struct.pack("<I", 0xFEE00000 | 1 << 8 | 1 << 11)
        for change, added, words in (
            (unchanged, [(b"More", 1, b"")], ("section More", "does not know")),
            (with_bytes(b"HOST", boot_id[:16], boot_id[:15] + b"x"), [], ("before this host was started",)),
            (with_bytes(b"MEMO", size, struct.pack("<Q", 256 << 20)), [], ("lists 268435456 bytes",)),
            (with_bytes(b"MACH", size, struct.pack("<Q", 4096)), [], ("4096 bytes of memory",)),
            (with_bytes(b"CPUS", apic, struct.pack("<I", 0xFED00000 | 1 << 8 | 1 << 11)), [], ("moved its local APIC",)),
            (lambda tag, payload: payload[:-1] if tag == b"VIRT" else payload, [], ("section VIRT",)),
        ):
            outcome = restored(change, *added)
            check_status(outcome, FAILED)
            check_one_line(outcome, place, *words)


@case
def clones_of_one_snapshot_run_at_once():
    with harness.temporary_directory() as directory:
        code = print_text(b"clone") + flat_kernel.out32(EXIT, 11)
        place, outcome = snapshot(directory, ready_then(directory, code))
        check_status(outcome, 0)
        clones = [popen(["restore", place, "--timeout", "30"]) for _ in range(20)]
        for clone in clones:
            outcome = finish(clone)
            check_status(outcome, 11)
            check(outcome.out == b"clone", "its words", outcome)


@case
def a_restored_guest_is_reported_on_as_a_booted_one_is():
    with harness.temporary_directory() as directory:
        code = print_text(b"ready\n") + flat_kernel.out32(EXIT, 0)
        place, outcome = snapshot(directory, ready_then(directory, code))
        check_status(outcome, 0)
        files = [os.path.join(directory, name) for name in ("junit", "timeline", "stats", "console")]
        outcome = restore(place, "--junit", files[0], "--timeline-json", files[1], "--stats-json", files[2],
                          "--console", files[3], "--expect", "rea.y", "-v")  # fmt: skip
        check_status(outcome, 0)
        check(all(os.path.getsize(name) > 0 for name in files), "an empty report", outcome)
        check(open(files[3], "rb").read() == b"ready\n", "its console")
        outcome = restore(place, "--fail-on", "ready")
        check_status(outcome, 1)


if __name__ == "__main__":
    main()
