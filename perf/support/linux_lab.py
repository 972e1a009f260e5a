# SPDX-License-Identifier: Apache-2.0
"""The instructions that a Linux boot takes, split by their owner: monitor, host kernel, guest.

All in the nested lab with icount (tests/lab/README.md), where a nanosecond is an instruction.

Totals come from a plain lab. The split comes from a second lab, whose kernel accounts precisely:
Debian's has VIRT_CPU_ACCOUNTING_GEN, which takes the time at each change between user space, kernel and guest
(a guest's time from right before VMRUN to right after). It does so on processors of nohz_full= only, and the
processor that boots cannot be one. So the machinery is switched on for a second processor that is possible
but absent (nohz_full=1), and for the first by setting its context_tracking.active, through QEMU's debug port,
at the place that the kernel's own type information gives. A task_struct then has user, system and guest time
to the instruction (plus time that waits to be added, in its member vtime); probes read them when a thread
ends, and when linux_mark reads its stat file, at the guest's marker. Accounting costs about 1 %, which falls
on the host kernel. So where both were measured, the host kernel's part is the total of the plain lab without
the monitor's and the guest's of the other.

The probe of KVM's returns to user space is on in the second lab only, too.

QEMU's emulation of SVM delivers an interrupt that KVM injects a second time, even to a guest that has
interrupts off, when the emulator leaves its loop before the guest's next exit: VMRUN leaves the vector in
exception_index, where it looks like an exception that is still to be delivered. With icount the loop is left
when the lab's next timer is due. So a guest whose ticks come just before the lab's gets all of them twice,
and sooner or later deadlocks on a lock that it holds and that its tick takes: one start in some dozens. A
guest with many interrupts of a disk gets one of them where none may come, and panics. linux_mark starts all
runs at one place between two ticks; one that fails or hangs is repeated at another place. (The lab's own
clock nearly stops while a guest hangs: each turn of a spin lock leaves the emulator's loop.)
"""
import io
import json
import os
import re
import socket
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)), os.pardir, os.pardir)
sys.path.insert(1, os.path.join(ROOT, "tests", "lab"))

import image  # noqa: E402
from support import linux_btf  # noqa: E402
import packages  # noqa: E402
from cpio import CpioWriter  # noqa: E402
from errors import LabError  # noqa: E402
from lab import Lab  # noqa: E402

HOST_KERNEL = "6.1"
MARKER = "INIT-REACHED"
INIT = f"#!/bin/busybox sh\necho {MARKER}\nexec /bin/busybox poweroff -f\n".encode()
SECONDS = 900
# Microseconds after a tick, and the seconds that the run gets there: on an idle machine 40 suffice.
ATTEMPTS = ((2000, 120), (3000, 240), (1000, 480), (2500, 480), (1500, 480))
ERROR_CHARACTERS = 2000
TRACING = "/sys/kernel/tracing"
MARK = "/usr/bin/linux_mark"
TIMES = ("utime", "gtime", "vtime.utime", "vtime.gtime")
BUFFER_KIB = 65536
PROBED = re.compile(r": (at|end): .*tgid=(\d+) " + " ".join(f"t{i}=(\\d+)" for i in range(len(TIMES))))
RETURN = re.compile(r": kvm_userspace_exit: reason (\S+)")
PORT = re.compile(r": kvm_pio: pio_(read|write) at (0x[0-9a-f]+)")


def initramfs():
    """One busybox, and an /init that prints the marker and powers off."""
    out = io.BytesIO()
    writer = CpioWriter(out)
    for name in ("bin", "dev", "proc"):
        writer.directory(name)
    writer.character_device("dev/console", 5, 1)
    writer.host_file("bin/busybox", image.find_busybox(), 0o755)
    writer.data("init", INIT, 0o755)
    writer.close()
    return out.getvalue()


def open_lab(setting, kind=Lab, files=None, append="", disks=()):
    """`setting` has the members mayfly, agent, mark, cache, kernels and with_qemu."""
    contents = {"/work/initrd": initramfs(), MARK: setting.mark}
    for version in setting.kernels:
        kernel = packages.Kernel(version, os.path.join(setting.cache, "packages"))
        contents[f"/work/vmlinux-{version}"] = kernel.vmlinux
        contents[f"/work/bzImage-{version}"] = kernel.bzimage
    contents.update(files or {})
    tools = ["qemu-system-x86_64"] if setting.with_qemu else []
    return kind(mayfly=setting.mayfly, agent=setting.agent, cache=setting.cache, files=contents, tools=tools,
                memory="3G", disks=disks, icount=True, append=append, boot_seconds=600)  # fmt: skip


def run_mark(lab, how, argv, env=None, attempts=ATTEMPTS):
    """Repeats a run that hangs or fails: see above. A run that fails each time is an error."""
    outcome = None
    for phase_us, seconds in attempts:
        phase = {"MARK_PHASE_US": str(phase_us)}
        outcome = lab.measure([MARK, *how, *argv], timeout=seconds, env={**(env or {}), **phase})
        status = json.loads(outcome.out)["status"] if outcome.out else outcome.status
        if outcome.status == 0 and status == 0:
            return json.loads(outcome.out)
        when = f"after {outcome.seconds:.0f} s, started {phase_us} us after a tick"
        print(f"{' '.join(argv)}: {status} {when}", flush=True)
    raise LabError(f"{' '.join(argv)}: {str(outcome)[-ERROR_CHARACTERS:]}")


def measure_with_reader(lab, argv, env=None):
    return run_mark(lab, ["--pipe", MARKER], argv, env)


def measure_alone(lab, argv, env=None, attempts=ATTEMPTS):
    return run_mark(lab, ["--file", "/tmp/console"], argv, env, attempts)


