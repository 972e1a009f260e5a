# SPDX-License-Identifier: Apache-2.0
"""Files that mayfly writes: never one that it reads or writes for another option, and whole or not at all."""
import contextlib
import os
import resource
import signal
import socket
import stat
import subprocess
import time

import flat_kernel
import harness
from harness import boot, case, check, check_match, check_one_line, check_out, check_refused, check_silent
from harness import check_status, guest, run, write_file

OUTPUTS = ("--console", "--log", "--junit", "--timeline-json", "--stats-json")
REPORTS = ("--junit", "--timeline-json", "--stats-json")
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def content(path):
    with open(path, "rb") as file:
        return file.read()


@contextlib.contextmanager
def place():
    """A directory with a file, and every name that a file can have."""
    with harness.temporary_directory() as directory:
        path = write_file(directory, "file", harness.guest_bytes("hello").ljust(4096, b"\0"))
        os.symlink("file", os.path.join(directory, "symlink"))
        os.link(path, os.path.join(directory, "hardlink"))
        yield directory, path


def names_of(path):
    directory = os.path.dirname(path)
    return [path, os.path.join(directory, "symlink"), os.path.join(directory, "hardlink")]


def inputs_of(path):
    """The name of each input in messages, and the arguments that make `path` one."""
    return {
        "KERNEL": [path],
        "--initrd": [guest("hello"), "--initrd", path],
        "--module": [guest("hello"), "--module", path + " argument"],
        "--disk": [guest("hello"), "--disk", path + ",ro"],
        "--exec": [guest("hello"), "--exec", path],
    }


def check_clash(outcome, *parts):
    check_refused(outcome, *parts, "are one file")


@case
def no_output_is_an_input_by_any_name():
    with place() as (directory, path):
        before = content(path)
        for called, arguments in inputs_of(path).items():
            for output in OUTPUTS:
                for name in names_of(path):
                    check_clash(boot(output, name, *arguments), f"{output} {name}", f"{called} {path}")
                    check(content(path) == before, f"{called} was changed by {output} {name}")
        for output in OUTPUTS:
            with open(path, "r+b") as file:
                for name in (f"/dev/fd/{file.fileno()}", f"/proc/self/fd/{file.fileno()}"):
                    outcome = boot(output, name, path, pass_fds=[file.fileno()])
                    check_clash(outcome, f"{output} {name}", f"KERNEL {path}")
        check(content(path) == before, "the kernel was changed through a descriptor")
        check(sorted(os.listdir(directory)) == ["file", "hardlink", "symlink"], f"{os.listdir(directory)}")


@case
def no_two_outputs_are_one_file():
    with place() as (directory, path):
        before = content(path)
        new = os.path.join(directory, "new")
        os.symlink("new", os.path.join(directory, "dangling"))
        for index, one in enumerate(OUTPUTS):
            for other in OUTPUTS[index + 1 :]:
                for name in names_of(path):
                    check_clash(boot(one, path, other, name, guest("hello")), one, other, path, name)
                for name in (new, os.path.join(directory, "dangling")):
                    check_clash(boot(one, new, other, name, guest("hello")), one, other, new)
                for name in ("/dev/stderr", "/dev/fd/2"):
                    check_clash(boot(one, "/dev/stderr", other, name, guest("hello")), one, other)
        check(content(path) == before and not os.path.exists(new), "a file was changed or made")
        outcome = boot("--timeline-json", "/dev/null", "--stats-json", "/dev/null", guest("hello"))
        check_status(outcome, 0)
        check_silent(outcome)


@case
def an_input_that_is_missing_is_not_made_by_an_output():
    with harness.temporary_directory() as directory:
        path = os.path.join(directory, "missing")
        for arguments in inputs_of(path).values():
            for output in OUTPUTS:
                check_clash(boot(output, path, *arguments), output, path)
        check(os.listdir(directory) == [], f"{os.listdir(directory)}")


@case
def a_program_in_a_root_is_an_input_and_its_bare_name_no_file_here():
    with place() as (directory, path):
        for output in OUTPUTS:
            check_clash(boot("--exec", "/file", "--root", directory, output, path, guest("hello")), output, path)
            name = os.path.join(directory, "tool")
            outcome = boot("--exec", "tool", "--root", directory, output, "tool", guest("hello"), cwd=directory)
            check_refused(outcome, "not a Linux kernel")
            if output in ("--console", "--log", "--junit"):
                os.unlink(name)
            check(not os.path.exists(name), f"{output} made its file though there was nothing to report")


