#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the man pages from the tables of options. Usage: man_pages.py TABLES.json DIRECTORY DOCUMENTS.

TABLES.json is what option_tables prints, DOCUMENTS the directory in which README.md is installed. The pages are mayfly.1 and one for each command; they carry no date,
so that the same source makes the same pages."""

import json
import pathlib
import re
import sys
import textwrap

# Written in lower case wherever they stand.
LOWER_CASE = {"ioeventfd", "irqfd", "mayfly", "virtio"}
EXAMPLES = {
    "boot": [
        ("Boot the built-in demo guest on two vCPUs:", "mayfly boot --cpus 2"),
        ("Boot a kernel with an initial RAM disk:", "mayfly boot vmlinuz --initrd initrd.img --append quiet"),
        ("Run a program in a Linux guest:", "mayfly boot vmlinuz --root debian --exec make -- check"),
        ("Fail when a line appears, or after a minute:",
         "mayfly boot vmlinuz --fail-on 'BUG:|Oops' --timeout 60"),
        ("Make a snapshot when the guest says that it is ready:", "mayfly boot kernel --snapshot ready"),
    ],
    "restore": [("Go on from there, for a second at most:", "mayfly restore --timeout 1 ready")],
    "bench boot": [
        ("Compare two kernels, 100 runs of each:",
         "mayfly bench boot -n 100 --vs new/vmlinuz --name old --name new -- old/vmlinuz"),
    ],
    "bench merge": [
        ("Put two machines' reports beside each other:", "mayfly bench merge amd.json intel.json"),
    ],
    "doctor": [("Look at this host:", "mayfly doctor")],
    "version": [("What a bug report needs:", "mayfly version")],
}


def escape(text):
    """For a text line: backslashes, hyphens that are to be copied, and no request by accident."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    # Where a long value may be broken.
    text = text.replace("[,", "\\:[,").replace("tcp|", "tcp|\\:").replace("]:PORT", "]\\::PORT")
    return "\\&" + text if text.startswith(".") else text


def text_lines(text):
    """A sentence a line at least, as roff's users have it, and none of them long."""
    lines = []
    for sentence in re.split(r"(?<=[.;:]) ", text):
        lines += textwrap.wrap(sentence, 76, break_long_words=False, break_on_hyphens=False)
    return [escape(line) for line in lines]


def begins_with_name(text, values):
    """Whether the first word is a value, as in "raw: the value", or an identifier: it keeps its case."""
    first = text.split()[0]
    word = first.rstrip(",:;.")
    return word in LOWER_CASE or (word in values and word != first) or re.search(r"[A-Z0-9_]", word[1:]) is not None


def sentence(text, values=()):
    start = text[0] if begins_with_name(text, values) else text[0].upper()
    return text_lines(start + text[1:] + ("" if text.endswith(".") else "."))


def page_name(command):
    """Of "bench boot" it is mayfly-bench: that is what bench is for."""
    return "mayfly-" + command.removesuffix(" boot").replace(" ", "-")


def head(name, version, summary):
    return [f'.TH {name.upper()} 1 "" "mayfly {version}" "mayfly manual"', ".nh", ".ad l",
            ".SH NAME", f"{escape(name)} \\- {escape(summary)}"]


def option_lines(option):
    name = f"\\fB\\-\\-{escape(option['name'])}\\fR"
    if option["letter"]:
        name = f"\\fB\\-{option['letter']}\\fR, {name}"
    if option["value"] is not None:
        name += f" \\fI{escape(option['value'])}\\fR"
    return [".TP", name] + sentence(option["help"], option["completion"].split())


def command_page(command, version, see):
    words = command["command"].split()
    lines = head(page_name(command["command"]), version, command["summary"])
    lines += [".SH SYNOPSIS", f"\\fBmayfly {' '.join(words)}\\fR {escape(command['operands'])}",
              ".SH DESCRIPTION"]
    for number, part in enumerate(command["text"].split("\n\n")):
        lines += ([".PP"] if number else []) + text_lines(part)
    lines.append(".SH OPTIONS")
    for option in command["options"]:
        if option["section"]:
            lines.append(f".SS {escape(option['section'])}")
        lines += option_lines(option)
    lines += [".SH EXIT STATUS", *text_lines(command["status"]), ".SH EXAMPLES"]
    for number, (what, example) in enumerate(EXAMPLES[command["command"]]):
        lines += [".PP"] if number else []
        lines += [escape(what), ".PP", ".nf", ".RS", escape(example), ".RE", ".fi"]
    return lines + see


def see_also(names, documents):
    lines = [".SH SEE ALSO"]
    for number, name in enumerate(names):
        lines.append(f".BR {escape(name)} (1){',' if number + 1 < len(names) else ''}")
    return lines + [".PP", f"\\fI{escape(documents)}/README.md\\fR and the files in",
                    f"\\fI{escape(documents)}/docs\\fR say more."]


def main_page(tables, see):
    lines = head("mayfly", tables["version"], "boot a kernel or unikernel on KVM in about a millisecond")
    lines += [".SH SYNOPSIS"]
    for number, command in enumerate(tables["commands"]):
        lines += ([".br"] if number else []) + [
            f"\\fBmayfly {command['command']}\\fR {escape(command['operands'])}"
        ]
    lines += [".SH DESCRIPTION",
              *text_lines("A microVM monitor for Linux's KVM: it boots a kernel, connects its console to stdin "
                          "and stdout, and returns the guest's verdict as its exit status.")]
    lines.append(".SH COMMANDS")
    for command in tables["commands"]:
        lines += [".TP", f"\\fB{command['command']}\\fR",
                  *sentence(command["summary"]),
                  f"See \\fB{escape(page_name(command['command']))}\\fR(1)."]
    lines += [".TP", "\\fBhelp\\fR [\\fICOMMAND\\fR]", "Print this overview, or the help of a command."]
    lines.append(".SH BUILT-IN GUESTS")
    for guest in tables["guests"]:
        lines += [".TP", f"\\fBbuiltin:{escape(guest['name'])}\\fR", *sentence(guest["description"])]
    lines += [".SH EXIT STATUS",
              *text_lines("Of mayfly boot; the pages of the other commands have theirs:"), ".PP",
              *text_lines(tables["commands"][0]["status"])]
    lines += [".SH ENVIRONMENT", ".TP", "\\fBNO_COLOR\\fR, \\fBTERM\\fR",
              *text_lines("With a NO_COLOR that is not empty, or a TERM of \"dumb\", mayfly prints no escape "
                          "sequences."),
              ".TP", "\\fBMAYFLY_CACHE_DIR\\fR, \\fBXDG_CACHE_HOME\\fR",
              escape("Where unpacked kernels are kept; see --kernel-cache."),
              ".TP", "\\fBMAYFLY_RUNTIME_DIR\\fR, \\fBXDG_RUNTIME_DIR\\fR",
              escape("Where answers of KVM's are kept until the host reboots; \"off\" keeps none.")]
    return lines + see


def main():
    tables = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    directory = pathlib.Path(sys.argv[2])
    names = ["mayfly"] + [page_name(command["command"]) for command in tables["commands"]]

    def see(name):
        return see_also([other for other in names if other != name], sys.argv[3])

    pages = {"mayfly": main_page(tables, see("mayfly"))}
    for command in tables["commands"]:
        name = page_name(command["command"])
        pages[name] = command_page(command, tables["version"], see(name))
    for name, lines in pages.items():
        (directory / f"{name}.1").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
