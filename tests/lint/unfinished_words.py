#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No note to oneself is left in the code; a TODO names its topic. Usage: unfinished_words.py ROOT."""

import re

import source_tree

WORDS = [
    (re.compile(r"\bTODO\b(?!\([a-z][\w-]*\): \S)"), "TODO without topic and condition: // TODO(topic): when it is due"),
    (re.compile(r"\bFIXME\b"), "FIXME"),
    (re.compile(r"\bXXX\b"), "XXX"),
]


def check(root):
    for source in source_tree.sources(root, source_tree.PRODUCT + source_tree.TESTS):
        for number, line in enumerate(source.lines, 1):
            for pattern, complaint in WORDS:
                if pattern.search(line):
                    yield source.path, number, complaint


if __name__ == "__main__":
    source_tree.run("unfinished_words.py", check)
