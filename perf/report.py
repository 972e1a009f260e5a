#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""report: joins the benchmarks' JSON files into results.json and prints them as one table.

    report.py BUILD/perf              for a terminal
    report.py --markdown BUILD/perf   for perf/RESULTS.md

Breakdowns, such as calls by name, are in the JSON only.
"""
import argparse
import json
import pathlib
import sys

from support import results

ORDER = ("boot_time", "memory_size", "footprint", "image_load", "counts", "device_cost", "disk_io",
         "net_io", "lab_exits", "linux_boot", "linux_disk", "linux_share", "linux_share_whole", "linux_streams")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    joined = []
    for name in ORDER:
        path = options.directory / (name + ".json")
        if path.exists():
            joined.append(json.loads(path.read_text()))
        else:
            print(f"report: no result of {name} in {options.directory}", file=sys.stderr)
    if not joined:
        return 77
    (options.directory / "results.json").write_text(json.dumps(joined, indent=1) + "\n")
    render = results.markdown if options.markdown else results.terminal
    print("\n\n".join(render(data) for data in joined))
    missed = [limit["name"] for data in joined for limit in data["limits"] if not limit["met"]]
    print(f"\n{len(missed)} limits missed" + "".join("\n  MISSED: " + name for name in missed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
