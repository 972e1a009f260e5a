#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The outer form of every source file. Usage: header_style.py ROOT."""

import re

import source_tree

COLUMNS_MAX = 110
LINES_MAX = 500
SPDX = re.compile(r"(//|#|/\*) SPDX-License-Identifier: Apache-2\.0( \*/)?$")


def check(root):
    for source in source_tree.sources(root, source_tree.PRODUCT + source_tree.TESTS):
        lines = source.lines
        if not lines or not SPDX.match(lines[0]):
            yield source.path, 1, "does not begin with the line 'SPDX-License-Identifier: Apache-2.0'"
        if len(lines) > LINES_MAX:
            yield source.path, len(lines), f"has {len(lines)} lines, the limit is {LINES_MAX}; split it by concept"
        if not source.text.endswith("\n"):
            yield source.path, len(lines), "does not end with a newline"
        if source.is_header:
            yield from check_header(source)
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX:
                yield source.path, number, f"has {len(line)} columns, the limit is {COLUMNS_MAX}"
            if "\t" in line:
                yield source.path, number, "has a tab"


def check_header(source):
    if source.lines.count("#pragma once") != 1:
        yield source.path, 1, "lacks exactly one '#pragma once'"
    if len(source.lines) < 2 or not re.match(r"(//|/\*)", source.lines[1]):
        yield source.path, 2, "has no file comment after the SPDX line"
    for number, line in enumerate(source.lines, 1):
        if re.match(r"\s*using\s+namespace\b", line):
            yield source.path, number, "has 'using namespace' in a header"


if __name__ == "__main__":
    source_tree.run("header_style.py", check)
