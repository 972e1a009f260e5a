# SPDX-License-Identifier: Apache-2.0
"""A host with a network of its own, made by a script for one boot: how tests of networks begin.

    files={"/work/host.sh": own_network.script(SETS_UP)}
    own_network.require(host)
    host.run(own_network.command(host, "/work/host.sh", ["some", "words", "mayfly", "boot", ...]))

SETS_UP is shell; "$@" is the words, in namespaces of mounts and networks that end with it. passt changes its
root, which cannot be the first of all file systems, as it is in the lab: there it gets another."""
import os

from harness import skip_program

BEGIN = """#!/bin/sh
set -e
if [ "$1" = outside ]; then
    if [ "$2" = lab ]; then
        mkdir -p /tmp/root; mount -t tmpfs root /tmp/root
        for name in /*; do
            to=/tmp/root$name
            if [ -L $name ]; then cp -d $name $to
            elif [ $name = /tmp ] || [ ! -d $name ]; then continue
            else mkdir $to; mount --rbind $name $to
            fi
        done
        mkdir -m 1777 /tmp/root/tmp
        cd /tmp/root; mount --move . /
        exec chroot . sh "$3" inside "$@"
    fi
    exec sh "$3" inside "$@"
fi
shift 4
"""


def script(sets_up):
    return (BEGIN + sets_up).encode()


def require(host):
    if not host.is_lab and os.geteuid() != 0:
        skip_program("namespaces need root")


def command(host, path, words):
    own = ["busybox", "unshare", "-m", "-n", "sh"]
    return [*own, host.path(path), "outside", "lab" if host.is_lab else "native", host.path(path), *words]
