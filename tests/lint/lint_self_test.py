#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each lint must accept a small clean tree and object to each way of breaking it. Usage: lint_self_test.py"""

import pathlib
import subprocess
import sys
import tempfile

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
HEADER = SPDX + "// A thing.\n#pragma once\n"
CHECK, REASON = "    VERIFY(a < b);\n", "    // no guest: the caller compares them first.\n"
SECTION, NOTE, FIX, CROSSES = "\u00a7", "TO" + "DO", "FIX" + "ME", "X" * 3

CLEAN = {
    "vmm/error/error.h": HEADER,
    "vmm/memory/gpa.h": HEADER + '#include "vmm/error/error.h"\n',
    "vmm/kvm/kvm_vm.cc": SPDX + '#include <linux/kvm.h>\n#include "vmm/memory/gpa.h"\n',
    "vmm/loop/ring.cc": SPDX + "#include <liburing.h>\n" + REASON + CHECK + CHECK,
    "vmm/memory/ram.h": HEADER + "    VERIFY(a);  // no guest: a file was checked before\n",
    "devices/io/bus.h": HEADER,
    "devices/platform/test_device_spec.h": HEADER,
    "devices/uart/uart.cc": SPDX + '#include "devices/io/bus.h"\n'
                                   f'// PC16550D {SECTION}8.5 "Interrupt Identification\n// Register", {SECTION}8.6 "More".\n',
    "firmware/layout.h": HEADER,
    "firmware/tables/acpi_spec.h": SPDX + "// Names come from ACPI\n// 6.5.\n#pragma once\n"
                                          f'int a;  // {SECTION}5.2.9 "FADT"\n',
    "firmware/boot/boot.cc": SPDX + '#include "firmware/tables/acpi_spec.h"\n#include "firmware/layout.h"\n'
                                    f"// {NOTE}(boot): when there are two.\n",
    "firmware/guests/hello.cc": SPDX + '#include "devices/platform/test_device_spec.h"\n',
    "vmm/machine/machine.cc": SPDX + '#include "firmware/layout.h"\n#include "devices/uart/uart.h"\n',
    "vmm/main.cc": SPDX + '#include "vmm/machine/machine.h"\n',
    "tests/unit/a_test.cc": SPDX + '#include "vmm/machine/machine.h"\nusing namespace mayfly;\n',
    "vmm/text/text.cc": SPDX + "// Understood, has not yet come, is not the one. Forever.\nint lies_in_here;  // around it\n",
    "tests/kvm/a_test.py": '"""Understood: what is around."""\nif answer is None:\n    print("has not come")\n',
    "README.md": "The word understood, and `mayfly boot`: what lies around it.\n",
}

