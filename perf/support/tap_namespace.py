# SPDX-License-Identifier: Apache-2.0
"""Tap interfaces in a network namespace of a benchmark's own: both go with its last process, however it ends."""
import os
import shutil
import subprocess
import sys

INSIDE = "MAYFLY_PERF_NAMESPACE"


def skip(bench, why):
    print(f"SKIPPED: {bench}: {why}", flush=True)
    sys.exit(77)


def enter(bench):
    """Starts this program again, in namespaces that end with it: of networks, and of processes, so that no
    child outlives it."""
    if os.environ.get(INSIDE):
        return
    for program in ("unshare", "ip"):
        if shutil.which(program) is None:
            skip(bench, f"{program} is not installed (Debian packages util-linux, iproute2)")
    wanted = ["unshare", "--net", "--mount-proc", "--pid", "--fork", "--kill-child"]
    if os.geteuid() != 0:
        wanted += ["--user", "--map-root-user"]
    if subprocess.run(wanted + ["true"], check=False).returncode != 0:
        skip(bench, "no rights to make a network namespace")
    os.environ[INSIDE] = "1"
    os.execvp(wanted[0], wanted + [sys.executable, "-B"] + sys.argv)


def make_tap(bench, name):
    """No addresses: a guest's frames end at packet sockets, and nothing answers."""
    for words in (["tuntap", "add", "dev", name, "mode", "tap"],
                  ["link", "set", "dev", name, "addrgenmode", "none"], ["link", "set", "dev", name, "up"]):
        done = subprocess.run(["ip"] + words, check=False, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            skip(bench, f"ip {' '.join(words)}: {done.stderr.strip()}")
