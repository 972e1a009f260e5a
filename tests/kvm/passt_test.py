# SPDX-License-Identifier: Apache-2.0
"""--net passt=SOCKET: frames behind big-endian lengths on a UNIX stream; peers that die or talk nonsense."""
import contextlib
import os
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

from harness import boot, case, check, check_one_line, check_silent, skip
from network_harness import Running, check_guest, main, uplink, virtio, wait_for

FRAME_MAX = 65535
ECHOED = (b"ok net echo", b"ok net bursts", b"ok net reset with frames in flight", b"ok net sound at the end")


class Peer:
    """A passt of our own, for one connection."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="mayfly-passt-")
        self.path = os.path.join(self._directory.name, "socket")
        self.frames = 0
        self.error = None
        self.may_go = threading.Event()  # the guest looks
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self.may_go.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # if no connection came
        self._thread.join()
        self._listener.close()
        self._directory.cleanup()
        if kind is None and self.error is not None:
            raise self.error

    def _run(self):
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            try:
                self.serve(connection)
            except (ConnectionError, EOFError):
                pass
            except Exception as error:  # told by __exit__
                self.error = error

    def serve(self, connection):
        while True:
            self.send(connection, self.answer(self.receive(connection)))

    def receive(self, connection):
        (length,) = struct.unpack(">I", self.exactly(connection, 4))
        check(14 <= length <= FRAME_MAX, f"a frame of {length} bytes")
        frame = self.exactly(connection, length)
        self.frames += 1
        return frame

    def exactly(self, connection, count):
        data = b""
        while len(data) < count:
            piece = connection.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def answer(self, frame):
        return frame[6:12] + frame[:6] + frame[12:]

    def send(self, connection, frame):
        connection.sendall(struct.pack(">I", len(frame)) + frame)


class InPieces(Peer):
    """Reads and writes as few bytes at once as streams allow."""

    def exactly(self, connection, count):
        pieces = (min(7, count - at) for at in range(0, count, 7))
        return b"".join(super(InPieces, self).exactly(connection, piece) for piece in pieces)

    def send(self, connection, frame):
        data = struct.pack(">I", len(frame)) + frame
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for at in range(0, len(data), 3):
            connection.sendall(data[at : at + 3])


class Together(Peer):
    """Answers only when several frames have come, with one write for all."""

    def serve(self, connection):
        for _ in range(2):  # the first is alone
            self.send(connection, self.answer(self.receive(connection)))
        waiting = b""
        connection.settimeout(0.02)
        while True:
            try:
                frame = self.answer(self.receive(connection))
                waiting += struct.pack(">I", len(frame)) + frame
            except TimeoutError:
                connection.sendall(waiting)
                waiting = b""


class Talker(Peer):
    """Sends `data` behind the first frame, and waits for the end."""

    def __init__(self, data):
        super().__init__()
        self.data = data

    def serve(self, connection):
        self.may_go.wait()
        self.receive(connection)
        connection.sendall(self.data)
        while connection.recv(65536):
            pass


class Mute(Peer):
    """Reads nothing, and stays until the other side goes."""

    def serve(self, connection):
        hangup = select.poll()
        hangup.register(connection, 0)
        hangup.poll()


class Leaving(Peer):
    """Closes after so many bytes, also in the middle of a frame or its length."""

    def __init__(self, bytes_before, bytes_sent=b""):
        super().__init__()
        self.bytes_before = bytes_before
        self.bytes_sent = bytes_sent

    def serve(self, connection):
        self.may_go.wait()
        self.exactly(connection, self.bytes_before)
        connection.sendall(self.bytes_sent)


def echoes(peer, words="", options=()):
    with peer:
        outcome = boot(*virtio(f"device=net {words}", "--net", f"passt={peer.path}", *options))
    check_guest(outcome, *ECHOED)
    check_silent(outcome)
    return outcome


@case
def frames_are_echoed():
    for words, options in (
        ("", ()),
        ("ring=packed irq=msix", ()),
        ("transport=legacy irq=intx", ("--profile", "legacy")),
        ("transport=mmio irq=edge", ("--profile", "legacy", "--transport", "mmio")),
        ("mrg=0 indirect=0 event_idx=0", ()),
    ):
        peer = Peer()
        outcome = echoes(peer, words, options)
        check(peer.frames >= 256, f"{peer.frames} frames came", outcome)
        check(b"32 KiB" not in outcome.out, "passt segments nothing", outcome)


@case
def frames_in_pieces_are_put_together():
    echoes(InPieces(), "frames=48")
    echoes(InPieces(), "frames=32 ring=packed")


@case
def frames_in_one_piece_are_taken_apart():
    echoes(Together(), "frames=64")


def goes_down(peer, *parts, words="send=1"):
    with peer:
        with Running(*virtio(f"device=net net=link {words}", "--net", f"passt={peer.path}")) as running:
            running.expect(b"net ready")
            peer.may_go.set()
            outcome = running.ends()
    check_guest(outcome, b"ok net link up", b"ok net link down", b"ok net sends without link")
    check_guest(outcome, b"ok net link stays down")
    check_one_line(outcome, "passt", peer.path, *parts)


@case
def a_peer_that_goes_takes_the_link_down():
    # 64 bytes are a length and a frame. With unread bytes the connection is reset, not ended.
    for bytes_before in (0, 2, 4, 40, 64, 640):
        goes_down(Leaving(bytes_before), "the connection")
    goes_down(Leaving(0), "closed the connection", words="irq=msix")
    goes_down(Leaving(64, b"\0\0"), "the connection")
    goes_down(Leaving(64, b"\0\0\0\x40half"), "the connection")


@case
def a_length_that_no_frame_has_takes_the_link_down():
    for length in (FRAME_MAX + 1, 0x7FFFFFFF, 0xFFFFFFFF):
        words = f"a frame of {length} bytes, the limit is {FRAME_MAX}"
        goes_down(Talker(struct.pack(">I", length) + bytes(100)), words)


@case
def frames_of_no_size_are_passed_over():
    class Strange(Peer):
        def send(self, connection, frame):
            for length in (0, 1, 13):
                connection.sendall(struct.pack(">I", length) + bytes(length))
            super().send(connection, frame)

    echoes(Strange(), "frames=32")


@case
def frames_too_large_for_the_guest_are_passed_over():
    class Large(Peer):
        def send(self, connection, frame):
            super().send(connection, b"\xff" * 9000)
            super().send(connection, frame)

    # Without merged buffers no frame larger than a buffer fits.
    echoes(Large(), "frames=32 mrg=0")


@case
def a_peer_that_does_not_read_holds_up_no_other_device():
    with Mute() as peer, tempfile.NamedTemporaryFile() as disk:
        disk.truncate(16 << 20)
        options = ("--net", f"passt={peer.path}", "--disk", disk.name)
        # The transmit ring stays full: the disk goes on.
        outcome = boot(*virtio("device=fair flood=net size=9000 rounds=200", *options))
        check_guest(outcome, b"fair rounds 200", b"ok fair")
        with Running(*virtio("device=fair flood=net size=9000 rounds=100000000", *options)) as running:
            time.sleep(0.3)  # most likely in the middle of the flood
            running.process.terminate()
            outcome = running.ends()
            check(outcome.status == 128 + 15, "it cannot be ended", outcome)


@case
def a_missing_socket_is_an_error_with_a_remedy():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "none")
        outcome = boot("builtin:hello", "--net", f"passt={path}")
        check(outcome.status == 125, "not 125", outcome)
        check_one_line(outcome, f"--net passt={path}", "passt --socket")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.close()  # bound, but not listening
        outcome = boot("builtin:hello", "--net", f"passt={path}")
        check(outcome.status == 125, "not 125", outcome)
        check_one_line(outcome, f"--net passt={path}", "refused", "passt --socket")


def is_listening(path):
    """A socket that is bound, but does not listen yet, has a path and refuses."""
    accepts = "00010000"
    with open("/proc/net/unix", encoding="utf-8") as sockets:
        return any(line.split()[3] == accepts and line.endswith(f" {path}\n") for line in sockets)


@contextlib.contextmanager
def real_passt():
    """(its process, its socket)."""
    if shutil.which("passt") is None:
        skip("passt is not installed")
    with uplink(), tempfile.TemporaryDirectory(prefix="mayfly-passt-") as directory:
        os.chmod(directory, 0o777)  # passt drops its rights
        path = os.path.join(directory, "socket")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(["passt", "-f", "-s", path], **quiet) as passt:
            try:
                wait_for(lambda: is_listening(path) or passt.poll() is not None, "passt's socket")
                check(passt.poll() is None, "passt ended")
                yield passt, path
            finally:
                passt.kill()


@case
def the_real_passt_answers():
    with real_passt() as (_, path):
        words = "device=net net=arp ip=0xc000020a peer=0xc0000201"
        outcome = boot(*virtio(words, "--net", f"passt={path}"))
    check_guest(outcome, b"ok net arp answered")
    check_silent(outcome)


@case
def the_death_of_the_real_passt_takes_the_link_down():
    with real_passt() as (passt, path):
        with Running(*virtio("device=net net=link", "--net", f"passt={path}")) as running:
            running.expect(b"net ready")
            passt.kill()
            outcome = running.ends()
    check_guest(outcome, b"ok net link down")
    check_one_line(outcome, "closed the connection")


main()