# Lint, file that is replaced or added, its content, what the complaint must mention.
BROKEN = [
    ("include_direction", "vmm/error/error.h", HEADER + '#include "vmm/memory/gpa.h"\n', "is not above"),
    ("include_direction", "vmm/os/fd.h", HEADER + '#include "vmm/text/log.h"\n', "is not above"),
    ("include_direction", "vmm/machine/machine.cc", SPDX + '#include "vmm/main.cc"\n', "is not above"),
    ("include_direction", "vmm/doctor/run.cc", SPDX + '#include "vmm/command/commands.h"\n', "is not above"),
    ("include_direction", "firmware/layout.h", HEADER + '#include "firmware/tables/acpi.h"\n', "is not above"),
    ("include_direction", "devices/uart/uart.cc", SPDX + '#include "devices/pci/bus.h"\n', "is not above"),
    ("include_direction", "devices/uart/uart.cc", SPDX + '#include "vmm/kvm/kvm_vm.h"\n', "does not include"),
    ("include_direction", "devices/uart/uart.cc", SPDX + '#include "firmware/layout.h"\n', "does not include"),
    ("include_direction", "firmware/boot/boot.cc", SPDX + '#include "devices/io/bus.h"\n', "does not include"),
    ("include_direction", "firmware/boot/boot.cc", SPDX + '#include "devices/platform/test_device_spec.h"\n',
     "does not include"),
    ("include_direction", "firmware/boot/boot.cc", SPDX + '#  include "vmm/kvm/kvm_vm.h"\n', "does not include"),
    ("include_direction", "firmware/boot/boot.cc", SPDX + '#include "vmm/loop/ring.h"\n', "does not include"),
    ("include_direction", "devices/io/bus.h", HEADER + "#include <linux/kvm.h>\n", "only vmm/kvm"),
    ("include_direction", "vmm/machine/machine.cc", SPDX + "#include <liburing.h>\n", "only vmm/loop"),
    ("include_direction", "vmm/main.cc", SPDX + '#include "tests/support/fake.h"\n', "tests or benchmarks"),
    ("include_direction", "vmm/util/x.cc", SPDX, "is in no layer"),
    ("include_direction", "vmm/main.cc", SPDX + '#include "vmm/util/x.h"\n', "is in no layer"),
    ("header_style", "vmm/main.cc", "int main() {}\n" + SPDX, "does not begin"),
    ("header_style", "vmm/main.cc", "// SPDX-License-Identifier: MIT\n", "does not begin"),
    ("header_style", "vmm/main.cc", SPDX + "int a;\n" * 500, "501 lines"),
    ("header_style", "vmm/main.cc", SPDX + "// " + "x" * 108 + "\n", "111 columns"),
    ("header_style", "vmm/main.cc", SPDX + "\tint a;\n", "tab"),
    ("header_style", "vmm/main.cc", SPDX + "int a;", "newline"),
    ("header_style", "vmm/error/error.h", SPDX + "// What.\nint a;\n", "pragma once"),
    ("header_style", "vmm/error/error.h", SPDX + "#pragma once\n", "file comment"),
    ("header_style", "vmm/error/error.h", HEADER + "  using namespace std;\n", "using namespace"),
    ("header_style", "tests/unit/a_test.cc", "int a;\n", "does not begin"),
    ("spec_citations", "vmm/main.cc", SPDX + f'// {SECTION}2.7 "Virtqueues"\n', "without a known document"),
    ("spec_citations", "vmm/main.cc", SPDX + f'// See the manual {SECTION}2.7 "Virtqueues"\n', "without a known document"),
    ("spec_citations", "vmm/main.cc", SPDX + f"int a;  // ACPI 6.5 {SECTION}5.2.9\n", "quoted title"),
    ("spec_citations", "vmm/main.cc", SPDX + f'// ACPI 6.5 {SECTION} "FADT"\n', "quoted title"),
    ("spec_citations", "vmm/main.cc", SPDX + f"/* PC16550D\n * {SECTION}8.5 */\n", "quoted title"),
    ("spec_citations", "vmm/main.cc", SPDX + "// SDM 11.12\n", "without \u00a7"),
    ("spec_citations", "vmm/main.cc", SPDX + "// Intel SDM Vol. 3A, section 11.12\n", "without \u00a7"),
    ("unfinished_words", "vmm/main.cc", SPDX + f"// {NOTE} later\n", "topic"),
    ("unfinished_words", "vmm/main.cc", SPDX + f"// {NOTE}(boot)\n", "topic"),
    ("unfinished_words", "tests/unit/a_test.cc", SPDX + f"// {FIX}: wrong\n", FIX),
    ("unfinished_words", "devices/io/bus.h", HEADER + f"int a;  // {CROSSES}\n", CROSSES),
    ("words", "vmm/main.cc", SPDX + "// The file is no kernel.\n", "'is no'"),
    ("words", "vmm/main.cc", SPDX + "int a;  // those are\n        // no files\n", "'are no'"),
    ("words", "vmm/main.cc", SPDX + 'f("there is "\n  "no room");\n', "'is no'"),
    ("words", "vmm/main.cc", SPDX + "/// Null where there is none.\n", "'is none'"),
    ("words", "vmm/main.cc", SPDX + 'f("the file is not there");\n', "'is not there'"),
    ("words", "vmm/main.cc", SPDX + "// A thread cannot be had.\n", "'cannot be had'"),
    ("words", "vmm/main.cc", SPDX + "// Debian has not the module.\n", "'has not the'"),
    ("words", "vmm/main.cc", SPDX + "// The module that it has not.\n", "'has not'"),
    ("words", "tests/kvm/a_test.py", "# Halts for ever.\n", "'for ever'"),
    ("words", "tests/kvm/a_test.py", '"""It is let\ngo."""\n', "'is let'"),
    ("words", "vmm/main.cc", SPDX + "// Left for who reads next.\n", "'for who'"),
    ("words", "vmm/main.cc", SPDX + "// Whoever asks waits.\n", "'Whoever'"),
    ("words", "vmm/main.cc", SPDX + "// Tells what it is.\n", "'what it is'"),
    ("words", "vmm/main.cc", SPDX + "// A run and what came of it.\n", "'came of it'"),
    ("words", "vmm/main.cc", SPDX + "// The loop looks around.\n", "'looks around'"),
    ("words", "README.md", "All but for one.\n", "'but for'"),
    ("words", "perf/README.md", "It shall end.\n", "'shall'"),
    ("words", "check", "# Lest it hangs.\n", "'Lest'"),
    ("words", ".ci/deb", "# It cannot be had.\n", "'cannot be had'"),
    ("words", "docs/a.md", "It is no kernel.\n", "'is no'"),
    ("words", "data/a.service.in", "# It is not there.\n", "'is not there'"),
    ("words", "vmm/a.ld", "/* It sees to it. */\n", "'sees to it'"),
    ("words", "vmm/main.cc", SPDX + "bool is_no_default;\n", "the name is_no_default"),
    ("words", "tests/kvm/a_test.py", "def what_is_no_disk():\n    pass\n", "the name what_is_no_disk"),
    ("words", "vmm/main.cc", SPDX + "auto feared = 1;\n", "the name feared"),
    ("words", "vmm/main.cc", SPDX + "Ending understood(Ending ending);\n", "the name understood"),
    ("words", "vmm/main.cc", SPDX + "Range unsaid();\n", "the name unsaid"),
    ("words", "vmm/main.cc", SPDX + "if (must_hurry()) return;\n", "the name must_hurry"),
    ("words", "vmm/main.cc", SPDX + "const DeviceSurroundings& here;\n", "the name DeviceSurroundings"),
    ("words", "vmm/main.cc", SPDX + "f(around_);\n", "the name around_"),
    ("words", "vmm/main.cc", SPDX + "u32 live_address;\n", "the name live_address"),
    ("words", "vmm/main.cc", SPDX + "bool is_it = f();\n", "the name is_it"),
    ("words", "vmm/main.cc", SPDX + "see_to_mtu();\n", "the name see_to_mtu"),
    ("words", "vmm/main.cc", SPDX + "int its_input;\n", "the name its_input"),
    ("words", "vmm/main.cc", SPDX + "int name_meanwhile_;\n", "the name name_meanwhile_"),
    ("words", "vmm/main.cc", SPDX + 'lie("more");\n', "the name lie"),
    ("words", "vmm/main.cc", SPDX + "passt.let_go();\n", "the name let_go"),
    ("words", "vmm/main.cc", SPDX + "++failures_told_;\n", "the name failures_told_"),
    ("words", "CONTRIBUTING.md", "See `live_address`.\n", "the name live_address"),
    ("verify_reasons", "devices/io/bus.h", HEADER + CHECK, "without"),
    ("verify_reasons", "devices/uart/uart.cc", SPDX + "    default: UNREACHABLE();\n", "without"),
    ("verify_reasons", "vmm/machine/machine.cc", SPDX + REASON + "\n" + CHECK, "without"),
    ("verify_reasons", "vmm/loop/ring.cc", SPDX + REASON + CHECK + "    f();\n" + CHECK, "without"),
    ("verify_reasons", "vmm/memory/ram.h", HEADER + "    VERIFY(a);  // an ordinary comment on it\n", "without"),
    ("verify_reasons", "devices/io/bus.h", HEADER + "    // no guest: ours\n" + CHECK, "does not say"),
    ("verify_reasons", "devices/io/bus.h", HEADER + "    // no guest: because this cannot happen\n" + CHECK, "does not say"),
    ("verify_reasons", "devices/io/bus.h", HEADER + REASON + "    f();\n", "belongs to no"),
]


