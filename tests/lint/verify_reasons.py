#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each VERIFY between a guest and the host says why no guest reaches it. Usage: verify_reasons.py ROOT.

A VERIFY ends the monitor, so it may not depend on what a guest did. In the directories below each one, and each
UNREACHABLE, carries `// no guest: REASON` at its end or right above it; checks on adjacent lines share one. The
reason names who guarantees it: the caller that checks, the constructor that has it so.
"""

import re

import source_tree

GUARDED = ("devices", "vmm/machine", "vmm/loop", "vmm/memory")
WORDS_MIN = 4
CHECK = re.compile(r"\b(VERIFY|UNREACHABLE)\(")
MARK = re.compile(r"\bno guest:\s*(.*)")
EMPTY = re.compile(r"\b(cannot happen|can't happen|never happens?|impossible|should not|must not)\b", re.I)


def code_of(line):
    return line.partition("//")[0]


def is_comment(line):
    return line.strip().startswith("//")


def find_reason(lines, index):
    """The reason of the check on this line and the number of the line where it begins, or None."""
    if match := MARK.search(lines[index].partition("//")[2]):
        return match.group(1), index
    first = index
    while first > 0 and is_comment(lines[first - 1]):
        first -= 1
    for number in range(first, index):
        if match := MARK.search(lines[number]):
            rest = [line.strip().lstrip("/ ") for line in lines[number + 1 : index]]
            return " ".join([match.group(1), *rest]), number
    above = lines[index - 1] if index > 0 else ""
    if first == index and CHECK.search(code_of(above)) and code_of(above).rstrip().endswith(";"):
        return find_reason(lines, index - 1)
    return None


def check(root):
    for source in source_tree.sources(root, GUARDED):
        used = set()
        for index, line in enumerate(source.lines):
            if not CHECK.search(code_of(line)):
                continue
            found = find_reason(source.lines, index)
            if found is None:
                yield source.path, index + 1, "a VERIFY without '// no guest: REASON' at its end or right above it"
                continue
            reason, place = found
            used.add(place)
            if len(reason.split()) < WORDS_MIN or EMPTY.search(reason):
                yield source.path, index + 1, f"'{reason}' does not say what keeps a guest from here"
        for index, line in enumerate(source.lines):
            if MARK.search(line.partition("//")[2]) and index not in used:
                yield source.path, index + 1, "'no guest:' belongs to no VERIFY"


if __name__ == "__main__":
    source_tree.run("verify_reasons.py", check)
