#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes completions for bash, zsh and fish from the tables of options.

    completions.py TABLES.json DIRECTORY

TABLES.json is what option_tables prints. The files are mayfly.bash, _mayfly and mayfly.fish; an installation
gives each the name that its shell looks for."""

import json
import pathlib
import sys

HEAD = "# Written by mayfly's build from its table of options.\n"
SUMMARY_MAX = 70

BASH = r"""
_mayfly_options() { # command
    case $1 in
@OPTIONS@
    esac
}

# What the value of an option may be: words, FILE and DIR.
_mayfly_values() { # command, option
    case "$1 $2" in
@VALUES@
    esac
}

_mayfly_takes_value() { # command, option
    case "$1 $2" in
@TAKES@) return 0 ;;
    esac
    return 1
}

_mayfly_complete() { # words to choose from, with FILE and DIR
    local word words= files=
    for word in $1; do
        case $word in
            FILE) files=-f ;;
            DIR) files=-d ;;
            *) words+=" $word" ;;
        esac
    done
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    if [ -n "$files" ]; then
        compopt -o filenames 2>/dev/null
        local IFS=$'\n'
        COMPREPLY+=($(compgen $files -- "$cur"))
    fi
}

_mayfly() {
    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
    local first=2 word i
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W '@COMMANDS@ help --help' -- "$cur"))
        return
    fi
    case $command in
        help)
            if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W '@COMMANDS@' -- "$cur")); fi
            return
            ;;
        bench)
            if [ "$COMP_CWORD" -eq 2 ]; then
                COMPREPLY=($(compgen -W 'boot merge --help' -- "$cur"))
                return
            fi
            first=3
            if [ "${COMP_WORDS[2]}" = merge ]; then command=bench_merge; fi
            ;;
    esac
    # Behind "--" are the words of a boot, and behind a boot's those of a program.
    for ((i = first; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [ "$word" = -- ]; then
            if [ "$command" = bench ]; then command=boot; else _mayfly_complete FILE; return; fi
        fi
    done
    # "=" and ":" are words of their own.
    if [ "$cur" = = ] || [ "$cur" = : ]; then
        before=$cur cur= i=$COMP_CWORD
    else
        i=$((COMP_CWORD - 1))
    fi
    if [ "$before" = : ] && [ "${COMP_WORDS[i-1]}" = builtin ]; then
        COMPREPLY=($(compgen -W '@GUESTS@' -- "$cur"))
        return
    fi
    if [ "$before" = = ]; then before=${COMP_WORDS[i-1]}; fi
    if _mayfly_takes_value "$command" "$before"; then
        _mayfly_complete "$(_mayfly_values "$command" "$before")"
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$(_mayfly_options "$command")" -- "$cur"))
    elif [ "$command" = boot ]; then
        _mayfly_complete 'FILE'
        COMPREPLY+=($(compgen -W '@BUILTINS@' -- "$cur"))
    elif [ "$command" = bench_merge ]; then
        _mayfly_complete 'FILE'
    fi
}
complete -F _mayfly mayfly
"""


def short(command):
    """What the shells' functions call it: "bench boot" is bench, "bench merge" bench_merge."""
    return command["command"].removesuffix(" boot").replace(" ", "_")


def first_words(tables):
    return list(dict.fromkeys(command["command"].split()[0] for command in tables["commands"]))


def spellings(option):
    return ([f"-{option['letter']}"] if option["letter"] else []) + [f"--{option['name']}"]


def bash(tables):
    options, values, takes = [], [], []
    for command in tables["commands"]:
        words = [word for option in command["options"] for word in spellings(option)]
        options.append(f"        {short(command)}) echo '{' '.join(words)}' ;;")
        for option in command["options"]:
            if option["value"] is None:
                continue
            patterns = "|".join(f"'{short(command)} {word}'" for word in spellings(option))
            takes.append(patterns)
            if option["completion"]:
                values.append(f"        {patterns}) echo '{option['completion']}' ;;")
    parts = {
        "OPTIONS": "\n".join(options),
        "VALUES": "\n".join(values),
        "TAKES": "        " + "|\\\n        ".join(takes),
        "COMMANDS": " ".join(first_words(tables)),
        "GUESTS": " ".join(guest["name"] for guest in tables["guests"]),
        "BUILTINS": " ".join("builtin:" + guest["name"] for guest in tables["guests"]),
    }
    text = BASH
    for name, part in parts.items():
        text = text.replace(f"@{name}@", part)
    return HEAD + text


def summary(option):
    """The beginning of an option's help, on one line."""
    text = option["help"]
    if len(text) > SUMMARY_MAX:
        text = text[:SUMMARY_MAX].rsplit(" ", 1)[0] + " ..."
    return text


def zsh_quote(text):
    return "'" + text.replace("'", "'\\''") + "'"


def zsh_text(text):
    """Within a specification of _arguments."""
    for character in "\\[]:":
        text = text.replace(character, "\\" + character)
    return text


def zsh_action(option):
    words = option["completion"].split()
    plain = [zsh_text(word) for word in words if word not in ("FILE", "DIR")]
    files = "_files" if "FILE" in words else "_files -/" if "DIR" in words else ""
    if plain and files:
        return "{_alternative " + f'"words:word:({" ".join(plain)})" "files:file:{files}"' + "}"
    return f"({' '.join(plain)})" if plain else files or " "


def zsh_option(option):
    repeated = "*" if option["is_repeatable"] else ""
    for word in spellings(option):
        value = ""
        if option["value"] is not None:
            value = f":{zsh_text(option['value'])}:{zsh_action(option)}"
        mark = ("=" if word.startswith("--") else "+") if value else ""
        yield zsh_quote(f"{repeated}{word}{mark}[{zsh_text(summary(option))}]{value}")


def zsh(tables):
    lines = ["#compdef mayfly", HEAD]
    for command in tables["commands"]:
        name = short(command)
        lines.append(f"_mayfly_{name}() {{\n    _arguments -s -S \\")
        lines += [f"        {spec} \\" for option in command["options"] for spec in zsh_option(option)]
        lines.append("        " + {"boot": "'1:KERNEL:_mayfly_kernels' '*:argument:_files'",
                                   "bench": "'*::BOOT-ARGS:_mayfly_boot'",
                                   "bench_merge": "'*:report:_files'"}.get(name, "") + "\n}\n")
    guests = " ".join(zsh_quote(f"builtin\\:{guest['name']}:{zsh_text(guest['description'])}")
                      for guest in tables["guests"])
    lines.append("_mayfly_kernels() {\n    local -a guests\n    guests=(" + guests + ")\n"
                 "    _describe -t guests 'built-in guest' guests\n    _files\n}\n")
    commands = " ".join(zsh_quote(f"{short(command)}:{zsh_text(command['summary'])}")
                        for command in tables["commands"] if short(command) != "bench_merge")
    names = " ".join(first_words(tables))
    lines.append("""_mayfly() {
    local -a commands
    commands=(""" + commands + """ 'help:print the help of a command')
    if ((CURRENT == 2)); then
        _describe -t commands 'command' commands
        return
    fi
    local command=$words[2]
    shift words
    ((CURRENT--))
    case $command in
        bench)
            if ((CURRENT == 2)); then compadd boot merge; return; fi
            local measured=$words[2]
            shift words
            ((CURRENT--))
            if [[ $measured == merge ]]; then _mayfly_bench_merge; else _mayfly_bench; fi
            ;;
        help) ((CURRENT == 2)) && compadd """ + names + """ ;;
        """ + "|".join(name for name in names.split() if name != "bench") + """) _mayfly_$command ;;
    esac
}

_mayfly "$@"
""")
    return "\n".join(lines)


def fish_quote(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_option(condition, option):
    line = f"complete -c mayfly -n {condition} -l {option['name']}"
    if option["letter"]:
        line += f" -s {option['letter']}"
    if option["value"] is not None:
        words = option["completion"].split()
        plain = " ".join(word for word in words if word not in ("FILE", "DIR"))
        line += " -r"
        if "DIR" in words:
            line += " -f -a " + fish_quote("(__fish_complete_directories) " + plain)
        elif plain:
            line += " -a " + fish_quote(plain) + (" -F" if "FILE" in words else " -f")
        else:
            line += " -F" if "FILE" in words else " -f"
    return line + f" -d {fish_quote(summary(option))}"


def fish(tables):
    lines = [HEAD, "complete -c mayfly -f"]
    for command in tables["commands"]:
        if short(command) != "bench_merge":
            lines.append(f"complete -c mayfly -n __fish_use_subcommand -a {short(command)} "
                         f"-d {fish_quote(command['summary'])}")
    names = " ".join(first_words(tables))
    lines.append("complete -c mayfly -n __fish_use_subcommand -a help -d 'print the help of a command'")
    lines.append(f"complete -c mayfly -n '__fish_seen_subcommand_from help' -a {fish_quote(names)}")
    only_bench = "__fish_seen_subcommand_from bench; and not __fish_seen_subcommand_from boot merge"
    lines.append(f"complete -c mayfly -n '{only_bench}' -a 'boot merge'")
    lines.append("complete -c mayfly -n '__fish_seen_subcommand_from merge' -F")
    conditions = {"boot": "'__fish_seen_subcommand_from boot; and not __fish_seen_subcommand_from bench'",
                  "bench": "'__fish_seen_subcommand_from bench; and not __fish_seen_subcommand_from merge'",
                  "bench_merge": "'__fish_seen_subcommand_from merge'"}
    for command in tables["commands"]:
        name = short(command)
        condition = conditions.get(name, f"'__fish_seen_subcommand_from {name}'")
        lines += [fish_option(condition, option) for option in command["options"]]
    for guest in tables["guests"]:
        start = "complete -c mayfly -n '__fish_seen_subcommand_from boot' -F -a"
        lines.append(f"{start} builtin:{guest['name']} -d {fish_quote(guest['description'])}")
    return "\n".join(lines) + "\n"


def main():
    tables = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    directory = pathlib.Path(sys.argv[2])
    for name, write in (("mayfly.bash", bash), ("_mayfly", zsh), ("mayfly.fish", fish)):
        (directory / name).write_text(write(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
