#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""boot_order: writes vmm/boot_order.ld, the functions that boots of hello run from start to end, in the order of
their first run.

    boot_order.py BUILD

The linker puts them side by side (vmm/sections.ld), so that a boot touches a third of the pages and cache
lines that it would otherwise. The file need not be exact: a name that is gone matches nothing, and a missing
function lies with the others. Run this anew when the page faults of perf/counts.py grow.
"""
import bisect
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEAD = """/* SPDX-License-Identifier: Apache-2.0
 * What a boot runs, in that order: written by perf/boot_order.py. */
"""
# KVM is asked where its answers are not kept or cannot be kept; with the last one, an earlier boot has asked.
RUNTIME_DIRECTORIES = ("off", "/nowhere/at/all", "")
VARIANTS = ([], ["--profile", "legacy"], ["--cpus", "2"])


def functions(mayfly):
    """(address, mangled name), sorted."""
    listed = subprocess.run(["nm", mayfly], capture_output=True, text=True, check=True).stdout
    found = [line.split() for line in listed.splitlines()]
    return sorted((int(words[0], 16), words[2]) for words in found if len(words) == 3 and words[1] in "tTwWiV")


def places(build, arguments, directory):
    mayfly = build / "mayfly"
    environment = {**os.environ, "MAYFLY_RUNTIME_DIR": directory}
    boot = [mayfly, "boot", "builtin:hello", *arguments]
    subprocess.run(boot, env=environment, stdout=subprocess.DEVNULL, check=True)
    done = subprocess.run([build / "perf/step_count", "--places", "0", *boot], env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return [int(line, 16) for line in done.stdout.splitlines() if " " not in line]


def sections(name, linked):
    """The patterns for a function's section, if the linker saw one: several names of one function share one.
    Assembler code is a musl member of its own."""
    if name == "_start":
        return ["*crt1.o(.text)"]
    for place in (f".text.{name}", f".text.startup.{name}"):
        if f" {place}\n" in linked or f" {place} " in linked:
            return [f"*({place})"]
    return [f"*libc.a:{name}.lo(.text)"] if f"libc.a({name}.lo)" in linked else []


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    known = functions(build / "mayfly")
    linked = (build / "mayfly.map").read_text()
    addresses = [address for address, _ in known]
    order = {}
    for directory in RUNTIME_DIRECTORIES:
        for arguments in VARIANTS:
            for place in places(build, arguments, directory):
                at = bisect.bisect_right(addresses, place) - 1
                if at >= 0:
                    # Several names share the place: any of them may be the section's.
                    for address, name in known[bisect.bisect_left(addresses, addresses[at]):at + 1]:
                        order.setdefault(name)
    patterns = dict.fromkeys(pattern for name in order for pattern in sections(name, linked))
    (ROOT / "vmm/boot_order.ld").write_text(HEAD + "".join(pattern + "\n" for pattern in patterns))
    print(f"{len(patterns)} functions")


main()
