# SPDX-License-Identifier: Apache-2.0
"""The network of --exec's program: addresses by DHCP and given ones, the names that follow, and who is out of
reach. Each network of the host is in a namespace of its own, made for one boot."""
import shutil
import sys

import own_network
from harness import FAILED, OK, case, check, check_match, check_status, linux_host, main, skip_program
from device_guest import Parts, once
from guests import image

BOOT_SECONDS = 300
PORT = 8000
# Of the host with --net user: its uplink, whose gateway is absent, and an address beyond it.
UPLINK, GATEWAY, WORLD = "192.0.2.10", "192.0.2.1", "198.51.100.1"
UPLINK6, GATEWAY6, WORLD6 = "2001:db8:1::10", "2001:db8:1::1", "2001:db8:2::1"
RESOLVER = "198.51.100.53"
# Of the host with taps: its ends of them.
FIRST, SECOND, FIRST6 = "192.0.2.1", "203.0.113.1", "2001:db8:3::1"
LEASE = "203.0.113.50"
BYTES = 2_000_000

HOSTS = "127.0.0.1\tlocalhost\n10.9.8.7\tdatabase"  # without a newline at its end
LEFT = """
echo "== resolv"; cat /etc/resolv.conf; test -L /etc/resolv.conf && echo "a link"; cat /etc/other
echo "== hosts"; cat /etc/hosts; echo
echo "== routes"; ip route; ip -6 route show default
echo "== addresses"; ip -o addr
"""
FETCH = "fetch() { timeout 30 wget -q -O - \"$1\" || echo unreachable; }\n"

USER = f"""{FETCH}
echo "== world"; fetch http://{WORLD}:{PORT}/world
echo "== loopback"; timeout 8 wget -q -O - http://{GATEWAY}:{PORT}/secret 2>&1 || echo unreachable
echo "== much"; fetch http://{WORLD}:{PORT}/much | md5sum
n=0; until ip -6 route show default | grep -q . || [ $n -ge 50 ]; do sleep 0.1; n=$((n+1)); done
echo "== world6"; fetch http://[{WORLD6}]:{PORT}/world
echo "== mtu"; cat /sys/class/net/eth0/mtu
{LEFT}"""

TAPS = f"""{FETCH}
echo "== first"; fetch http://{FIRST}:{PORT}/world
echo "== second"; fetch http://{SECOND}:{PORT}/world
echo "== first6"; fetch http://[{FIRST6}]:{PORT}/world
{LEFT}"""

HOST = f"""
directory=$1 work=$2 kind=$3; shift 3
mkdir -p $work/world $work/secret
echo "from the world" >$work/world/world; echo "a secret" >$work/secret/secret
yes | head -c {BYTES} >$work/world/much
ip link set lo up
tap() {{ busybox tunctl -t $1 >/dev/null; ip link set $1 up; }}
serve() {{ busybox httpd -f -p $1 -h $2 & served="$served $!"; }}
if [ $kind = user ]; then
    echo "nameserver $1" >$work/resolv.conf; shift
    [ -e /etc/resolv.conf ] || : >/etc/resolv.conf
    mount --bind $work/resolv.conf /etc/resolv.conf
    modprobe veth 2>/dev/null || :
    ip link add name up0 type veth
    for name in up0 veth0; do
        echo 0 >/proc/sys/net/ipv6/conf/$name/accept_dad; ip link set $name up
    done
    ip addr add {UPLINK}/24 dev up0; ip addr add {WORLD}/32 dev lo
    ip addr add {UPLINK6}/64 dev up0; ip addr add {WORLD6}/128 dev lo
    ip route add default via {GATEWAY}; ip -6 route add default via {GATEWAY6} dev up0
    serve {WORLD}:{PORT} $work/world; serve [{WORLD6}]:{PORT} $work/world; serve 127.0.0.1:{PORT} $work/secret
else
    tap first; ip addr add {FIRST}/24 dev first
    echo 0 >/proc/sys/net/ipv6/conf/first/accept_dad; ip addr add {FIRST6}/64 dev first
    tap second; ip addr add {SECOND}/24 dev second
    if [ $kind = dhcp ]; then
        printf '%s\\n' "start {LEASE}" "end {LEASE}" "interface second" "lease_file $work/leases" \\
            "pidfile $work/pid" "option subnet 255.255.255.0" "option router {SECOND}" \\
            "option dns {RESOLVER} {SECOND}" >$work/udhcpd.conf
        : >$work/leases
        busybox udhcpd -f $work/udhcpd.conf >/dev/null 2>&1 & served=$!
    fi
    serve {PORT} $work/world
fi
exec 3<&0
cd $directory; status=0
"$@" <&3 || status=$?
kill $served
exit $status
"""