def tree_of(directory):
    """A kernel that takes an initramfs, a root with modules, and the files in it with their content."""
    kernel = write_file(directory, "kernel", flat_kernel.linux64(flat_kernel.HALT))
    root = os.path.join(directory, "root")
    os.makedirs(os.path.join(root, "bin"))
    os.makedirs(os.path.join(root, "modules"))
    program = write_file(root, "bin/sh", harness.guest_bytes("hello"))
    os.chmod(program, 0o755)
    os.symlink("/bin/sh", os.path.join(root, "bin/zsh"))
    listing = write_file(root, "modules/modules.dep", b"kernel/one.ko:\n")
    os.link(program, os.path.join(directory, "sh"))
    os.link(listing, os.path.join(directory, "listing"))
    return kernel, root, {path: content(path) for path in (program, listing)}


@case
def no_output_is_a_file_that_is_packed():
    with harness.temporary_directory() as directory:
        kernel, root, files = tree_of(directory)
        program, listing = files
        modules = os.path.dirname(listing)
        inside = (["--exec", "sh", "--root", root], ["--exec", "/bin/zsh", "--root", root])
        beside = ["--exec", program, "--modules", modules]
        for boots, names in ((inside, (program, os.path.join(directory, "sh"), listing)),
                             ([beside], (listing, os.path.join(directory, "listing")))):
            for arguments in boots:
                for output in OUTPUTS:
                    for name in names:
                        outcome = boot(kernel, *arguments, output, name, "--timeout", 10)
                        check_refused(outcome, f"{output} {name}", f"{output} would destroy it")
                        for path in (*files, name):
                            check(content(path) in files.values(), f"{output} {name} destroyed {path}", outcome)
        for early in (["--memory", "much"], ["--expect", "("]):
            for arguments, name in ((inside[0], program), (beside, listing)):
                outcome = boot(kernel, *arguments, *early, "--junit", name)
                check_status(outcome, harness.FAILED)
                check(content(name) == files[name], "the report replaced what is to be packed", outcome)
        # Input from before the channel is dropped; 124: the kernel only halts.
        for output in OUTPUTS:
            new = os.path.join(root, "new")
            check_status(boot(kernel, *inside[0], output, new, "--timeout", "0.2"), harness.TIMEOUT)
            with contextlib.suppress(FileNotFoundError):  # where packing took all of the time
                os.unlink(new)


@case
def a_log_limit_without_a_log_is_refused():
    check_refused(boot("--log-limit", "5", guest("hello")), "--log-limit 5", "--log")


@case
def a_block_device_is_found_under_another_node():
    with harness.temporary_directory() as directory:
        image = write_file(directory, "image", bytes(1 << 20))
        made = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            harness.skip(f"no loop device: {made.stderr.strip()}")
        loop = made.stdout.strip()
        try:
            node = os.path.join(directory, "node")
            os.mknod(node, stat.S_IFBLK | 0o600, os.stat(loop).st_rdev)
            for output in OUTPUTS:
                check_clash(boot(output, node, "--disk", loop, guest("hello")), output, node, "--disk", loop)
            with open(loop, "rb") as device:
                check(device.read(4096) == bytes(4096), "the disk was written to")
        finally:
            subprocess.run(["losetup", "-d", loop], check=True)


@case
def a_file_that_a_standard_descriptor_is_connected_to_is_refused_as_an_output():
    with harness.temporary_directory() as directory:
        path = write_file(directory, "file", b"typed\n")
        for stream, mode in (("stdin", "rb"), ("stdout", "ab"), ("stderr", "ab")):
            for output in OUTPUTS if stream == "stderr" else OUTPUTS[1:]:
                with open(path, mode) as file:
                    outcome = boot(output, path, guest("hello"), **{stream: file})
                check_status(outcome, harness.FAILED)
                said = content(path).decode() if stream == "stderr" else outcome.err
                check(f"{output} {path} is the file that {stream} is connected to" in said, said, outcome)
                check(content(path).startswith(b"typed\n"), f"{output} destroyed what {stream} is", outcome)


