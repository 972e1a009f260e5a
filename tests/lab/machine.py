# SPDX-License-Identifier: Apache-2.0
"""What a lab's host runs on: an emulated machine. svm_host.py and vmx_host.py are the two there are."""
import dataclasses

from errors import LabError


@dataclasses.dataclass(frozen=True)
class Options:
    """The choices that a user of Lab has of its machine."""

    disks: tuple = ()
    memory: str = "2G"
    cpus: int = 1
    icount: bool = False
    append: str = ""
    apicv: bool | None = None


class Machine:
    """A kind of machine: the class attributes. One of it: prepare() and what it returns."""

    name = ""
    emulator = ""
    # The programs that it needs: {a program: its Debian package}.
    programs = {}
    # Modules that the agent loads, in this order, with what they need; and those that are there for modprobe.
    modules = ()
    modules_at_hand = ()
    # Whether it starts again after a panic of its kernel, and has to be ended.
    restarts = False
    # Whether its emulator's threads change a word without a lock, and so can lose an interrupt, or invent one. With
    # one CPU it gets one of ours, where that cannot happen (one_cpu.py). With several it may: a host that has lost its
    # tick stands still until any device interrupts, so the client has one do so each second.
    loses_interrupts = False
    # The device that the agent finds its client at; "": a virtio-serial port.
    channel_device = ""

    def __init__(self, options):
        if not 1 <= options.cpus <= 64:
            raise LabError(f"{options.cpus} CPUs: a lab has 1 to 64")
        self.options = options

    @staticmethod
    def missing_packages():
        """Those that no program of `programs` tells of."""
        return []

    def prepare(self, kernel, initrd):
        """A Launch for a packages.Kernel; `initrd` is a descriptor of an uncompressed archive."""
        raise NotImplementedError


class Launch:
    """A machine about to be started: `command`, a list, and `fds`, the descriptors that it inherits. Its stdout
    and stderr are the host kernel's console."""

    command = ()
    fds = ()

    def connect(self, has_ended):
        """The socket to the agent, once the command runs. `has_ended` tells whether that has."""
        raise NotImplementedError

    def close(self):
        """The command has inherited what it needs, or will not be started."""

    def end(self):
        """The lab has ended: there is nobody to tell log() any more."""

    def log(self):
        """What the emulator itself says of its end; lines."""
        return []
