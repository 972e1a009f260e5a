# SPDX-License-Identifier: Apache-2.0
"""Values that --net refuses: status 125 and one line with a remedy, before the guest runs."""
import os
import shutil
import socket
import tempfile

from harness import boot, case, check, check_one_line, check_refused, check_silent, check_status, guest_file, skip
from network_harness import Echo, Running, Tap, check_guest, ip, is_there, main, mtu_of, virtio

HELLO = "builtin:hello"


def refused(value, *parts, **options):
    check_refused(boot(HELLO, "--net", value, **options), *parts)


@case
def networks_that_nobody_knows_are_refused():
    refused("", "--net", "empty")
    for value in ("t0", "tun=t0", "passt=", "tap", "user=", ",mac=52:54:00:12:34:56"):
        refused(value, "--net", "tap=IFACE", "--net user", "passt=SOCKET")


@case
def keys_that_nobody_knows_are_refused():
    for key in ("mac", "speed=1", "ro", "queue=2", "=", "MTU=1500", ""):
        refused(f"tap=t0,{key}", "--net", "not known", "mac=MAC", "mtu=N")
    check(not is_there("t0"), "a tap was made")


@case
def addresses_that_no_device_has_are_refused():
    for mac in ("", "52:54:00:12:34", "52:54:00:12:34:5g", "52-54-00-12-34-56", "0" * 17):
        refused(f"tap=t0,mac={mac}", "--net mac=", "52:54:00:12:34:56")
    for mac in ("01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"):
        refused(f"tap=t0,mac={mac}", mac, "group address")


@case
def numbers_out_of_range_are_refused():
    for value, *parts in (
        ("mtu=67", "mtu", "67", "68"),
        ("mtu=65536", "mtu", "65536", "65535"),
        ("mtu=", "mtu"),
        ("mtu=1500x", "mtu", "1500x"),
        ("queues=0", "queues", "0", "1"),
        ("queues=9", "queues", "9", "8"),
        ("queues=-1", "queues", "-1"),
        ("pps=0", "pps", "0"),
        ("pps=1:0", "pps"),
        ("pps=1:2:3", "pps"),
        ("pps=99999999999999999999", "pps"),
        ("bw=0", "bw", "0"),
        ("bw=1Q", "bw", "1Q"),
        ("bw=:1", "bw"),
    ):
        refused(f"tap=t0,{value}", "--net", *parts)
    check(not is_there("t0"), "a tap was made")


@case
def names_that_no_interface_has_are_refused():
    refused("tap=" + "x" * 16, "--net tap=", "x" * 16, "16 characters", "15")
    for name in ("a/b", "a b", "a:b", "..", "."):
        refused(f"tap={name}", "--net tap=", f"'{name}'")
    outcome = boot(HELLO, "--net", "tap=" + "x" * 15)
    check_status(outcome, 0)
    check(not is_there("x" * 15), "the tap is still there")


@case
def interfaces_that_are_not_taps_are_refused():
    refused("tap=lo", "--net tap=lo", "not a tap")
    ip("tuntap", "add", "dev", "n0", "mode", "tun")
    try:
        refused("tap=n0", "--net tap=n0", "not a tap")
    finally:
        ip("link", "del", "n0")


@case
def a_tap_of_one_queue_cannot_have_several():
    with Tap("t0"):
        refused("tap=t0,queues=2", "--net tap=t0", "one queue", "multi_queue")
        check(is_there("t0"), "it went")


@case
def a_tap_that_is_in_use_is_refused():
    with Tap("t0"), Running(*virtio("device=net net=link", "--net", "tap=t0")) as first:
        first.expect(b"net ready")
        refused("tap=t0", "--net tap=t0", "another program")
        check(first.process.poll() is None, "the first has ended")
    with Tap("t1"):
        refused_twice = boot(HELLO, "--net", "tap=t1", "--net", "tap=t1")
        check_refused(refused_twice, "--net tap=t1", "another program")


@case
def passt_has_one_queue_pair():
    refused("passt=/nowhere,queues=2", "--net passt", "queues=")
    refused("user,queues=2", "--net user", "queues=")


@case
def ports_that_cannot_lead_into_a_guest_are_refused():
    for value, *parts in (
        ("user,hostfwd=8080:80", "neither tcp nor udp"),
        ("user,hostfwd=tcp::8080:80", "PROTOCOL:[ADDRESS]:PORT-:PORT"),
        ("user,hostfwd=tcp:localhost:8080-:80", "'localhost'", "IPv4"),
        ("user,hostfwd=tcp::65536-:80", "'65536'", "1 to 65535"),
        ("user,hostfwd=tcp::8080-:0", "'0'", "1 to 65535"),
        ("user,hostfwd=tcp::8080-10.0.2.15:80", "one address"),
    ):
        refused(value, "--net hostfwd=", *parts, "hostfwd=tcp:127.0.0.1:8080-:80")
    for value in ("tap=t0,hostfwd=tcp::1-:1", "passt=/nowhere,host-loopback"):
        refused(value, "--net", "are for user")
    check(not is_there("t0"), "a tap was made")


