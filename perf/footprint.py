#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""footprint: how big the binary is, and how much memory a monitor with a running guest of 128 MiB takes.

The guest is builtin:idle, which marks that it runs and then halts; PSS is read from /proc/PID/smaps, with and
without the mapping that is guest RAM. KVM's own allocations are the kernel's, and in no smaps.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from support import results

GUEST_BYTES = 128 << 20
DEADLINE_SECONDS = 10
# A mapping's own header line, as against its "Pss: 4 kB" lines. proc_pid_smaps(5).
MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$")


def stripped_bytes(binary):
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory) / "stripped"
        subprocess.run(["strip", "-o", str(copy), binary], check=True)
        return copy.stat().st_size


def read_mappings(pid):
    """A list of (bytes, name, {field: KiB})."""
    mappings = []
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        match = MAPPING.match(line)
        if match:
            mappings.append((int(match[2], 16) - int(match[1], 16), match[4], {}))
        elif line.endswith(" kB"):
            field, amount = line.split(":")
            mappings[-1][2][field] = int(amount.split()[0])
    return mappings


def wait_until_halted(pid):
    """The vCPU's thread sleeps in KVM_RUN once the guest halts; until then it uses the CPU."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    before = None
    while time.monotonic() < deadline:
        time.sleep(0.1)
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        is_vcpu_made = any("kvm-vcpu" in name for _, name, _ in read_mappings(pid))
        now = (fields[0], fields[11], fields[12])
        if is_vcpu_made and now == before and fields[0] == "S":
            return
        before = now
    raise RuntimeError(f"the guest did not halt within {DEADLINE_SECONDS} s")


def measure_memory(bench, mayfly, extra, contender):
    argv = [mayfly, "boot", "builtin:idle", "--memory", "128M", "--timeout", "30"] + extra
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until_halted(process.pid)
            mappings = read_mappings(process.pid)
        finally:
            process.terminate()
    guest = [fields for size, name, fields in mappings if size >= GUEST_BYTES // 2 and not name]
    if not guest:
        raise RuntimeError("no mapping of guest RAM in smaps")
    total_kib = sum(fields["Pss"] for _, _, fields in mappings)
    guest_kib = sum(fields["Pss"] for fields in guest)
    private_kib = total_kib - guest_kib
    bench.add_value("PSS, guest RAM included", contender, "KiB", float(total_kib))
    bench.add_value("PSS less guest RAM", contender, "KiB", float(private_kib))
    binary = str(pathlib.Path(mayfly).resolve())
    for label, path in (("of the binary", binary), ("heap", "[heap]"), ("stack", "[stack]")):
        bench.add_value("PSS " + label, contender, "KiB",
                        float(sum(fields["Pss"] for _, name, fields in mappings if name == path)))
    return private_kib


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mayfly", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    results.must_have_kvm()
    bench = results.Bench("footprint", options.out)
    size_mib = stripped_bytes(options.mayfly) / (1 << 20)
    bench.add_value("stripped binary", "mayfly", "MiB", size_mib)
    bench.add_limit("stripped binary", size_mib, 2.05, unit="MiB")
    private_kib = measure_memory(bench, options.mayfly, [], "mayfly, 1 vCPU")
    bench.add_limit("PSS less guest RAM, 1 vCPU, 128 MiB guest", private_kib / 1024, 1.05, unit="MiB")
    measure_memory(bench, options.mayfly, ["--cpus", "4", "--profile", "legacy"], "mayfly, 4 vCPUs, legacy")
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
