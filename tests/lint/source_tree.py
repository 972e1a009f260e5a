# SPDX-License-Identifier: Apache-2.0
"""The common part of the lints: the source files of a tree, their comments, and the exit status."""

import pathlib
import re
import sys

PRODUCT = ("vmm", "devices", "firmware")
TESTS = ("tests", "perf")
SUFFIXES = {".h", ".cc", ".c", ".S", ".inc"}


class Source:
    """One file: `path` is relative to the root, with '/'."""

    def __init__(self, root, file):
        self.path = file.relative_to(root).as_posix()
        self.text = file.read_text(encoding="utf-8")
        self.lines = self.text.split("\n")
        if self.lines[-1] == "":
            self.lines.pop()

    @property
    def is_header(self):
        return self.path.endswith(".h")

    def comment_blocks(self):
        """Yields (line number of the first line, lines of text) for each run of comment lines."""
        block, start, inside = [], 0, False
        for number, line in enumerate(self.lines, 1):
            text, inside = comment_text(line, inside)
            if text is None:
                if block:
                    yield start, block
                block = []
                continue
            if not block:
                start = number
            block.append(text)
        if block:
            yield start, block


def comment_text(line, inside):
    """The comment on a line without its markers, or None; and whether a block comment stays open."""
    if inside:
        text, closed, _ = line.partition("*/")
        return text.strip().lstrip("* "), not closed
    match = re.search(r"(?:^|\s)//+[/!<]*\s?(.*)$", line)
    if match:
        return match.group(1).strip(), False
    match = re.search(r"/\*+[!<]?(.*)$", line)
    if match:
        text, closed, _ = match.group(1).partition("*/")
        return text.strip(), not closed
    return None, False


def sources(root, directories):
    root = pathlib.Path(root)
    for directory in directories:
        for file in sorted((root / directory).rglob("*")):
            if file.suffix in SUFFIXES and file.is_file():
                yield Source(root, file)


def run(name, check):
    """Calls check(root), prints each complaint (path, line, text) and ends the process."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {name} ROOT")
    if not any(True for _ in sources(sys.argv[1], PRODUCT)):
        sys.exit(f"{name}: no source files under {sys.argv[1]}")
    complaints = list(check(sys.argv[1]))
    for path, line, text in complaints:
        print(f"{path}:{line}: {text}")
    sys.exit(1 if complaints else 0)