@case
def sockets_that_nobody_has_are_refused():
    refused("passt=/no/such/socket", "--net passt=/no/such/socket", "passt --socket")
    refused("passt=/" + "x" * 108, "--net passt=", "109", "107")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "file")
        with open(path, "wb"):
            pass
        refused(f"passt={path}", f"--net passt={path}")
        datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with datagrams:
            datagrams.bind(os.path.join(directory, "datagrams"))
            refused(f"passt={directory}/datagrams", "--net passt=")


# In a mount namespace, so that the host's devices do not change: the user nobody may use KVM, and may open
# the tun device or not, by its mode in $1.
AS_NOBODY = """
set -e
cp "$2" "$0/mayfly"
mknod -m 666 "$0/kvm" c 10 232
mknod -m "$1" "$0/tun" c 10 200
mount --bind "$0/kvm" /dev/kvm
mount --bind "$0/tun" /dev/net/tun
shift 2
exec setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all -- "$0/mayfly" "$@"
"""


def boot_as_nobody(tun_mode, *arguments):
    with tempfile.TemporaryDirectory(prefix="mayfly-rights-") as directory:
        os.chmod(directory, 0o755)
        return boot(*arguments, wrapper=("unshare", "-m", "sh", "-c", AS_NOBODY, directory, tun_mode))


@case
def without_rights_the_remedy_is_told():
    if shutil.which("setpriv") is None or shutil.which("unshare") is None:
        skip("setpriv or unshare is not installed")
    remedy = ("ip tuntap add dev t0 mode tap user", "--net user")
    check_refused(boot_as_nobody("600", HELLO, "--net", "tap=t0"), "/dev/net/tun", *remedy)
    check_refused(boot_as_nobody("666", HELLO, "--net", "tap=t0"), "--net tap=t0", *remedy)
    check_refused(boot_as_nobody("666", HELLO, "--net", "tap=t0,queues=2"), "multi_queue", *remedy)
    with Tap("t0", "user", "1"):  # another user's
        check_refused(boot_as_nobody("666", HELLO, "--net", "tap=t0"), "--net tap=t0", *remedy)


@case
def a_tap_gets_the_requested_mtu():
    with Tap("t0"):
        check_silent(boot(HELLO, "--net", "tap=t0,mtu=9000"))
        check(mtu_of("t0") == 9000, f"t0 has an MTU of {mtu_of('t0')}")
        check_silent(boot(HELLO, "--net", "tap=t0"))
        check(mtu_of("t0") == 9000, f"t0 has an MTU of {mtu_of('t0')}")
        # The kernel gives a tap no more than fits behind an Ethernet header in 64 KiB.
        outcome = boot(HELLO, "--net", "tap=t0,mtu=65535")
        check_status(outcome, 0)
        check_one_line(outcome, "tap 't0' keeps its MTU of 9000", "Invalid argument", "65535")


@case
def an_mtu_that_needs_rights_is_told_with_the_remedy():
    if shutil.which("setpriv") is None or shutil.which("unshare") is None:
        skip("setpriv or unshare is not installed")
    with Tap("t0", "user", "65534"):
        for value in ("tap=t0", "tap=t0,mtu=1500"):  # nothing to be done
            check_silent(boot_as_nobody("666", HELLO, "--net", value))
        outcome = boot_as_nobody("666", HELLO, "--net", "tap=t0,mtu=9000")
        check_status(outcome, 0)
        remedy = "ip link set dev t0 mtu 9000"
        check_one_line(outcome, "tap 't0' keeps its MTU of 1500", "not permitted", "told 9000", remedy)
        check(mtu_of("t0") == 1500, f"t0 has an MTU of {mtu_of('t0')}")


@case
def the_remedy_works():
    if shutil.which("setpriv") is None or shutil.which("unshare") is None:
        skip("setpriv or unshare is not installed")
    words = ("--append", "device=net frames=32", "--timeout", "50")
    with tempfile.TemporaryDirectory(prefix="mayfly-guest-") as directory:
        os.chmod(directory, 0o755)
        kernel = shutil.copy(guest_file("virtio"), directory)
        with Tap("t0", "user", "65534"), Echo("t0"):
            outcome = boot_as_nobody("666", kernel, *words, "--net", "tap=t0")
    check_guest(outcome, b"ok net echo", b"ok net bursts")


main()
