# SPDX-License-Identifier: Apache-2.0
"""--net user: a passt that mayfly starts, starts again, and takes with it."""
import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import tempfile
import threading

from harness import FAILED, boot, case, check, check_one_line, check_refused, check_silent, check_status, skip
from network_harness import Running, check_guest, main, uplink, virtio, wait_for

HELLO = "builtin:hello"
ARP = "ip=0xc000020a peer=0xc0000201"
RESTARTS_MAX = 5


def needs_passt():
    if shutil.which("passt") is None:
        skip("passt is not installed")


def status_of(pid):
    """The fields of /proc/PID/status; empty when the process does not exist."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except (FileNotFoundError, ProcessLookupError):
        return {}


def children_of(pid):
    """{number: name} of its children that live."""
    found = {}
    for number in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        status = status_of(number)
        if status.get("PPid") == str(pid) and not status["State"].startswith("Z"):
            found[number] = status["Name"]
    return found


def passt_of(running):
    """The one child, when it is there."""
    wait_for(lambda: len(children_of(running.process.pid)) == 1, "one child")
    ((pid, name),) = children_of(running.process.pid).items()
    return pid, name


def is_gone(pid):
    return not status_of(pid)


@contextlib.contextmanager
def passt_script(text):
    """(environment, directory) with a passt of our own, found before any other."""
    with tempfile.TemporaryDirectory(prefix="mayfly-passt-") as directory:
        path = os.path.join(directory, "passt")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\ncd {directory}\n{text}\n")
        os.chmod(path, stat.S_IRWXU)
        yield {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}, directory


def read_lines(directory, name):
    try:
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


@case
def a_passt_is_started_and_goes_with_mayfly():
    needs_passt()
    with uplink(), Running(*virtio(f"device=net net=back {ARP}", "--net", "user")) as running:
        running.expect(b"net arp answered\nnet ready")
        pid, name = passt_of(running)
        check(name.startswith("passt"), f"the child is {name}")
        running.process.terminate()
        outcome = running.ends()
        check(outcome.status == 128 + signal.SIGTERM, "it ended otherwise", outcome)
        check_silent(outcome)
        check(is_gone(pid), f"passt is still there: {status_of(pid)}")


@case
def the_first_frames_wait_for_passt():
    needs_passt()
    # The guest asks before passt has come up, so only the answer can be checked.
    with uplink():
        for words, options in (
            ("", ()),
            ("", ("--io", "inline")),
            ("transport=mmio", ("--profile", "legacy", "--transport", "mmio")),
        ):
            outcome = boot(*virtio(f"device=net net=arp {words} {ARP}", "--net", "user", *options))
            check_guest(outcome, b"ok net arp answered")
            check_silent(outcome)


@case
def a_passt_ends_when_mayfly_is_killed():
    needs_passt()
    with uplink(), Running(*virtio(f"device=net net=back {ARP}", "--net", "user")) as running:
        running.expect(b"net ready")
        pid, _ = passt_of(running)
        running.process.kill()
        running.process.wait()
        wait_for(lambda: is_gone(pid) or status_of(pid)["State"].startswith("Z"), "passt's end")


@case
def a_passt_ends_when_mayfly_is_killed_before_it_is_up():
    with passt_script("echo >started; exec sleep 100") as (environment, directory):
        with Running(*virtio("device=net net=link", "--net", "user"), env=environment) as running:
            wait_for(lambda: read_lines(directory, "started"), "the script")
            pid, _ = passt_of(running)
            running.process.kill()
            running.process.wait()
            # This passt never reads its socket.
            wait_for(lambda: is_gone(pid) or status_of(pid)["State"].startswith("Z"), "the script's end")


@case
def a_passt_that_dies_is_started_again_and_the_link_comes_back():
    needs_passt()
    for words, options in (
        ("", ()),
        ("irq=msix", ()),
        ("transport=mmio irq=edge", ("--profile", "legacy", "--transport", "mmio")),
    ):
        guest = virtio(f"device=net net=back times=2 {words} {ARP}", "--net", "user", *options)
        with uplink(), Running(*guest) as running:
            killed = set()
            for how in (signal.SIGKILL, signal.SIGTERM):
                running.expect(b"net ready")
                running.out = running.out.replace(b"net ready", b"was ready")
                pid, _ = passt_of(running)
                check(pid not in killed, "the dead one is still there")
                killed.add(pid)
                os.kill(pid, how)
            outcome = running.ends()
        check_guest(outcome, b"ok net link down", b"ok net link back", b"ok net arp answered again")
        check(outcome.out.count(b"ok net arp answered again") == 2, "not twice", outcome)
        first, second = outcome.err.splitlines()
        check("--net user: passt was ended by signal 9" in first and "in 100 ms" in first, first)
        check("--net user: passt ended with status" in second and "in 200 ms" in second, second)
        for pid in killed:
            check(is_gone(pid), "one was not reaped")


@case
def a_passt_that_sends_nonsense_is_replaced():
    needs_passt()
    nonsense = f"[ -e once ] && exec {shutil.which('passt')} \"$@\"; echo >once; printf '\\377none' >&3; sleep 100"
    with uplink(), passt_script(nonsense) as (environment, _):
        words = f"device=net net=arp {ARP}"
        outcome = boot(*virtio(words, "--net", "user"), env=environment)
    check_guest(outcome, b"ok net arp answered")
    first, second = outcome.err.splitlines()
    length = int.from_bytes(b"\xffnon", "big")
    check(f"a frame of {length} bytes, the limit is 65535" in first, first)
    check("is started in 100 ms" in second, second)


@case
def a_passt_that_keeps_failing_is_given_up():
    with passt_script("echo >>starts; echo good bye >&2; kill -9 $$") as (environment, directory):
        # A guest that asks for ten seconds.
        with Running(*virtio("device=net net=arp", "--net", "user"), env=environment) as running:
            wait_for(lambda: len(read_lines(directory, "starts")) == 1 + RESTARTS_MAX, "six starts")
            check(running.process.poll() is None, "it ended with its passt")
            outcome = running.ends()
        check(len(read_lines(directory, "starts")) == 1 + RESTARTS_MAX, "more starts")
    lines = outcome.err.splitlines()
    check(len(lines) == 1 + RESTARTS_MAX, "a line for each end", outcome)
    for line in lines:
        check("--net user: passt was ended by signal 9: good bye; " in line, line, outcome)
    check("5 times within a minute, the guest's link is down from now on" in lines[-1], lines[-1], outcome)


def check_failed(outcome, *parts):
    """Like check_refused(), but the guest may have begun."""
    check_status(outcome, FAILED)
    check_one_line(outcome, *parts)


@case
def the_error_of_a_passt_that_cannot_start_is_printed():
    with passt_script("echo first >&2; echo 'No port is free' >&2; exit 3") as (environment, _):
        outcome = boot(*virtio("device=net net=link", "--net", "user"), env=environment)
        check_failed(outcome, "--net user: passt ended with status 3: No port is free")
    needs_passt()
    outcome = boot(*virtio("device=net net=link", "--net", "user"))
    check_failed(outcome, "--net user: passt ended", "not usable", "default route")
    with uplink(), socket.create_server(("127.0.0.1", 8080)):
        options = ("--net", "user,hostfwd=tcp:127.0.0.1:8080-:80")
        outcome = boot(*virtio("device=net net=link", *options))
        check_failed(outcome, "--net user: passt ended", "127.0.0.1/8080:80")


@case
def without_a_passt_the_remedy_is_told():
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "PATH": directory}
        outcome = boot(HELLO, "--net", "user", env=environment)
        check_refused(outcome, "--net user", "'passt'", "PATH", "apt install passt")
        path = os.path.join(directory, "passt")
        with open(path, "wb") as file:
            file.write(b"no program")
        os.chmod(path, stat.S_IRWXU)
        check_refused(boot(HELLO, "--net", "user", env=environment), "--net user", path, "Exec format")


@case
def a_passt_has_its_words_and_no_descriptor_of_ours():
    text = "echo \"$@\" >words; ls -l /proc/self/fd >descriptors; echo >done; exec sleep 100"
    value = "user,mtu=1400,hostfwd=udp::53-:5353"
    with passt_script(text) as (environment, directory), tempfile.NamedTemporaryFile() as disk:
        disk.truncate(1 << 20)
        options = ("--net", value, "--disk", disk.name)
        with Running(*virtio("device=net net=link", *options), env=environment) as running:
            wait_for(lambda: read_lines(directory, "done"), "the script")
        words = read_lines(directory, "words")[0]
        for part in ("--fd 3", "--no-map-gw", "--mtu 1400", "--tcp-ports none", "--udp-ports 53:5353"):
            check(part in words, f"{part}: {words}")
        found = {}
        for line in read_lines(directory, "descriptors"):
            if at := re.search(r" (\d+) -> (.*)", line):
                found[int(at[1])] = at[2]
        check(found.pop(0) == "/dev/null", f"stdin: {found}")
        check(found.pop(2).startswith("pipe:"), f"stderr: {found}")
        check(found.pop(3).startswith("socket:"), f"the socket: {found}")
        # stdout is ls's file by the shell, 4 the directory that it reads.
        check(set(found) <= {1, 4}, f"{found}")


@case
def a_ctrl_c_is_mayflys():
    with passt_script("echo >started; exec sleep 100") as (environment, directory):
        guest = virtio("device=net net=link", "--net", "user")
        with Running(*guest, env=environment, start_new_session=True) as running:
            wait_for(lambda: read_lines(directory, "started"), "the script")
            os.killpg(running.process.pid, signal.SIGINT)
            outcome = running.ends()
    check(outcome.status == 128 + signal.SIGINT, "it ended otherwise", outcome)
    check_silent(outcome)


@case
def a_port_of_the_host_takes_connections():
    needs_passt()
    guest = virtio(f"device=net net=back {ARP}", "--net", "user,hostfwd=tcp:127.0.0.1:8080-:80")
    with uplink(), Running(*guest) as running:
        running.expect(b"net ready")
        # No program in this guest answers; it is enough that passt accepts.
        with socket.create_connection(("127.0.0.1", 8080), timeout=10):
            pass
        for address in (("192.0.2.10", 8080), ("127.0.0.1", 8081)):
            try:
                with socket.create_connection(address, timeout=10):
                    check(False, f"{address} takes connections too")
            except ConnectionRefusedError:
                pass


main()
