# SPDX-License-Identifier: Apache-2.0
"""Man pages and completions agree exactly with the parser's tables, and work in the programs for which they
are made. Needs no KVM.

MAYFLY_MANUAL is the directory in which the build writes them, with option_tables.json; MAYFLY_BUILD is the
build's."""
import json
import os
import re
import shutil
import subprocess

from harness import OK, Skip, case, check, check_status, main, run, temporary_directory

DIRECTORY = os.environ["MAYFLY_MANUAL"]
NAME = r"[a-z][a-z0-9-]*"


def read(name):
    with open(os.path.join(DIRECTORY, name), encoding="utf-8") as file:
        return file.read()


TABLES = json.loads(read("option_tables.json"))


def names(command):
    return {option["name"] for option in command["options"]}


def need(program):
    path = shutil.which(program)
    if path is None:
        raise Skip(f"{program} is not installed")
    return path


def output_of(arguments, **options):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False, **options)
    check(done.returncode == 0, f"{arguments} is {done.returncode}: {done.stderr}")
    return done.stdout, done.stderr


@case
def help_has_what_the_table_has():
    for command in TABLES["commands"]:
        outcome = run(*command["command"].split(), "--help")
        check_status(outcome, OK)
        options = set(re.findall(rf"^  (?:-\w, )?--({NAME})", outcome.out.decode(), re.M))
        check(options == names(command), f"{command['command']}: {options ^ names(command)}")
        check(f"usage: mayfly {command['command']} " in outcome.out.decode(), "no usage", outcome)


@case
def man_pages_have_what_the_table_has():
    for command in TABLES["commands"]:
        page = read(f"mayfly-{command['command'].removesuffix(' boot').replace(' ', '-')}.1")
        options = re.findall(r"^\.TP\n(?:\\fB\\-\w\\fR, )?\\fB\\-\\-(\S+?)\\fR", page, re.M)
        options = [option.replace("\\-", "-") for option in options]
        check(sorted(options) == sorted(names(command)), f"{command['command']}: {options}")
        for option in command["options"]:
            if option["value"] is not None:
                value = option["value"].replace("-", "\\-").replace("'", "\\(aq").replace("[,", "\\:[,")
                check(f"\\fI{value}\\fR" in page, f"{command['command']}: --{option['name']} lacks {value}")
    page = read("mayfly.1")
    for guest in TABLES["guests"]:
        check(f"builtin:{guest['name']}\\fR" in page, f"mayfly.1 lacks {guest['name']}")


@case
def man_takes_the_pages_without_a_warning():
    need("man")
    for name in sorted(name for name in os.listdir(DIRECTORY) if name.endswith(".1")):
        for width in ("80", "60"):
            _, err = output_of(["man", "--warnings", "-l", os.path.join(DIRECTORY, name)],
                               env={**os.environ, "MANWIDTH": width, "LC_ALL": "C.UTF-8"})
            check(err == "", f"{name} at {width}: {err}")


@case
def mandoc_takes_the_pages():
    need("mandoc")
    for name in sorted(name for name in os.listdir(DIRECTORY) if name.endswith(".1")):
        # They carry no date on purpose.
        done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", os.path.join(DIRECTORY, name)],
                              capture_output=True, text=True, timeout=60, check=False)
        lines = [line for line in done.stdout.splitlines() if "missing date" not in line]
        check(not lines, f"{lines}")


@case
def pages_keep_the_case_of_values_and_identifiers():
    page = read("mayfly-boot.1").replace("\\-", "-")
    for begin in ("stdio, null or a file", "raw:\nthe value", "vCPUs, 1 to 64", "virtio disk", "Boot protocol:\n"):
        check(f"\n{begin}" in page, f"mayfly-boot.1 lacks a line that begins with {begin!r}")
    page = read("mayfly.1")
    for begin in ("ioeventfd to irqfd", "Local APIC"):
        check(f"\n{begin}" in page, f"mayfly.1 lacks a line that begins with {begin!r}")