class SplitLab(Lab):
    """A lab that accounts. `split(argv)` gives, until the marker ("init") and in all ("exit"), the
    instructions of the monitor, the host's kernel and the guest, and the returns to user space by cause."""

    def _prepare(self, kernel, initrd):
        # pylint: disable=attribute-defined-outside-init,consider-using-with
        self._directory = tempfile.TemporaryDirectory(prefix="mayfly-split-")
        self._vmlinux = kernel.vmlinux
        launch = super()._prepare(kernel, initrd)
        debug = f"unix:{self._directory.name}/debug,server=on,wait=off"
        launch.command = [*launch.command, "-gdb", debug]
        return launch

    def start(self):
        super().start()
        try:
            self._start_accounting()
            self._add_probes()
        except BaseException:
            self.close()
            raise
        return self

    def _shell(self, script):
        outcome = self.run(["sh", "-ec", script], timeout=SECONDS)
        if outcome.status != 0:
            raise LabError(f"{script}: {outcome}")
        return outcome.out.decode()

    def _start_accounting(self):
        self._types = linux_btf.Types(self._vmlinux)  # pylint: disable=attribute-defined-outside-init
        listed = self._shell("grep -E ' (context_tracking|__per_cpu_offset)$' /proc/kallsyms")
        symbols = {line.split()[2]: int(line.split()[0], 16) for line in listed.splitlines()}
        member = symbols["context_tracking"] + self._types.offset("context_tracking", "active")
        with Debugger(f"{self._directory.name}/debug") as debugger:
            begin = int.from_bytes(debugger.read(symbols["__per_cpu_offset"], 8), "little")
            address = (begin + member) % (1 << 64)
            if debugger.read(address, 1) != b"\0":
                raise LabError("the lab's first processor accounts already, or context_tracking is elsewhere")
            debugger.write(address, b"\1")

    def _add_probes(self):
        def event(kind, name, function, register):
            fields = {"tgid": ("tgid", "u32")} | {f"t{i}": (name, "u64") for i, name in enumerate(TIMES)}
            places = [f"{field}=+{self._types.offset('task_struct', member)}({register}):{type_name}"
                      for field, (member, type_name) in fields.items()]  # fmt: skip
            return f"{kind}:split/{name} {function} {' '.join(places)}"

        # do_task_stat(file, namespace, pid, task, whole) and exit_signals(task): the arguments' registers.
        at = event("p", "at", "do_task_stat", "%cx")
        end = event("p", "end", "exit_signals", "%di")
        self._shell(f"cd {TRACING}; echo {BUFFER_KIB} > buffer_size_kb; echo '{at}' > kprobe_events;"
                    f"echo '{end}' >> kprobe_events; echo 1 > events/split/enable;"
                    "for e in kvm_userspace_exit kvm_pio; do echo 1 >events/kvm/$e/enable; done")  # fmt: skip

    def measure(self, argv, **options):
        self._shell(f"echo > {TRACING}/trace")
        return super().measure(argv, **options)

    def split(self, argv, env=None):
        run = measure_with_reader(self, argv, env)
        trace = self.get(f"{TRACING}/trace").decode()
        if "LOST" in trace:
            raise LabError("events were lost")
        return read_trace(trace, run)


def read_trace(trace, run):
    """See SplitLab. A thread that ended before the marker counts to both."""
    at, ended, returns, returns_at_init = [], [], {}, None
    ended_at_init, port = 0, ""
    for line in trace.splitlines():
        if found := PORT.search(line):
            port = f" {found[1]} {found[2]}"
        elif found := RETURN.search(line):
            cause = found[1] + (port if found[1] == "KVM_EXIT_IO" else "")
            returns[cause] = returns.get(cause, 0) + 1
        elif (found := PROBED.search(line)) and int(found[2]) == run["pid"]:
            user_and_guest, guest, more_user, more_guest = map(int, found.groups()[2:])
            times = (user_and_guest - guest + more_user, guest + more_guest)
            if found[1] == "at":
                if returns_at_init is None:
                    returns_at_init, ended_at_init = dict(returns), len(ended)
                at.append(times)
            else:
                ended.append(times)
    if not at:
        raise LabError("no probe saw the marker")

    def parts(total, times):
        monitor, guest = (sum(values) for values in zip(*times))
        return {"monitor": monitor, "host": total - monitor - guest, "guest": guest, "total": total}

    init = parts(run["init_ns"], ended[:ended_at_init] + at)
    end = parts(run["exit_ns"], ended)
    return {"init": init | {"returns": sum(returns_at_init.values())},
            "exit": end | {"returns": sum(returns.values())},
            "causes": returns_at_init, "faults": run["faults"], "bytes": run["bytes"]}  # fmt: skip


class Debugger:
    """Reads and writes a stopped QEMU's memory by its debug port (GDB remote serial protocol: packets
    $DATA#SUM, "m" and "M"). It stops while this is open."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(path)
        self._pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ask("D")
        self._socket.close()

    def _ask(self, packet):
        data = packet.encode()
        self._socket.sendall(b"$" + data + b"#%02x" % (sum(data) % 256))
        while True:
            found = re.search(rb"\$([^#]*)#..", self._pending)
            if found is None:
                data = self._socket.recv(4096)
                if not data:
                    raise LabError("QEMU's debug port has closed")
                self._pending += data
                continue
            self._pending = self._pending[found.end() :]
            self._socket.sendall(b"+")
            # The notice that it has stopped comes unasked, at any time.
            if not found[1].startswith(b"T"):
                return found[1]

    def read(self, address, size):
        return bytes.fromhex(self._ask(f"m{address:x},{size:x}").decode())

    def write(self, address, data):
        if self._ask(f"M{address:x},{len(data):x}:{data.hex()}") != b"OK":
            raise LabError(f"QEMU does not write at {address:#x}")
