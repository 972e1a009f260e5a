# SPDX-License-Identifier: Apache-2.0
"""The common part of all benchmarks: facts about the host, spreads, limits, the JSON file, the table.

A result is a row (quantity, contender, unit, n and either a spread or one value); a limit is one of the
project's bounds, with the measured value. A missed limit is printed plainly and does not make a benchmark
fail.
"""
import hashlib
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile


def _first_line(path):
    try:
        return pathlib.Path(path).read_text().splitlines()[0].strip()
    except (OSError, IndexError):
        return ""


def _cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def kvm_flavour():
    names = [name for name in ("kvm_intel", "kvm_amd", "kvm_pvm") if os.path.isdir("/sys/module/" + name)]
    return "+".join(names) or "none loaded"


def host_facts():
    return {
        "kernel": platform.release().split("-")[0],  # without the builder's own suffix
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "kvm": kvm_flavour(),
        "load": " ".join(_first_line("/proc/loadavg").split()[:3]),
    }


def spread(values):
    ordered = sorted(values)
    last = len(ordered) - 1

    def at(share):
        return ordered[round(share * last)]

    return {"n": len(ordered), "median": statistics.median(ordered), "p90": at(0.9), "min": ordered[0],
            "iqr": at(0.75) - at(0.25)}


class Bench:
    """Collects one benchmark's rows and limits; finish() prints and stores them."""

    def __init__(self, name, out_dir):
        self.path = pathlib.Path(out_dir) / (name + ".json")
        self.data = {"bench": name, "host": host_facts(), "rows": [], "limits": [], "notes": [],
                     "breakdowns": []}

    def add_spread(self, quantity, contender, unit, values, warmup):
        row = {"quantity": quantity, "contender": contender, "unit": unit, "warmup": warmup} | spread(values)
        self.data["rows"].append(row)
        return row

    def add_value(self, quantity, contender, unit, value, n=1):
        self.data["rows"].append({"quantity": quantity, "contender": contender, "unit": unit, "n": n,
                                  "value": value})

    def add_limit(self, name, value, bound, is_at_least=False, unit=""):
        is_met = value >= bound if is_at_least else value <= bound
        self.data["limits"].append({"name": name, "value": value, "bound": bound, "unit": unit,
                                    "sense": ">=" if is_at_least else "<=", "met": is_met})

    def add_breakdown(self, quantity, contender, counts):
        """Detail that the JSON keeps and the tables leave out."""
        self.data["breakdowns"].append({"quantity": quantity, "contender": contender, "counts": dict(counts)})

    def note(self, text):
        self.data["notes"].append(text)
        print("NOTE: " + text, file=sys.stderr, flush=True)

    def finish(self):
        self.data["host"]["load_after"] = " ".join(_first_line("/proc/loadavg").split()[:3])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.data, indent=1) + "\n")
        print(terminal(self.data))


def _number(value, unit):
    if value is None:
        return ""
    if unit in ("ns", "us", "ms", "MiB", "KiB", "x"):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    if unit == "Gbit/s" or unit.startswith("per "):
        return f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


HEAD = ("quantity", "contender", "unit", "n", "median or value", "p90", "min", "IQR")


def row_cells(row):
    unit = row["unit"]
    middle = row.get("median", row.get("value"))
    return (row["quantity"], row["contender"], unit, str(row["n"]), _number(middle, unit),
            _number(row.get("p90"), unit), _number(row.get("min"), unit), _number(row.get("iqr"), unit))


LIMIT_HEAD = ("limit", "measured", "bound", "verdict")


def limit_cells(limit):
    unit = limit["unit"]
    return (limit["name"], f"{_number(limit['value'], unit or 'x')} {unit}".strip(),
            f"{limit['sense']} {_number(limit['bound'], unit or 'x')} {unit}".strip(),
            "met" if limit["met"] else "MISSED")


def host_line(host):
    return (f"kernel {host['kernel']}, {host['cpu']}, {host['cores']} cores, {host['kvm']}, "
            f"load {host['load']} before and {host.get('load_after', '?')} after")


def _columns(head, rows):
    table = [head] + rows
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in table)
    return "\n".join(line.rstrip() for line in lines)


def _markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _render(data, table, title):
    parts = [title, "Host: " + host_line(data["host"]), ""]
    if data["rows"]:
        parts += [table(HEAD, [row_cells(row) for row in data["rows"]]), ""]
    if data["limits"]:
        parts += [table(LIMIT_HEAD, [limit_cells(limit) for limit in data["limits"]]), ""]
    return "\n".join(parts + ["Note: " + note for note in data["notes"]])


def terminal(data):
    return _render(data, _columns, f"== {data['bench']} ==")


def markdown(data):
    return _render(data, _markdown, f"### {data['bench']}\n")


def note_if_busy(bench):
    load = os.getloadavg()[0]
    if load > os.cpu_count() / 2:
        bench.note(f"THE HOST IS BUSY (load {load:.1f} on {os.cpu_count()} cores): medians contain waits for a "
                   "CPU, which hide ratios; trust the minima and the CPU time")


def must_have_kvm():
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        return
    print("SKIPPED: this benchmark needs /dev/kvm, readable and writable", flush=True)
    sys.exit(77)


PAUSE_MS = 25  # six ticks at HZ=250: longer than an SRCU grace period


def _as_installed(argv, directory):
    """argv with a copy of its program, as cp or a package manager leaves it. The linker's own output lies in
    the page cache in smaller pieces, which cost every start a twentieth."""
    place = next(i for i, word in enumerate(argv) if "=" not in word.partition("/")[0])
    if argv[place].startswith("/usr/"):
        return argv  # an installed program may look for files beside it
    digest = hashlib.sha256(pathlib.Path(argv[place]).read_bytes()).hexdigest()[:16]
    copy = directory / f"{pathlib.Path(argv[place]).name}-{digest}"
    if not copy.exists():
        shutil.copy(argv[place], copy)
    return argv[:place] + [str(copy)] + argv[place + 1:]


def spawn(spawner, contenders, runs, warmup, out_dir, pause_ms=PAUSE_MS):
    """contenders: (name, expected status, variables and argv). Returns name -> list of runs, each a dict."""
    pathlib.Path(out_dir).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir) as programs:
        installed = [(name, status, _as_installed(argv, pathlib.Path(programs)))
                     for name, status, argv in contenders]
        return _spawn(spawner, installed, runs, warmup, out_dir, pause_ms)


def _spawn(spawner, contenders, runs, warmup, out_dir, pause_ms):
    plan = "".join("\t".join([name, str(status)] + argv) + "\n" for name, status, argv in contenders)
    stamp_file = str(pathlib.Path(out_dir) / "stamp.json")
    done = subprocess.run([spawner, str(runs), str(warmup), str(pause_ms), stamp_file], input=plan, text=True,
                          stdout=subprocess.PIPE, check=True)
    results = {name: [] for name, _, _ in contenders}
    for line in done.stdout.splitlines():
        name, exec_ns, exit_ns, faults, cpu_ns, stamp = line.split("\t")
        results[name].append({"exec_ns": int(exec_ns), "wall_us": (int(exit_ns) - int(exec_ns)) / 1000,
                              "faults": int(faults), "cpu_us": int(cpu_ns) / 1000,
                              "stamp": json.loads(stamp) if stamp.strip() else None})
    return results