@case
def pages_tell_the_statuses_and_the_documents():
    for name in ("mayfly.1", "mayfly-boot.1"):
        section = read(name).split(".SH EXIT STATUS\n")[1].split("\n.SH ")[0].replace("\\-", "-").replace("\n", " ")
        check("with --exec 0-255" in section and "128+N signal N ended mayfly" in section, f"{name}: {section}")
    for name in (name for name in os.listdir(DIRECTORY) if name.endswith(".1")):
        check("/usr/local/share/doc/mayfly/README.md" in read(name).split(".SH SEE ALSO\n")[1], f"{name}: no documents")


@case
def completions_have_what_the_table_has():
    bash, zsh, fish = (read(name) for name in ("mayfly.bash", "_mayfly", "mayfly.fish"))
    for command in TABLES["commands"]:
        short = command["command"].removesuffix(" boot").replace(" ", "_")
        words = re.search(rf"^        {short}\) echo '([^']*)' ;;$", bash, re.M)[1].split()
        options = {word[2:] for word in words if word.startswith("--")}
        check(options == names(command), f"bash, {short}: {words}")
        block = re.search(rf"^_mayfly_{short}\(\) {{$(.*?)^}}$", zsh, re.M | re.S)[1]
        options = re.findall(rf"^ +'\*?--({NAME})", block, re.M)
        check(sorted(options) == sorted(names(command)), f"zsh, {short}: {options}")
        condition = f"__fish_seen_subcommand_from {short.rpartition('_')[2]}"
        if short == "boot":
            condition += "; and not __fish_seen_subcommand_from bench"
        elif short == "bench":
            condition += "; and not __fish_seen_subcommand_from merge"
        start = re.escape(f"complete -c mayfly -n '{condition}' -l ")
        options = re.findall(rf"^{start}({NAME})", fish, re.M)
        check(sorted(options) == sorted(names(command)), f"fish, {short}: {options}")


@case
def choices_are_what_the_parser_takes():
    boot = TABLES["commands"][0]
    compared = 0
    with temporary_directory() as directory:
        for option in boot["options"]:
            words = option["completion"].split()
            if not words or option["name"] == "memory":
                continue
            arguments = ("boot", "builtin:hello", f"--{option['name']}", "no-such-value", "--timeout", "5")
            outcome = run(*arguments, cwd=directory)
            if "one of: " in outcome.err:
                taken = outcome.err.split("one of: ")[1].rstrip(")\n").split(", ")
                check(taken == words, f"--{option['name']} takes {taken} and completes {words}", outcome)
                compared += 1
    check(compared >= 7, f"only {compared} options were compared")


def bash_completes(*words):
    """bash's completions of the last of `words`, which are cut as readline cuts them."""
    script = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mayfly; '
    script += 'printf "%s\\n" "${COMPREPLY[@]}"'
    with temporary_directory() as directory:
        os.mkdir(os.path.join(directory, "folder"))
        with open(os.path.join(directory, "file one"), "w", encoding="utf-8"):
            pass
        out, err = output_of(["bash", "-c", script, os.path.join(DIRECTORY, "mayfly.bash"), "mayfly", *words],
                             cwd=directory)
    check(err == "", f"bash says {err}")
    return out.split("\n")[:-1]


@case
def bash_completes_commands_options_and_values():
    check(bash_completes("b") == ["boot", "bench"], f"{bash_completes('b')}")
    check(bash_completes("help", "d") == ["doctor"], "help d")
    check(bash_completes("boot", "--mem") == ["--memory"], f"{bash_completes('boot', '--mem')}")
    check(bash_completes("boot", "--protocol", "mu") == ["multiboot", "multiboot2"], "values")
    check(bash_completes("boot", "--protocol", "=", "li") == ["linux"], "values behind =")
    check(bash_completes("boot", "--protocol", "=")[0] == "auto", "values right behind =")
    files = bash_completes("boot", "--disk", "f")
    check(files == ["file one", "folder"], f"{files}")
    check(bash_completes("boot", "--root", "f") == ["folder"], "directories")
    check(bash_completes("boot", "builtin", ":", "he") == ["hello"], "built-in guests")
    check("builtin:demo" in bash_completes("boot", "bu"), "built-in guests by their prefix")
    check(bash_completes("boot", "--exec", "x", "--", "f") == ["file one", "folder"], "a program's arguments")
    check(bash_completes("bench", "") == ["boot", "merge", "--help"], "bench")
    check(bash_completes("bench", "merge", "f") == ["file one", "folder"], "reports to merge")
    check(bash_completes("bench", "merge", "--ht") == ["--html"], "options of merge")
    check(bash_completes("bench", "boot", "--ru") == ["--runs"], "options of bench")
    check(bash_completes("bench", "boot", "--", "--mem") == ["--memory"], "BOOT-ARGS")
    check(bash_completes("bench", "boot", "-n", "") == [""], "a value that nobody knows")


