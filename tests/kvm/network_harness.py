# SPDX-License-Identifier: Apache-2.0
"""Networks for mayfly's guests: taps in a network namespace of the test program's own, and their other ends.

Nothing is left when the program ends, however it ends: the namespace goes with its last process.
Without root everything is skipped, loudly.
"""
import contextlib
import ctypes
import errno
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time

import harness
from harness import check, check_status, guest_file, popen

CLONE_NEWNET = 0x40000000
ETH_P_ALL, SOL_PACKET, PACKET_VNET_HDR, PACKET_OUTGOING = 3, 263, 15, 4
ETHERTYPE_ECHO, ETHERTYPE_IPV4 = 0x88B5, 0x0800
SO_RCVBUFFORCE, SOCKET_BYTES = 33, 16 << 20
VNET_HEADER_BYTES = 10
GUEST_ADDRESS = bytes([10, 77, 0, 2])
MAC = "52:54:00:12:34:56"
ON_EVERY_MACHINE = [
    (profile, transport)
    for profile, transports in (("modern", ("pci",)), ("legacy", ("pci", "legacy", "mmio")))
    for transport in transports
]


def why_no_network():
    if os.geteuid() != 0:
        return "not root: taps and network namespaces need it"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        return f"no network namespace: {os.strerror(ctypes.get_errno())}"
    return ""


def main():
    """Like harness.main(), in a network namespace in which no host sends frames unasked."""
    if reason := why_no_network():
        print(f"SKIPPED, NOTHING WAS TESTED: {reason}", flush=True)
        sys.exit(harness.SKIPPED)
    for which in ("all", "default"):
        path = f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6"
        if os.path.exists(path):
            with open(path, "w", encoding="ascii") as file:
                file.write("1")
    ip("link", "set", "lo", "up")
    harness.main()


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, stdout=subprocess.DEVNULL)


def is_there(name):
    return subprocess.run(["ip", "link", "show", name], capture_output=True, check=False).returncode == 0


def counters(name):
    """(frames that came from the tap's owner, frames that could not be given to it)."""
    answer = subprocess.run(["ip", "-j", "-s", "link", "show", name], capture_output=True, check=True).stdout
    numbers = json.loads(answer)[0]["stats64"]
    return numbers["rx"]["packets"], numbers["tx"]["dropped"]


def mtu_of(name):
    answer = subprocess.run(["ip", "-j", "link", "show", name], capture_output=True, check=True).stdout
    return json.loads(answer)[0]["mtu"]


def options_of(tap, profile="modern", transport="pci", *net):
    return (
        "--net",
        ",".join((f"tap={tap}", *net)),
        "--profile",
        profile,
        "--transport",
        "mmio" if transport == "mmio" else "pci",
    )


def interrupts_of(profile, transport):
    """The features of each machine's transport."""
    if transport == "pci":
        return "msix"
    if transport == "legacy":
        return "intx"
    return "edge"


