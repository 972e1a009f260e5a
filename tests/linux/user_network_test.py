# SPDX-License-Identifier: Apache-2.0
"""Linux on --net user: a lease by DHCP, the world out there, the host's loopback out of reach, a port of the
host's that leads in, and all of it again after passt was killed."""
import shutil
import sys

import own_network
from harness import case, check, check_status, kernel, linux_host, main, skip_program
from device_guest import GUEST_SECONDS, INIT, MODULES, check_guest, once
from guests import busybox_initramfs

VERSION = "6.12"
HOST_ADDRESS, GATEWAY, WORLD = "192.0.2.10", "192.0.2.1", "198.51.100.1"
PORT = 8000

LEASE = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface; ip route add default via $router
echo "== lease"; echo "$ip $router"
"""

# The host says when passt has been replaced.
GUEST = f"""
ip link set lo up; ip link set eth0 up
fetch() {{ timeout 20 wget -q -O - "$1" || echo unreachable; }}
echo "== mtu"; cat /sys/class/net/eth0/mtu
udhcpc -i eth0 -f -q -n -t 20 -s /tests/lease
echo "== world"; fetch http://{WORLD}:{PORT}/world
echo "== loopback"; fetch http://{GATEWAY}:{PORT}/secret
mkdir /www; echo "from the guest" >/www/data; httpd -p 80 -h /www
echo "== before"; cat /sys/class/net/eth0/carrier_changes
echo "== serving"
read word
echo "== after"; cat /sys/class/net/eth0/carrier_changes /sys/class/net/eth0/carrier
echo "== again"; fetch http://{WORLD}:{PORT}/world
"""

# An uplink whose gateway is absent, the world on an address of its own, a secret on the loopback.
HOST = f"""
directory=$1 work=$2; shift 2
mkdir -p $work/world $work/secret; echo "from the world" >$work/world/world; echo "a secret" >$work/secret/secret
busybox tunctl -t up0 >/dev/null
ip link set lo up; ip link set up0 up; ip addr add {HOST_ADDRESS}/24 dev up0; ip addr add {WORLD}/32 dev lo
ip route add default via {GATEWAY}
busybox httpd -f -p {WORLD}:{PORT} -h $work/world & world=$!
busybox httpd -f -p 127.0.0.1:{PORT} -h $work/secret & secret=$!
exec 3<&0
cd $directory; "$@" <&3 & mayfly=$!
echo $mayfly >$work/mayfly.pid
status=0; wait $mayfly || status=$?
kill $world $secret
exit $status
"""

if shutil.which("passt") is None:
    skip_program("passt is not installed")
files = {"tests/net": GUEST, "tests/lease": LEASE}
host = linux_host(
    kernels=[f"{VERSION}/bzImage"],
    files={
        "/work/initrd": busybox_initramfs(
            INIT, files, kernel=kernel(VERSION), modules=(*MODULES, "af_packet")
        ),
        "/work/host.sh": own_network.script(HOST),
    },
    tools=["passt", "passt.avx2"],
)
own_network.require(host)


def command(text):
    outcome = host.run(text)
    check_status(outcome, 0)
    return outcome.out.decode()


def in_network(work, text):
    return command(f"busybox nsenter --net=/proc/$(cat {work}/mayfly.pid)/ns/net {text}")


def passt_of(work):
    """Its process number, once it serves."""
    of_mayfly = f"grep -ls \"^PPid:[[:space:]]*$(cat {work}/mayfly.pid)$\" /proc/[0-9]*/status | cut -d/ -f3"
    return command(
        f"n=0; until pid=$({of_mayfly}) && [ \"$pid\" ]; do sleep 0.1; n=$((n+1)); [ $n -lt 300 ] || exit 1;"
        " done; echo $pid"
    ).strip()


@once
def run(name, options):
    """(the guest's Parts, what the host fetched from it before and after a new passt)."""
    work = host.path(f"/work/{name}")
    command(f"mkdir -p {work}")
    words = ["boot", host.path(f"/kernels/{VERSION}/bzImage"), "--initrd", host.path("/work/initrd")]
    words += ["--net", f"user,hostfwd=tcp:127.0.0.1:8080-:80{options}", "--timeout", str(GUEST_SECONDS + 10)]
    words += ["--append", "quiet guest_script=net"]
    process = host.popen(
        own_network.command(host, "/work/host.sh", [host.path("/work"), work, "mayfly", *words])
    )
    fetch = "busybox timeout 20 busybox wget -q -O - http://127.0.0.1:8080/data"
    serving = process.wait_for_output(rb"== serving\r?\n", timeout=GUEST_SECONDS) is not None
    fetched = []
    if serving:
        fetched.append(in_network(work, fetch))
        first = passt_of(work)
        command(f"kill -9 {first}")
        command(f"n=0; while [ -d /proc/{first} ]; do sleep 0.1; n=$((n+1)); [ $n -lt 300 ] || exit 1; done")
        check(passt_of(work) != first, "the dead one is still there")
        command("sleep 2")  # it comes up, and the guest's link with it
        fetched.append(in_network(work, fetch))
        process.write(b"done\n")
    parts = check_guest(process.wait(GUEST_SECONDS))
    return parts, fetched


def check_run(parts, fetched):
    check(parts["lease"].split() == [HOST_ADDRESS, GATEWAY], "the lease", parts.outcome)
    check(parts["world"] == "from the world\n", "the world", parts.outcome)
    check(fetched == ["from the guest\n"] * 2, f"what the host fetched: {fetched}", parts.outcome)
    before, (after, carrier) = int(parts["before"]), map(int, parts["after"].split())
    check(after == before + 2 and carrier == 1, "the link did not go down and up", parts.outcome)
    check(parts["again"] == "from the world\n", "the world, after a new passt", parts.outcome)
    told = parts.outcome.err
    check("passt was ended by signal 9; the guest's link is down, until" in told, "the line", parts.outcome)


@case
def the_hosts_loopback_is_out_of_reach():
    parts, fetched = run("plain", ",mtu=1400")
    check_run(parts, fetched)
    check(parts["mtu"].startswith("1400\n"), "the MTU", parts.outcome)
    check(parts["loopback"].endswith("unreachable\n"), "the host's loopback", parts.outcome)


@case
def the_gateway_is_the_hosts_loopback_on_request():
    parts, fetched = run("loopback", ",host-loopback")
    check_run(parts, fetched)
    check(parts["loopback"] == "a secret\n", "the host's loopback", parts.outcome)


if __name__ == "__main__":
    sys.exit(main())