if shutil.which("passt") is None:
    skip_program("passt is not installed")
busybox = image.find_busybox()
host = linux_host(
    kernels=["6.1/bzImage", "6.1/modules", "6.12/vmlinux", "6.12/modules"],
    files={
        "/work/root/bin/busybox": busybox,
        "/work/root/etc/hosts": HOSTS.encode(),
        "/work/root/etc/other": b"nameserver 192.0.2.99\n",
        "/work/busybox": busybox,
        "/work/host.sh": own_network.script(HOST),
    },
    tools=["passt", "passt.avx2"],
)
own_network.require(host)
LINKS = "for name in $(./busybox --list); do [ $name = busybox ] || ln -s busybox root/bin/$name; done"
check_status(host.run(f"chmod 755 busybox root/bin/busybox; {LINKS}; ln -s other root/etc/resolv.conf"), OK)
KERNELS = {"6.1": host.path("/kernels/6.1/bzImage"), "6.12": host.path("/kernels/6.12/vmlinux")}


def boot(name, network, version, script, *options, has_root=True, has_modules=True):
    """The outcome of a boot whose host has that network: words of host.sh."""
    words = ["boot", KERNELS[version], *options]
    if has_modules:
        words += ["--modules", host.path(f"/kernels/{version}/modules")]
    if has_root:
        words += ["--root", host.path("/work/root"), "--exec", "sh", "--", "-c", script]
    else:
        words += ["--exec", host.path("/work/busybox"), "--", *script.split()]
    words = [host.path("/work"), host.path(f"/work/{name}"), *network.split(), "mayfly", *words]
    return host.run(own_network.command(host, "/work/host.sh", words), timeout=BOOT_SECONDS)


def parts_of(outcome):
    check_status(outcome, OK)
    return Parts(outcome)


def check_names(parts, servers, addresses):
    expected = "".join(f"nameserver {server}\n" for server in servers)
    expected += "nameserver 192.0.2.99\n"
    check(parts["resolv"] == expected, "resolv.conf, or what it led to", parts.outcome)
    names = "".join(f"{address}\tguest\n" for address in addresses)
    check(parts["hosts"] == f"{HOSTS}\n{names}\n", "hosts", parts.outcome)


def check_default(parts, *routes):
    found = [line for line in parts["routes"].splitlines() if line.startswith("default ")]
    check(len(found) == len(routes), "default routes", parts.outcome)
    for route, line in zip(routes, found):
        check(line.startswith(f"default via {route} "), f"not through {route}", parts.outcome)


@once
def much():
    outcome = host.run(f"yes | head -c {BYTES} | md5sum")
    return outcome.out.decode()


@case
def user_asks_passt_and_reaches_the_world_and_not_the_hosts_loopback():
    # The host's resolver is on its loopback: passt is the guest's.
    outcome = boot("plain", "user 127.0.0.53", "6.12", USER, "--net", "user", "--hostname", "guest")
    parts = parts_of(outcome)
    check("mayfly:" not in outcome.err, "mayfly has something to say", outcome)
    check(parts["world"] == "from the world\n", "the world", outcome)
    check("unreachable\n" in parts["loopback"], "the host's loopback", outcome)
    check(parts["much"] == much(), "what is long", outcome)
    check(parts["world6"] == "from the world\n", "the world by IPv6", outcome)
    check_names(parts, ["169.254.1.1"], [UPLINK])
    check(f"{UPLINK}/24" in parts["addresses"], "the address", outcome)