def wait_for(holds, what, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        check(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.01)


class Tap:
    """A persistent tap that is up."""

    def __init__(self, name, *kinds):
        self.name = name
        self.kinds = kinds

    def __enter__(self):
        ip("tuntap", "add", "dev", self.name, "mode", "tap", *self.kinds)
        ip("link", "set", self.name, "up")
        return self

    def __exit__(self, *_):
        if is_there(self.name):
            ip("link", "del", self.name)


@contextlib.contextmanager
def uplink():
    """passt's requirements: 192.0.2.10 on an interface, and a default route to an absent gateway."""
    with Tap("up0") as tap:
        ip("address", "add", "192.0.2.10/24", "dev", tap.name)
        ip("route", "add", "default", "via", "192.0.2.1")
        yield


def unbound_socket():
    """For raw frames behind virtio-net headers."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packets.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    return packets


def is_bound(packets, name):
    """Whether the interface is there; then the socket is at it."""
    try:
        packets.bind((name, ETH_P_ALL))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        return False
    return True


def frame_socket(name):
    """Raw frames, once the interface is there."""
    packets = unbound_socket()
    wait_for(lambda: is_bound(packets, name), f"interface {name}")
    return packets


class AtEnd:
    """A thread that reads the frames out of a tap: from the start where the tap exists already, to the last
    frame that has come when it is told to stop."""

    def __init__(self, name):
        self.name = name
        self.frames = 0
        self.bytes_max = 0
        self.senders = set()
        self._packets = unbound_socket()
        # Nothing is lost while the thread waits for a processor.
        self._packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES)
        self._is_at_tap = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._is_at_tap = is_bound(self._packets, self.name)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()

    def _run(self):
        with self._packets as packets:
            if not self._is_at_tap:
                wait_for(lambda: self._is_over.is_set() or is_bound(packets, self.name), self.name)
            while True:
                # In this order: frames that come before the request to stop are read after it.
                is_over = self._is_over.is_set()
                if not select.select([packets], [], [], 0 if is_over else 0.05)[0]:
                    if is_over:
                        return
                    continue
                try:
                    data, sender = packets.recvfrom(1 << 17)
                except OSError:  # down, or gone
                    continue
                if sender[2] != PACKET_OUTGOING:
                    self.take(packets, data[:VNET_HEADER_BYTES], data[VNET_HEADER_BYTES:])

    def take(self, packets, header, frame):
        del packets, header
        self.frames += 1
        self.bytes_max = max(self.bytes_max, len(frame))
        self.senders.add(frame[6:12].hex(":"))


class Echo(AtEnd):
    """Echoes the guest's frames, with the addresses exchanged."""

    def take(self, packets, header, frame):
        kind = struct.unpack_from(">H", frame, 12)[0]
        if kind != ETHERTYPE_ECHO and (kind != ETHERTYPE_IPV4 or frame[26:30] != GUEST_ADDRESS):
            return
        super().take(packets, header, frame)
        try:
            packets.send(header + frame[6:12] + frame[:6] + frame[12:])
        except OSError:  # down, or gone
            pass


def frame_to(mac, kind, payload):
    return bytes.fromhex(mac.replace(":", "")) + bytes([2, 0, 0, 0, 0, 1]) + struct.pack(">H", kind) + payload


class Flood:
    """Frames at a tap, as fast as they can be sent, until told to stop."""

    def __init__(self, name, frame_bytes=1500):
        self.name = name
        self.sent = 0
        self._frame = bytes(VNET_HEADER_BYTES) + frame_to("ff:ff:ff:ff:ff:ff", ETHERTYPE_ECHO, b"").ljust(
            frame_bytes, b"f"
        )
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()

    def _run(self):
        with frame_socket(self.name) as packets:
            while not self._is_over.is_set():
                try:
                    packets.send(self._frame)
                    self.sent += 1
                except OSError:  # full, down, or gone
                    time.sleep(0.001)


class Running:
    """mayfly with a guest whose console is read line by line."""

    def __init__(self, *arguments, **options):
        self.started = time.monotonic()
        self.process = popen(("boot", *arguments), **options)
        self.out = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def expect(self, text, seconds=30):
        fd = self.process.stdout.fileno()
        end = time.monotonic() + seconds
        while text not in self.out:
            left = end - time.monotonic()
            ready = left > 0 and select.select([fd], [], [], left)[0]
            data = os.read(fd, 65536) if ready else b""
            if not data:
                self.process.kill()
                err = self.process.stderr.read() if self.process.stderr else b""
                raise harness.Failure(f"{text!r} did not come, but {self.out!r}\nstderr: {err!r}")
            self.out += data

    def rss_kib(self):
        """0 when it has ended."""
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
                for line in file:
                    if line.startswith("VmRSS:"):
                        return int(line.split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass
        return 0

    def ends(self):
        outcome = harness.finish(self.process, self.started)
        outcome.out = self.out + outcome.out
        return outcome


def virtio(words, *options):
    """The arguments that boot the guest `virtio`."""
    return (guest_file("virtio"), "--append", words, "--timeout", 50, *options)


def check_guest(outcome, *lines):
    """The guest found nothing wrong, and printed all of `lines`."""
    check_status(outcome, 0)
    check(b"FAIL" not in outcome.out, "the guest reports a failure", outcome)
    for line in lines:
        check(line in outcome.out, f"the guest did not say {line!r}", outcome)
