#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Text reads as a native writer would write it: refuses listed habits in comments, messages, help and documents,
and riddles as names. Usage: words.py ROOT.

Each habit and each name stands beside its better word, which the complaint tells. Habits are searched in every line
of text, and across the end of a line; names in code outside of comments and strings, and in a document's `code`."""

import functools
import pathlib
import re

import source_tree

# "has not come" is a tense; before these words it means "lacks".
_NOUN = r"(?:an?|the|any|all|its|their|one|such|that|this|those|enough|room|what|it|them|exactly|to)"

# Pattern, better word.
HABITS = [
    (r"(?:is|are|was|were) no", "is not a ..., lacks ..., ... does not exist"),
    (r"(?:is|are|was|were) (?-i:none)", "is not one, is missing, without one"),
    (r"(?:is|are|was|were) not there", "is missing, does not exist"),
    (r"(?:can|could|cannot|may|to) be had", "is available, can be made"),
    (r"(?:has|have|had) not " + _NOUN, "lacks ..."),
    (r"(?:has|have|had) not(?=[.,;:)])", "lacks it; or the whole verb"),
    (r"for ever", "forever, always, never changes"),
    (r"(?:is|are) let", "may, is released"),
    (r"(?:to|for|by|of|from|with|is|are) who", "the user who, the process that, the caller"),
    (r"whoever", "the caller, any process that, the user who"),
    (r"what (?:it|they) (?:is|are)", "its kind, its name, its value"),
    (r"(?:came|comes?|becomes?|became|said|told|tells?|knows?) of it", "its result, its state, is told"),
    (r"looks? around|looking around|looked around", "polls, checks for work"),
    (r"but for", "except, without"),
    (r"shall", "must, will"),
    (r"lest", "so that ... not"),
    (r"sees? to (?:it|that)", "ensures, makes sure"),
]

# A whole identifier, better name.
NAMES = [
    (r"\w*(?:is|are|was|were)_no_\w+", "is_not_a_..., lacks_..., omits_..."),
    (r"\w*_?be_had", "is_available"),
    (r"\w*(?:is|are)_not_there\w*", "is_missing, does_not_exist"),
    (r"\w*for_ever\w*", "forever"),
    (r"\w*feared\w*", "forbidden, fail_on"),
    (r"understood_?|understand", "parsed, resolved, supported"),
    (r"unsaid_?", "unprinted, unsent"),
    (r"must_hurry_?|hurry|hurried\w*", "should_give_up"),
    (r"around_?", "context, or the neighbour's name"),
    (r"\w*Surroundings", "...Context, Environment"),
    (r"live_address", "trap_address: what an access there does"),
    (r"(?:has|is|uses|make|makes|see)_(?:it|that|them)_?", "the thing's name: is_reply, uses_parameter"),
    (r"see_(?:to|that)_\w+", "ensure_..., set_..."),
    (r"its_\w+", "the owner's name: program_input"),
    (r"\w+_meanwhile_?", "temporary_..., during_..."),
    (r"lie_?", "error, protocol_error"),
    (r"let_go_?", "release, drop, take_down"),
    (r"\w*_told_", "..._printed_, ..._reported_"),
]

# Files without a suffix that hold text of ours.
PLAIN = ("check", "quickstart", ".ci/build", ".ci/deb", ".ci/run", ".ci/setup", ".ci/tidy", ".ci/sanitize", ".ci/fetch-mimalloc",
         ".ci/packages", ".ci/packages-check", ".ci/packages-perf", ".ci/packages-analysis", "meson_options.txt")
SUFFIXES = source_tree.SUFFIXES | {".py", ".sh", ".ld", ".build", ".md", ".in"}
# Their text is the list itself, or breaks the rules on purpose.
EXEMPT = {"tests/lint/words.py", "tests/lint/lint_self_test.py"}

_HABITS = [(re.compile(r"(?<![\w-])(?:" + pattern.replace(" ", r"\s+") + r")(?![\w-])", re.IGNORECASE), better)
           for pattern, better in HABITS]
# One of these is in every habit: a quick look before the slow one.
_HINTS = (" no ", " not", "none", "be had", "for ever", " let", "who", "what ", "of it", "round", "but for",
          "shall", "lest", "to it", "to that")
_NAMES = [(re.compile(pattern), better) for pattern, better in NAMES]
_MARKERS = re.compile(r"^\s*(?:///<?|//|#+|\*|/\*)?\s*")
_SPLIT_STRING = re.compile(r'"\s*$'), re.compile(r'^[fr]*"')
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'')


def files(root):
    """Every text of ours: the product, tests and benchmarks, scripts, and documents."""
    root = pathlib.Path(root)
    found = [root / name for name in PLAIN] + list(root.glob("*.md")) + list(root.glob("meson.build"))
    for directory in (*source_tree.PRODUCT, *source_tree.TESTS, "data", "docs"):
        found += (root / directory).rglob("*")
    for file in sorted(file for file in found if file.is_file()):
        if file.suffix in SUFFIXES or file.relative_to(root).as_posix() in PLAIN:
            source = source_tree.Source(root, file)
            if source.path not in EXEMPT:
                yield source


def habits(lines):
    """(line number, words, better words) of each habit, also where a line ends within one."""
    for number, line in enumerate(lines, 1):
        begin = _SPLIT_STRING[0].sub("", line.rstrip())
        next_line = _MARKERS.sub("", lines[number]) if number < len(lines) else ""
        text = begin + " " + _SPLIT_STRING[1].sub("", next_line)
        lower = text.lower()
        if not any(hint in lower for hint in _HINTS):
            continue
        for pattern, better in _HABITS:
            for match in pattern.finditer(text):
                if match.start() < len(begin):
                    yield number, " ".join(match.group().split()), better


def identifiers(source):
    """(line number, identifier): of code without its comments and strings, or of a document's `code`."""
    comment = re.compile(r"#.*" if source.path.endswith((".py", ".build", ".sh")) else r"//.*")
    inside = False
    for number, line in enumerate(source.lines, 1):
        if source.path.endswith(".md"):
            line = " ".join(re.findall(r"`([^`]+)`", line))
        else:
            quotes = line.count('"""') if source.path.endswith(".py") else 0
            if quotes % 2 or inside:
                inside = inside != (quotes % 2 == 1)
                continue
            line = comment.sub("", _QUOTED.sub("", line))
        for word in re.findall(r"[A-Za-z_]\w*", line):
            yield number, word


@functools.cache
def better_name(word):
    return next((better for pattern, better in _NAMES if pattern.fullmatch(word)), None)


def check(root):
    for source in files(root):
        for number, words, better in habits(source.lines):
            yield source.path, number, f"'{words}': better {better}"
        if source.path.endswith(".ld"):
            continue
        for number, word in identifiers(source):
            if better := better_name(word):
                yield source.path, number, f"the name {word} is a riddle: better {better}"


if __name__ == "__main__":
    source_tree.run("words.py", check)
