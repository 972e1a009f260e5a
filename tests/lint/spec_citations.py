#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Specifications are cited as <document> <edition> §<number> "<title>". Usage: spec_citations.py ROOT.

The title survives when an edition renumbers its sections; a number alone does not. A document may be named once
for several sections of one comment, and once at the top of a *_spec.h for the whole file."""

import re

import source_tree

# The documents that the product follows, each with what pins its edition.
DOCUMENTS = [
    r"ACPI 6\.5",
    r"AMD APM Vol\. \d",
    r"Intel SDM Vol\. \d[A-D]?",
    r"Intel \w+ \(\w+\)",                      # a data sheet with its order number
    r"Linux Documentation/[\w/.-]+\.rst",
    r"Linux [\w/-]+/[\w.-]+\.[ch]",
    r"Linux boot protocol 2\.\d+",
    r"LZ4 [Ff]rame [Ff]ormat [\d.]+",
    r"MC146818A?",
    r"MultiProcessor Specification 1\.4",
    r"Multiboot Specification 0\.6\.96",
    r"Multiboot2 Specification 2\.0",
    r"PC16550D",
    r"PCI Express Base Specification \d\.\d",
    r"PCI Firmware Specification 3\.3",
    r"PCI Local Bus Specification 3\.0",
    r"RFC \d+",
    r"System V ABI(?: \w+)? \d+\.\d+",
    r"virtio 1\.\d",
]
# A name may be broken over two lines of a comment.
DOCUMENT = re.compile(r"\b(?:" + "|".join(DOCUMENTS).replace(" ", r"\s+") + r")")
SECTION = re.compile(r"§+")
TITLED = re.compile(r'§(?:\d+|[A-Z])(?:\.\d+)*\s*"[^"]+"')
BARE = [
    (re.compile(r"\b(?:SDM|APM)(?:,? [Vv]ol(?:\.|ume) ?\w+)?,? \d+\.\d+"), "a section number without §"),
    (re.compile(r"\b[Ss]ections? \d+(?:\.\d+)*"), "a section number without §"),
]


def check_block(text, named_above):
    """Yields (offset, complaint) for a comment whose lines are joined by newlines."""
    for section in SECTION.finditer(text):
        if not TITLED.match(text, section.start()):
            yield section.start(), "§ without a number and a quoted title"
        if not named_above and not DOCUMENT.search(text, 0, section.start()):
            yield section.start(), "§ without a known document and edition before it (see DOCUMENTS in this lint)"
    for pattern, complaint in BARE:
        for match in pattern.finditer(text):
            yield match.start(), f"'{' '.join(match.group().split())}' is {complaint}"


def check(root):
    for source in source_tree.sources(root, source_tree.PRODUCT):
        named = False
        for index, (start, block) in enumerate(source.comment_blocks()):
            text = "\n".join(block)
            for offset, complaint in check_block(text, named):
                yield source.path, start + text.count("\n", 0, offset), complaint
            if index == 0 and source.path.endswith("_spec.h"):
                named = bool(DOCUMENT.search(text))


if __name__ == "__main__":
    source_tree.run("spec_citations.py", check)