@case
def zsh_takes_its_completions():
    output_of([need("zsh"), "-n", os.path.join(DIRECTORY, "_mayfly")])


@case
def fish_completes_commands_options_and_values():
    fish = need("fish")
    output_of([fish, "-n", os.path.join(DIRECTORY, "mayfly.fish")])

    def completes(line):
        script = f"source {os.path.join(DIRECTORY, 'mayfly.fish')}; complete -C '{line}'"
        with temporary_directory() as home:
            out, _ = output_of([fish, "-N", "-c", script], env={**os.environ, "HOME": home})
        return [word.split("\t")[0] for word in out.splitlines()]

    check(sorted(completes("mayfly b")) == ["bench", "boot"], f"{completes('mayfly b')}")
    check(completes("mayfly boot --mem") == ["--memory"], f"{completes('mayfly boot --mem')}")
    check(completes("mayfly boot --protocol mu") == ["multiboot", "multiboot2"], "values")
    check(completes("mayfly boot builtin:he") == ["builtin:hello"], f"{completes('mayfly boot builtin:he')}")
    check(completes("mayfly bench boot --ru") == ["--runs"], f"{completes('mayfly bench boot --ru')}")
    check(completes("mayfly bench merge --ht") == ["--html"], f"{completes('mayfly bench merge --ht')}")


@case
def a_source_archive_is_configured_and_its_commit_is_unknown():
    root = os.path.join(os.path.dirname(os.path.realpath(__file__)), os.pardir, os.pardir)
    if not os.path.exists(os.path.join(root, ".git")):
        raise Skip("this tree is not a clone")
    with temporary_directory() as directory:
        archive = os.path.join(directory, "mayfly.tar")
        output_of(["git", "-C", root, "archive", "-o", archive, "HEAD"])
        output_of(["tar", "-xf", archive, "-C", directory])
        output_of(["meson", "setup", "build", "-Dmimalloc=disabled"], cwd=directory)
        output_of(["ninja", "-C", "build", "vmm/command/libbuild_facts.a"], cwd=directory)
        with open(os.path.join(directory, "build", "vmm", "command", "build_commit.h"), encoding="utf-8") as file:
            check('"unknown"' in file.read(), "its commit is known")


@case
def everything_is_installed():
    with temporary_directory() as directory:
        options = ["--no-rebuild", "--skip-subprojects", "--destdir", directory]
        output_of(["meson", "install", "-C", os.environ["MAYFLY_BUILD"], *options])
        tree = os.walk(directory)
        found = {os.path.join(where, name)[len(directory):] for where, _, files in tree for name in files}
        prefix = "/usr/local"
        expected = {f"{prefix}/bin/mayfly", f"{prefix}/share/bash-completion/completions/mayfly",
                    f"{prefix}/share/zsh/site-functions/_mayfly",
                    f"{prefix}/share/fish/vendor_completions.d/mayfly.fish"}
        pages = [name for name in os.listdir(DIRECTORY) if name.endswith(".1")]
        expected |= {f"{prefix}/share/man/man1/{name}" for name in pages}
        documents = os.path.join(os.path.dirname(os.path.realpath(__file__)), *[os.pardir] * 2, "docs")
        expected |= {f"{prefix}/share/doc/mayfly/{name}" for name in
                     ["README.md", *(f"docs/{name}" for name in os.listdir(documents))]}
        check(expected <= found, f"not installed: {expected - found}")
        check(os.access(directory + f"{prefix}/bin/mayfly", os.X_OK), "mayfly cannot be run")
        check(not any("option_tables" in name for name in found), f"by accident: {found - expected}")


main(needs_kvm=False)