def lint(name, tree):
    """Writes the tree to a directory and returns the lint's exit status and output."""
    script = pathlib.Path(__file__).parent / f"{name}.py"
    with tempfile.TemporaryDirectory(prefix="mayfly-lint-") as root:
        for path, text in tree.items():
            file = pathlib.Path(root) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        run = subprocess.run([sys.executable, "-B", script, root], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, check=False)
    return run.returncode, run.stdout


def main():
    failures = []
    for name in sorted({row[0] for row in BROKEN}):
        status, output = lint(name, CLEAN)
        if status != 0:
            failures.append(f"{name} objects to the clean tree: {output.strip()}")
        if lint(name, {})[0] == 0:
            failures.append(f"{name} accepts a tree without sources")
    for name, path, text, complaint in BROKEN:
        status, output = lint(name, {**CLEAN, path: text})
        if status != 1 or path not in output or complaint not in output:
            failures.append(f"{name} misses '{complaint}' in {path}: status {status}: {output.strip()}")
    crowd = {f"vmm/error/module{n}.h": HEADER for n in range(12)}
    status, output = lint("include_direction", {**CLEAN, **crowd})
    if status != 1 or "vmm/error" not in output or "13 modules" not in output:
        failures.append(f"include_direction misses a crowded folder: status {status}: {output.strip()}")
    for failure in failures:
        print(failure)
    print(f"{len(BROKEN)} broken trees, {len(failures)} missed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