@case
def a_hyphen_is_stdout_and_refused_where_that_is_the_guests():
    with harness.temporary_directory() as directory:
        for output in OUTPUTS[1:]:
            for name in ("-", "/dev/stdout", "/dev/fd/1"):
                check_refused(boot(output, name, guest("hello"), cwd=directory), output, name, "--console null")
            outcome = boot(output, "-", "--console", "null", guest("hello"), cwd=directory)
            check_status(outcome, 0)
            check(outcome.out != b"", f"{output} -: nothing on stdout", outcome)
            check_silent(outcome)
        check_out(boot("--console", "-", guest("hello"), cwd=directory), b"Hello from mayfly\n")
        check(os.listdir(directory) == [], f"{os.listdir(directory)}")


@case
def bad_paths_are_found_before_the_guest_runs():
    with harness.temporary_directory() as directory:
        os.symlink("loop", os.path.join(directory, "loop"))
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(os.path.join(directory, "socket"))
        names = [os.path.join(directory, name) for name in ("no/such", "loop", "socket", "new/")]
        for output in OUTPUTS:
            for name in [*names, directory, "/proc/none", "/dev/fd/77", "/dev/fd/3"]:
                # The guest's verdict would be 7.
                check_refused(boot(output, name, guest("exits"), "--append", "exit=7"), output, name)
            with open("/dev/null", "rb") as null:
                check_refused(boot(output, "/dev/stdin", guest("hello"), stdin=null), output, "reading only")
            check_refused(boot(output, "", guest("hello")), output, "empty")
        listening.close()
        check(sorted(os.listdir(directory)) == ["loop", "socket"], f"{os.listdir(directory)}")


@case
def a_refused_command_has_its_report_but_not_in_its_input():
    with place() as (directory, path):
        before = content(path)
        for arguments in ([path], [guest("hello"), "--disk", path + ",colour=red"]):
            outcome = boot("--memory", "much", "--junit", path, *arguments)
            check_status(outcome, harness.FAILED)
            check("--memory" in outcome.err and "are one file" in outcome.err, "not told", outcome)
            check(content(path) == before, "the input was replaced by the report", outcome)
        report = os.path.join(directory, "report")
        check_refused(boot("--junit", report, "--log", path, path), "--log")
        check(b"are one file" in content(report), "the report does not say why")


@case
def a_log_is_not_emptied_by_a_command_that_is_refused():
    with harness.temporary_directory() as directory:
        log = write_file(directory, "log", b"old")
        for arguments in (["--expect", "("], ["--junit", "/no/such/file"], ["--console", directory]):
            check_refused(boot("--log", log, *arguments, guest("hello")), arguments[0])
            check(content(log) == b"old", f"{arguments}: the log is gone")
        check_status(boot("--log", log, "/no/such/kernel"), harness.NOT_FOUND)
        check_status(boot("--log", log, "--disk", "/no/such/disk", guest("hello")), harness.FAILED)
        check(content(log) == b"old", "a boot that failed early emptied the log")
        check_status(boot("--log", log, guest("hello")), 0)
        check(b"Hello" in content(log) and b"old" not in content(log), f"{content(log)!r}")


@case
def reports_are_whole_or_not_there_however_mayfly_ends():
    for ending, status in ((signal.SIGTERM, 143), (signal.SIGKILL, 137)):
        with harness.temporary_directory() as directory:
            paths = [write_file(directory, option[2:], b"old") for option in REPORTS]
            readers = [open(path, "rb") for path in paths]  # of the old ones: each sees a whole report, ever
            words = [word for option, path in zip(REPORTS, paths) for word in (option, path)]
            process = harness.popen(["boot", *words, guest("echo")])
            started = time.monotonic()
            check(process.stdout.readline() == b"ready\n", "the guest does not run")
            names = sorted(os.listdir(directory))
            check(names == sorted(option[2:] for option in REPORTS), f"beside the reports: {names}")
            check(all(content(path) == b"old" for path in paths), "an old report is gone before there is a new one")
            process.send_signal(ending)
            check_status(harness.finish(process, started), status)
            check(sorted(os.listdir(directory)) == names, f"left behind: {os.listdir(directory)}")
            for path in paths:
                check((content(path) == b"old") == (ending == signal.SIGKILL), f"{path}: {content(path)!r}")
            for reader in readers:
                check(reader.read() == b"old", f"{reader.name} was written in place")
                reader.close()


