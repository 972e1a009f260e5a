# SPDX-License-Identifier: Apache-2.0
"""The common part of the benchmarks in the lab: their options, the build's parts, and how they end."""
import argparse
import os
import pathlib
import types

from support import linux_lab  # pylint: disable=unused-import  # the lab's modules are found through it
from errors import LabError, Unavailable

SKIPPED = 77
PERF = pathlib.Path(__file__).resolve().parent.parent


def arguments(doc, name):
    """A parser of their common options."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=PERF.parent / "build")
    parser.add_argument("--out", type=pathlib.Path, help=f"where {name}.json goes (BUILD/perf)")
    parser.add_argument("--only", action="append", help="a contender; repeatable")
    return parser


def setting_of(options, *, mayfly=None, kernels=("6.12",), with_qemu=True):
    """The setting for linux_lab.open_lab()."""
    build = options.build.resolve()
    options.out = options.out or build / "perf"
    return types.SimpleNamespace(
        mayfly=os.path.abspath(mayfly or build / "mayfly"),
        agent=str(build / "tests" / "lab" / "lab-agent"),
        mark=str(build / "perf" / "linux_mark"),
        cache=os.path.abspath(os.environ.get("MAYFLY_LAB_CACHE") or build / "lab"),
        kernels=list(kernels),
        with_qemu=with_qemu,
    )


def status_of(measure):
    """The status of `measure`, or the one for a lab that is missing or fails."""
    try:
        return measure()
    except Unavailable as error:
        print(f"SKIPPED, NOTHING WAS MEASURED: {error}", flush=True)
        return SKIPPED
    except LabError as error:
        print(f"FAIL the lab: {error}\n0 passed, 1 failed", flush=True)
        return 1
