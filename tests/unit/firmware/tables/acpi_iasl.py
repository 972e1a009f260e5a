#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gives every ACPI table to ACPICA's iasl: it must disassemble each of them, compile the result again without
errors or warnings, and arrive at the same bytes. The RSDP is not a table to iasl; acpi_test compares it.
Usage: acpi_iasl.py ACPI_DUMP. Exit status 77: no iasl."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

MACHINES = [("modern", 1), ("modern", 4), ("modern", 64), ("legacy", 1), ("legacy", 4), ("legacy", 64),
            ("bare", 1), ("modern", 300), ("legacy-intx", 1), ("modern-mmio", 1), ("modern-serial", 4),
            ("full", 64)]
MODERN = {"XSDT", "FACP", "APIC", "MCFG", "DSDT"}
LEGACY = MODERN | {"RSDT", "FACS"}
EXPECTED = {"modern": MODERN, "modern-mmio": MODERN, "modern-serial": MODERN, "bare": MODERN - {"MCFG"},
            "legacy": LEGACY, "legacy-intx": LEGACY, "full": LEGACY}
# Lines that the disassembler must print for some tables, and how often.
ROUTE = r"Package \(0x04\)\s*\{\s*0x00(0[1-9A-F]|1[0-9A-F])FFFF,\s*Zero,\s*Zero,\s*0x0[AB]\s*\}"
MMIO_RESOURCES = (r"Memory32Fixed \(ReadWrite,\s*0xC00[01][0-9A-F]000,[^\n]*\s*0x00001000,[^\n]*\s*\)"
                  r"\s*Interrupt \(ResourceConsumer, Edge, ActiveHigh, Exclusive,")
UART_RESOURCES = (r"IO \(Decode16,\s*0x03F8,[^)]*\)\s*"
                  r"Interrupt \(ResourceConsumer, Edge, ActiveHigh, Exclusive,[^)]*\)\s*\{\s*0x00000004,\s*\}")
INTX_MEANING = [(r"Name \(_PRT, Package \(0x1F\)", 1), (ROUTE, 31)]
MMIO_MEANING = [(r'Name \(_HID, "LNRO0005"\)', 16), (MMIO_RESOURCES, 16)]
IOAPIC = r"I/O Apic ID : 00\n.*\n[^\n]*\bAddress : FEC00000\n[^\n]*\bInterrupt : 00000004\n"
MEANING = {("legacy-intx", "DSDT"): INTX_MEANING, ("modern-mmio", "DSDT"): MMIO_MEANING,
           ("full", "DSDT"): INTX_MEANING + MMIO_MEANING,
           ("modern-serial", "DSDT"): [(UART_RESOURCES, 1)],
           ("modern-serial", "APIC"): [(IOAPIC, 1), (r"\[Interrupt Source Override\]", 0)]}
# The compiler signs a definition block with its own name: OEM fields are kept, creator and checksum differ.
COMPILER_FIELDS = set(range(28, 36)) | {9}


def iasl(*arguments, directory):
    run = subprocess.run(["iasl", *arguments], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, errors="replace", timeout=60, check=False)
    return run.returncode, run.stdout


def complaints(output):
    """The complaints in iasl's output."""
    bad = [line for line in output.splitlines()
           if re.search(r"\b(Error|Warning|Invalid|Incorrect|Unknown|Could not)\b", line, re.I)
           and not re.search(r"\b0 Errors, 0 Warnings\b", line)]
    return bad


def check_table(path):
    """Returns the faults of one table, one line each."""
    status, output = iasl("-d", path.name, directory=path.parent)
    source = path.with_suffix(".dsl")
    if status != 0 or not source.exists():
        return [f"iasl -d: status {status}: {output.strip()[-400:]}"]
    problems = [f"iasl -d: {line.strip()}" for line in complaints(output)]
    text = source.read_text(errors="replace")
    problems += [f"{source.name}: {line.strip()}" for line in text.splitlines()
                 if re.search(r"invalid|incorrect checksum|should be|\*\*\*\*", line, re.I)]

    binary = path.with_suffix(".aml")
    status, output = iasl(source.name, directory=path.parent)
    if status != 0 or not binary.exists():
        return problems + [f"iasl: status {status}: {output.strip()[-400:]}"]
    if path.stem == "DSDT" and "0 Errors, 0 Warnings" not in output:
        problems.append("iasl: not '0 Errors, 0 Warnings'")
    problems += [f"iasl: {line.strip()}" for line in complaints(output)]
    ours, theirs = path.read_bytes(), binary.read_bytes()
    differing = [at for at in range(max(len(ours), len(theirs)))
                 if ours[at:at + 1] != theirs[at:at + 1] and at not in COMPILER_FIELDS]
    if differing:
        problems.append(f"iasl compiles other bytes at {differing[:8]} ({len(ours)} and {len(theirs)} bytes)")
    return problems


def check_meaning(machine, table):
    """Returns the lines that the disassembler printed too often or too seldom."""
    source = table.with_suffix(".dsl")
    text = source.read_text(errors="replace") if source.exists() else ""
    problems = []
    for pattern, wanted in MEANING.get((machine, table.stem), []):
        found = len(re.findall(pattern, text))
        if found != wanted:
            problems.append(f"{found} times instead of {wanted}: {pattern}")
    return problems


def main():
    if shutil.which("iasl") is None:
        print("SKIPPED: acpi-iasl: no iasl on this machine; install acpica-tools", file=sys.stderr)
        return 77
    dump = pathlib.Path(sys.argv[1]).resolve()
    failed = checked = 0
    for machine, cpus in MACHINES:
        with tempfile.TemporaryDirectory(prefix="mayfly-acpi-") as directory:
            subprocess.run([dump, machine, str(cpus), directory], check=True)
            tables = sorted(pathlib.Path(directory).glob("*.dat"))
            if {table.stem for table in tables} != EXPECTED[machine]:
                print(f"{machine}: tables are {[table.stem for table in tables]}")
                failed += 1
            for table in tables:
                checked += 1
                for problem in check_table(table) + check_meaning(machine, table):
                    print(f"{machine}, {cpus} processors, {table.stem}: {problem}")
                    failed += 1
    print(f"{checked} tables checked, {failed} complaints")
    return 1 if failed or checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