@case
def a_report_keeps_the_mode_and_owner_of_the_one_before():
    with harness.temporary_directory() as directory:
        for option in REPORTS:
            path = write_file(directory, option[2:], b"old")
            os.chmod(path, 0o604)
            if os.geteuid() == 0:
                os.chown(path, 65534, 65533)
            owner = os.stat(path)[4:6]
            check_status(boot(option, path, guest("hello")), 0)
            now = os.stat(path)
            check(stat.S_IMODE(now.st_mode) == 0o604 and now[4:6] == owner, f"{option}: {now}")
            fresh = os.path.join(directory, "fresh")
            check_status(boot(option, fresh, guest("hello"), preexec_fn=lambda: os.umask(0o027)), 0)
            check(stat.S_IMODE(os.stat(fresh).st_mode) == 0o640, f"{option}: {os.stat(fresh)}")
            os.unlink(fresh)


@case
def a_report_that_does_not_fit_leaves_the_one_before():
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
    with harness.temporary_directory() as directory:
        for option in REPORTS:
            path = write_file(directory, "report", b"old")
            for append, status in (("exit=0", harness.FAILED), ("exit=7", 7)):
                outcome = boot(option, path, guest("exits"), "--append", append, preexec_fn=limit)
                check_status(outcome, status)
                check_one_line(outcome, option, path, "File too large")
                check(content(path) == b"old" and os.listdir(directory) == ["report"], f"{os.listdir(directory)}")


@case
def where_a_directory_takes_no_file_a_report_is_written_in_place():
    if os.geteuid() != 0:
        harness.skip("needs another user")
    refused = ("boot", "--memory", "much", "--junit")  # needs no KVM, which the user nobody may lack
    with harness.temporary_directory() as directory:
        path = write_file(directory, "report", b"old" * 1000)
        os.chmod(path, 0o666)
        for mode in (0o755, 0o1777):  # no new file; and another user's, which cannot be replaced
            os.chmod(directory, mode)
            outcome = run(*refused, path, wrapper=AS_NOBODY)
            check_one_line(outcome, "--memory")
            check(content(path).endswith(b"</testsuites>\n"), "not written in place", outcome)
            check(os.stat(path).st_uid == 0 and os.listdir(directory) == ["report"], f"{os.listdir(directory)}")
            write_file(directory, "report", b"old" * 1000)
        os.chmod(directory, 0o755)
        check_match(run(*refused, os.path.join(directory, "new"), wrapper=AS_NOBODY), "new: Permission denied")
        os.chmod(path, 0o644)
        check_match(run(*refused, path, wrapper=AS_NOBODY), "report: Permission denied")
        check(content(path) == b"old" * 1000, "another user's file was changed")


@case
def a_mount_point_is_written_in_place_and_a_read_only_one_refused():
    wrapper = ["unshare", "-m", "sh", "-c", 'mount --bind "$0/source" "$0/report" && eval "$1" && shift && exec "$@"']
    with harness.temporary_directory() as directory:
        source, path = write_file(directory, "source", b"old"), write_file(directory, "report", b"under")
        if subprocess.run([*wrapper, directory, ":", "true"], capture_output=True, check=False).returncode != 0:
            harness.skip("needs a mount namespace of its own")
        outcome = boot("--timeline-json", path, guest("hello"), wrapper=[*wrapper, directory, ":"])
        check_status(outcome, 0)
        check(content(source).startswith(b"{") and content(path) == b"under", "not written", outcome)
        read_only = 'mount -o remount,bind,ro "$0/report"'
        for output in OUTPUTS:
            outcome = boot(output, path, guest("hello"), wrapper=[*wrapper, directory, read_only])
            check_refused(outcome, output, path, "ead-only file system")
        check(sorted(os.listdir(directory)) == ["report", "source"], f"{os.listdir(directory)}")


