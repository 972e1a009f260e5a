# SPDX-License-Identifier: Apache-2.0
"""A Slurm of one node on the loopback: Debian's slurmctld, slurmd and munged as processes of the test's own, with
all their files in one directory. Nothing is left when the `with` ends.

    with Slurm() as slurm:
        outcome = slurm.run("srun", "mayfly", "boot", "builtin:hello")
"""
import contextlib
import ctypes
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "scancel", "squeue", "sinfo")
PR_SET_CHILD_SUBREAPER = 36
START_SECONDS = 60
END_SECONDS = 20
RUN_SECONDS = 120

CONF = """\
ClusterName=mayfly
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
PlugStackConfig={directory}/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=30
NodeName=node0 NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=node0 Default=YES MaxTime=INFINITE State=UP
"""


def search_path():
    """Daemons are in sbin, which an ordinary user's PATH may lack."""
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def why_missing():
    """Empty where all programs are installed."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=search_path()) is None]
    if not missing:
        return ""
    return f"{', '.join(missing)} missing: apt-get install slurmd slurmctld slurm-client munge"


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Slurm:
    def __init__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="mayfly-slurm-")
        self.directory = self._directory.name
        self._daemons = []
        self.env = {**os.environ, "SLURM_CONF": self._path("slurm.conf"), "PATH": search_path()}

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _start(self):
        # Programs that slurmd starts outlive it: the orphans become ours, to be waited for.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        controller_port, node_port = _free_ports(2)
        for name in ("state", "spool"):
            os.mkdir(self._path(name))
        with open(self._path("plugstack.conf"), "w", encoding="ascii"):
            pass
        with open(self._path("slurm.conf"), "w", encoding="utf-8") as file:
            file.write(CONF.format(directory=self.directory, user=getpass.getuser(), host=socket.gethostname(),
                                   controller_port=controller_port, node_port=node_port))
        with open(self._path("munge.key"), "wb") as file:
            os.chmod(self._path("munge.key"), 0o400)
            file.write(os.urandom(128))
        self._daemon("munged", "--foreground", "--force", "--key-file", self._path("munge.key"),
                     "--socket", self._path("munge.socket"), "--pid-file", self._path("munged.pid"),
                     "--log-file", self._path("munged.log"), "--seed-file", self._path("munged.seed"))
        self._await("munged", lambda: os.path.exists(self._path("munge.socket")))
        self._daemon("slurmctld", "-D", "-c")
        self._daemon("slurmd", "-D", "-N", "node0")
        self._await("slurmd", lambda: b"idle" in self.run("sinfo", "-h", "-o", "%t").stdout)

    def _daemon(self, *words):
        with open(self._path(words[0] + ".out"), "wb") as log:
            process = subprocess.Popen(words, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       cwd=self.directory)
        self._daemons.append((words[0], process))

    def _await(self, name, is_there):
        limit = time.monotonic() + START_SECONDS
        while not is_there():
            ended = [one for one, process in self._daemons if process.poll() is not None]
            if ended or time.monotonic() > limit:
                raise RuntimeError(f"{name} did not come up; ended: {ended}\n{self.log()}")
            time.sleep(0.1)

    def log(self):
        """The daemons' last messages."""
        text = ""
        for name, _ in self._daemons:
            with open(self._path(name + ".out"), encoding="utf-8", errors="replace") as file:
                text += f"-- {name}\n" + "".join(file.readlines()[-15:])
        return text

    def popen(self, *words, **options):
        return subprocess.Popen(words, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **options)

    def run(self, *words, **options):
        """subprocess.CompletedProcess."""
        return subprocess.run(words, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=RUN_SECONDS, **options)

    def jobs(self):
        """The number of jobs in the queue."""
        return len(self.run("squeue", "-h").stdout.splitlines())

    def close(self):
        """Ends the daemons from the last to the first, each by its process."""
        if self._daemons and self.jobs():
            self.run("scancel", "--signal=KILL", "--full", "-u", getpass.getuser())
        for _, process in reversed(self._daemons):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._await_orphans()
        self._directory.cleanup()

    @staticmethod
    def _await_orphans():
        limit = time.monotonic() + END_SECONDS
        while True:
            try:
                ended, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if ended == 0 and time.monotonic() > limit:
                raise RuntimeError(f"processes of Slurm's are left {END_SECONDS} s after its end")
            if ended == 0:
                time.sleep(0.05)
