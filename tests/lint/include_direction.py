#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A file includes its own directory and lower layers only. Usage: include_direction.py ROOT.

Tests and benchmarks may include anything; nothing in the product includes them."""

import collections
import re

import source_tree

# Low to high. Directories on one line do not know each other.
LAYERS = [
    ["vmm/error", "vmm/libc"],
    ["vmm/text", "vmm/os", "vmm/threads"],
    ["vmm/memory", "vmm/loop", "vmm/process"],
    ["vmm/kvm", "devices/io"],
    ["vmm/kvm/state", "devices/uart", "devices/platform", "devices/pci", "devices/virtio/queue", "firmware"],
    ["devices/virtio", "firmware/tables", "firmware/image", "firmware/guests", "firmware/guests/runtime",
     "firmware/init"],
    ["devices/virtio/transport", "devices/virtio/block", "devices/virtio/net",
     "devices/virtio/fs", "vmm/share/files", "vmm/share/protocol", "firmware/boot", "vmm/watch",
     "vmm/initramfs/archive"],
    ["vmm/storage", "vmm/share/operations", "vmm/network", "vmm/kernel_cache", "vmm/initramfs",
     "vmm/snapshot/format"],
    ["vmm/answer_cache", "vmm/snapshot", "vmm/share"],
    ["vmm/machine/lifecycle"],
    ["vmm/machine/plan", "vmm/machine/copy_out"],
    ["vmm/machine/console", "vmm/machine/boot", "vmm/machine/io"],
    ["vmm/machine/interrupts", "vmm/machine/program"],
    ["vmm/machine/vcpu", "vmm/machine/virtio"],
    ["vmm/machine"],
    ["vmm/machine/snapshot"],
    ["vmm/report", "vmm/doctor/facts", "vmm/bench/measure"],
    ["vmm/doctor/probe", "vmm/bench/results"],
    ["vmm/doctor", "vmm/bench/page"],
    ["vmm/bench/merge"],
    ["vmm/command/table"],
    ["vmm/command/options"],
    ["vmm/command/outputs"],
    ["vmm/command/boot", "vmm/command/bench"],
    ["vmm/command"],
    ["vmm/command/manual"],
    ["vmm/main.cc"],
]
MODULES_MAX = 12
RANK = {directory: rank for rank, layer in enumerate(LAYERS) for directory in layer}

# Lower, and still out of bounds: chip models and boot code are tested without KVM, and firmware learns about
# devices as plain values.
FORBIDDEN = [("devices", "firmware"), ("firmware", "devices"), ("devices", "vmm/kvm"), ("firmware", "vmm/kvm"),
             ("devices", "vmm/loop"), ("firmware", "vmm/loop")]
# Our own interface between a device and the guests that we build: guests are not linked into the product.
SHARED_WITH_GUESTS = {"devices/platform/test_device_spec.h"}
# Guests of one kind may use the runtime beside them.
GUEST_RUNTIME = ("firmware/guests", "firmware/guests/runtime")

# System headers that only some directories may see.
SYSTEM = {
    "linux/kvm.h": ("vmm/kvm", "vmm/machine", "vmm/doctor"),
    "liburing.h": ("vmm/loop",),
}


def inside(path, directory):
    return path == directory or path.startswith(directory + "/")


def directory_of(path):
    """The longest directory (or file) of LAYERS that holds the path."""
    return max((d for d in RANK if inside(path, d)), key=len, default=None)


def objection(includer, included):
    """Why the product file `includer` may not include `included`, or None."""
    if any(inside(included, directory) for directory in source_tree.TESTS):
        return "the product does not include tests or benchmarks"
    source, target = directory_of(includer), directory_of(included)
    if target is None:
        return f"{included} is in no layer; add its directory to LAYERS"
    if included in SHARED_WITH_GUESTS and inside(includer, "firmware/guests"):
        return None
    if source == target or (source, target) == GUEST_RUNTIME:
        return None
    for above, below in FORBIDDEN:
        if inside(includer, above) and inside(included, below):
            return f"{above}/ does not include {below}/"
    if RANK[target] >= RANK[source]:
        return f"{source} is not above {target}"
    return None


def crowded(root):
    """Folders of the product with more modules, by their headers, than a reader can survey."""
    counts = collections.Counter(source.path.rpartition("/")[0] for source in source_tree.sources(root, ("vmm",))
                                 if source.path.endswith(".h"))
    for folder, count in sorted(counts.items()):
        if count > MODULES_MAX:
            yield folder, 1, f"has {count} modules, the limit is {MODULES_MAX}: make a folder of some"


def check(root):
    yield from crowded(root)
    for source in source_tree.sources(root, source_tree.PRODUCT):
        if directory_of(source.path) is None:
            yield source.path, 1, "is in no layer; add its directory to LAYERS"
            continue
        for number, line in enumerate(source.lines, 1):
            match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if not match:
                continue
            quote, included = match.groups()
            if quote == '"':
                why = objection(source.path, included)
                if why:
                    yield source.path, number, f"includes {included}: {why}"
            elif included in SYSTEM and not any(inside(source.path, d) for d in SYSTEM[included]):
                yield source.path, number, f"includes <{included}>, which only {', '.join(SYSTEM[included])} may"


if __name__ == "__main__":
    source_tree.run("include_direction.py", check)
