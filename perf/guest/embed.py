# SPDX-License-Identifier: Apache-2.0
"""embed: writes a file as a C array, so that floor needs no more system calls for its guest than mayfly does.

    embed.py FILE HEADER
"""
import pathlib
import sys

data = pathlib.Path(sys.argv[1]).read_bytes()
lines = [", ".join(str(byte) for byte in data[at:at + 20]) for at in range(0, len(data), 20)]
pathlib.Path(sys.argv[2]).write_text(
    "/* Generated. */\nstatic const unsigned char hello[] = {\n" + ",\n".join(lines) + "\n};\n")
