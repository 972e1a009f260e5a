#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every name in a list of sections.ld has something of the binary to its name. Usage: check_sections.py MAP.

A file that moves, or is renamed, would else lose its place in silence. MAP is what the linker writes with -Map:
below each output section the patterns of the script, and below each pattern what it caught."""

import pathlib
import re
import sys

OUTPUTS = (".text.seldom", ".rodata.seldom", ".bss.growing", ".bss.seldom", ".late_constructors")
PATTERN = re.compile(r"^ (\*\S*\(.*|EXCLUDE_FILE.*)$")
CAUGHT = re.compile(r"^ (\.\S+)(?:\s+0x|$)")


def idle_patterns(lines):
    """Yields (output, pattern) for each one that caught nothing."""
    output, pattern = None, None
    for line in lines:
        if not line.startswith(" "):
            if pattern:
                yield output, pattern
            name = line.split(None, 1)[0] if line.strip() else None
            output, pattern = (name if name in OUTPUTS else None), None
        elif output and PATTERN.match(line):
            if pattern:
                yield output, pattern
            pattern = line.strip()
        elif output and CAUGHT.match(line):
            pattern = None


def main():
    lines = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    start = lines.index("Linker script and memory map")
    missing = set(OUTPUTS) - {line.split(None, 1)[0] for line in lines[start:] if line.startswith(".")}
    for output in sorted(missing):
        print(f"sections.ld: the binary has no {output}", file=sys.stderr)
    idle = list(idle_patterns(lines[start:]))
    for output, pattern in idle:
        print(f"sections.ld: {pattern} in {output} matches nothing that is linked", file=sys.stderr)
    if missing or idle:
        return 1
    if len(sys.argv) > 2:
        pathlib.Path(sys.argv[2]).write_text("checked\n", encoding="utf-8")
    return 0


sys.exit(main())