@case
def user_with_host_loopback_reaches_it_at_the_gateway():
    options = ["--net", "user,host-loopback,mtu=1400", "--hostname", "guest"]
    outcome = boot("loopback", f"user {RESOLVER}", "6.1", USER, *options)
    parts = parts_of(outcome)
    check("mayfly:" not in outcome.err, "mayfly has something to say", outcome)
    check(parts["world"] == "from the world\n", "the world", outcome)
    check(parts["loopback"] == "a secret\n", "the host's loopback", outcome)
    check(parts["much"] == much(), "what is long", outcome)
    check(parts["mtu"] == "1400\n", "the MTU", outcome)
    check_names(parts, [RESOLVER], [UPLINK])


@case
def given_addresses_are_each_on_its_own_interface():
    outcome = boot(
        "given", "taps", "6.1", TAPS, "--hostname", "guest",
        "--net", "tap=second,ip=203.0.113.2/24,dns=2001:db8:3::53",
        "--net", "tap=first,ip=192.0.2.2/24,gw=192.0.2.1,ip=2001:db8:3::2/64,gw=fe80::9,dns=192.0.2.53",
    )  # fmt: skip
    parts = parts_of(outcome)
    check("mayfly:" not in outcome.err, "mayfly has something to say", outcome)
    for name in ("first", "second", "first6"):
        check(parts[name] == "from the world\n", name, outcome)
    check_names(parts, ["2001:db8:3::53", "192.0.2.53"], ["203.0.113.2", "192.0.2.2", "2001:db8:3::2"])
    check_default(parts, "192.0.2.1", "fe80::9")


@case
def a_tap_asks_where_that_is_wanted_and_its_router_is_for_want_of_another():
    outcome = boot(
        "dhcp", "dhcp", "6.12", TAPS, "--hostname", "guest",
        "--net", "tap=first,ip=192.0.2.2/24", "--net", "tap=second,ip=dhcp",
    )  # fmt: skip
    parts = parts_of(outcome)
    check("mayfly:" not in outcome.err, "mayfly has something to say", outcome)
    for name in ("first", "second"):
        check(parts[name] == "from the world\n", name, outcome)
    check_names(parts, [RESOLVER, SECOND], ["192.0.2.2", LEASE])
    check_default(parts, SECOND)


@case
def without_a_dhcp_server_the_program_runs_with_the_roots_names():
    outcome = boot("silent", "taps", "6.12", LEFT, "--net", "tap=first", "--net", "tap=second,ip=dhcp")
    parts = parts_of(outcome)
    line = "mayfly: init: no DHCP server has answered on eth1: it has no IPv4 address\n"
    check(outcome.err == line, "stderr", outcome)
    check("a link\n" in parts["resolv"] and parts["hosts"] == HOSTS + "\n", "names", outcome)
    check("eth0" in parts["addresses"] and "inet 2" not in parts["addresses"], "addresses", outcome)


@case
def a_missing_interface_ends_the_guest_where_it_was_given_an_address():
    options = ["--net", "tap=first,mac=02:00:00:00:ab:01,ip=192.0.2.2/24"]
    outcome = boot("missing", "taps", "6.12", "true", *options, has_root=False, has_modules=False)
    check_status(outcome, FAILED)
    check_match(outcome, r"no interface has the address 02:00:00:00:ab:01: does the kernel have the driver virtio_net")
    check_match(outcome, r"could not configure the guest's network")


@case
def without_a_root_there_are_names_as_well():
    outcome = boot(
        "bare", "taps", "6.12", "cat /etc/resolv.conf /etc/hosts",
        "--net", "tap=first,ip=192.0.2.2/24,dns=192.0.2.1", has_root=False,
    )  # fmt: skip
    check_status(outcome, OK)
    loopback = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
    check(
        outcome.out.decode() == f"nameserver 192.0.2.1\n{loopback}192.0.2.2\tmayfly\n", "the names", outcome
    )


if __name__ == "__main__":
    sys.exit(main())