@case
def a_process_or_a_socket_takes_a_report():
    with harness.temporary_directory() as directory:
        path = os.path.join(directory, "copy")
        for option in REPORTS:
            reader, writer = os.pipe()
            outcome = boot(option, f"/dev/fd/{writer}", guest("hello"), pass_fds=[writer])
            os.close(writer)
            with open(reader, "rb") as file:
                whole = file.read()
            check_status(outcome, 0)
            check(len(whole) > 100, f"{option}: {whole!r}")
            ours, theirs = socket.socketpair()  # as a service has for its stderr
            check_status(boot(option, "/dev/stderr", guest("hello"), stderr=theirs), 0)
            theirs.close()
            check(len(ours.recv(1 << 16)) > 100, f"{option}: nothing came through the socket")
            ours.close()
            with open(path, "w+b") as file:  # and the earlier content stays
                file.write(b"before\n")
                file.flush()
                check_status(boot(option, f"/dev/fd/{file.fileno()}", guest("hello"), pass_fds=[file.fileno()]), 0)
            check(content(path).startswith(b"before\n") and len(content(path)) > 100, f"{content(path)!r}")


@case
def a_console_file_stops_at_its_limit_and_the_watch_does_not():
    with harness.temporary_directory() as directory:
        path = write_file(directory, "console", b"old\n")
        arguments = ["--console", path, "--console-limit", "4K", "--append", "bytes=16384 rep", guest("flood")]
        log = os.path.join(directory, "log")
        outcome = boot(*arguments, "--log", log)
        check_status(outcome, 0)
        check_out(outcome, b"")
        check_one_line(outcome, f"--console {path}: 12288 bytes of the console are not in it", "--console-limit 4 KiB")
        kept = content(path)
        check(kept.startswith(b"old\n") and len(kept) == 4 + 4096, f"{len(kept)} bytes")
        check(os.path.getsize(log) > 16384, "the log was cut as well")
        outcome = boot("--console", path, "--console-limit", "3", "--expect", "from mayfly$", guest("hello"))
        check_status(outcome, 0)
        check(content(path) == kept + b"Hel", "not the first three bytes")
        check_silent(boot("--console", path, "--console-limit", "18", guest("hello")))


@case
def a_console_limit_without_a_file_is_refused():
    for where in ([], ["--console", "null"], ["--console", "-"], ["--console", "/dev/stdout"], ["--console", "hvc"]):
        check_refused(boot("--console-limit", "1K", *where, guest("hello")), "--console-limit 1K", "stdout")
    check_refused(boot("--console-limit", "much", "--console", "/dev/null", guest("hello")), "--console-limit", "much")


@case
def a_bench_overwrites_nothing_that_it_measures():
    def bench(*options, boot_words=(guest("hello"),), **more):
        return run("bench", "boot", "-n", 1, "--warmup", 0, *options, "--", *boot_words, **more)

    with place() as (directory, path):
        before = content(path)
        command = write_file(directory, "command", b"#!/bin/sh\n")
        os.chmod(command, 0o755)
        for option in ("--json", "--csv", "--html"):
            for name in names_of(path):
                for called, words in inputs_of(path).items():
                    check_clash(bench(option, name, boot_words=words), f"{option} {name}", called, path)
                check_clash(bench(option, name, boot_words=["--log", path, guest("hello")]), option, "--log", path)
                for against in (f"/bin/cat {path}", f"/bin/cat --file={path}"):
                    check_clash(bench(option, name, "--against", against), option, name, path)
                for other in {"--json", "--csv", "--html"} - {option}:
                    check_clash(bench(option, path, other, name), option, other, path)
            check_clash(bench(option, command, "--against", command), option, command)
            with open(path, "ab") as file:
                outcome = bench(option, path, stdout=file)
            check_status(outcome, harness.FAILED)
            check_one_line(outcome, f"{option} {path} is the file that stdout is connected to")
            check_refused(bench(option, "/proc/none"), "/proc/none")
        check(content(path) == before, "the kernel was changed")
        old = write_file(directory, "old", b"old")
        check_status(bench("--json", old), 0)
        check(content(old).startswith(b"{"), "the report was not replaced")
        names = ["command", "file", "hardlink", "old", "symlink"]
        check(sorted(os.listdir(directory)) == names, f"{os.listdir(directory)}")


harness.main()
