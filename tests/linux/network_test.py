# SPDX-License-Identifier: Apache-2.0
"""Linux on a tap: host and guest reach each other, and megabytes by TCP arrive as they were, both ways."""
import os
import sys

from harness import case, check, check_status, linux_host, main, skip_program
from device_guest import GUEST_SECONDS, check_guest, initramfs, once, virtio_interrupts

MEGABYTES = 4
HOST_ADDRESS, GUEST_ADDRESS = "192.0.2.1", "192.0.2.2"
PORT = 8080

# The guest serves a file of its own until the host says that it is done.
GUEST = f"""
ip link set lo up; ip addr add {GUEST_ADDRESS}/24 dev eth0; ip link set eth0 up
echo "== link"; cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu
echo "== ping"; ping -c 2 -W 20 {HOST_ADDRESS}
ping -c 1 -W 20 -s 1400 {HOST_ADDRESS}
echo "== fetched"; wget -q -O - http://{HOST_ADDRESS}:{PORT}/data | md5sum
mkdir /www; dd if=/dev/urandom of=/www/data bs=1M count={MEGABYTES} 2>/dev/null
httpd -p {PORT} -h /www
echo "== own"; md5sum </www/data
echo "== serving"
read word
echo "== interrupts"; cat /proc/interrupts
echo "== counts"; cd /sys/class/net/eth0/statistics; grep . rx_errors rx_dropped tx_errors tx_dropped
"""

BOOTS = {
    "new": ("6.12/bzImage", "modern", "pci"),
    "old": ("6.1/bzImage", "legacy", "pci"),
    "mmio": ("6.12/bzImage", "legacy", "mmio"),
}

host = linux_host(
    kernels=["6.12/bzImage", "6.1/bzImage"],
    files={f"/work/initrd-{version}": initramfs(version, {"net": GUEST}) for version in ("6.12", "6.1")},
)
if not host.is_lab and os.geteuid() != 0:
    skip_program("making a tap needs root")


@once
def served():
    """The host's served data; its sum."""
    outcome = host.run(
        f"mkdir -p www; dd if=/dev/urandom of=www/data bs=1M count={MEGABYTES} 2>/dev/null; md5sum <www/data"
    )
    check_status(outcome, 0)
    return outcome.out.split()[0].decode()


def command(text):
    outcome = host.run(text)
    check_status(outcome, 0)
    return outcome.out.decode()


@once
def exchanged(name):
    """The Parts of a guest, and what the host saw of it."""
    served()
    kernel, profile, transport = BOOTS[name]
    initrd = "/work/initrd-" + kernel.partition("/")[0]
    tap = f"mayfly{list(BOOTS).index(name)}"
    process = host.mayfly_popen(
        "boot", host.path(f"/kernels/{kernel}"), "--initrd", host.path(initrd),
        "--profile", profile, "--transport", transport, "--net", f"tap={tap},mac=52:54:00:12:34:56",
        "--timeout", str(GUEST_SECONDS + 10), "--append", "quiet guest_script=net",
    )  # fmt: skip
    # mayfly has made the tap by the time that a guest runs; it goes with mayfly.
    command(
        f"n=0; until ip link show {tap} >/dev/null 2>&1; do sleep 0.1; n=$((n+1)); [ $n -lt 300 ] || exit 1;"
        f" done; ip addr add {HOST_ADDRESS}/24 dev {tap} && ip link set {tap} up"
    )
    web = host.popen(["busybox", "httpd", "-f", "-p", f"{HOST_ADDRESS}:{PORT}", "-h", host.path("/work/www")])
    try:
        serving = process.wait_for_output(rb"== serving\r?\n", timeout=GUEST_SECONDS) is not None
        if serving:
            url = f"http://{GUEST_ADDRESS}:{PORT}/data"
            fetched = command(f"busybox wget -q -O - {url} | md5sum").split()[0]
            pinged = host.run(f"busybox ping -c 2 -W 20 {GUEST_ADDRESS}")
            process.write(b"done\n")
        parts = check_guest(process.wait(GUEST_SECONDS))
    finally:
        web.kill()
        web.wait(10)
    parts.fetched_by_host, parts.pinged_by_host = fetched, pinged
    return parts


def check_exchange(name):
    parts = exchanged(name)
    check(parts["link"].split() == ["52:54:00:12:34:56", "1500"], "address and MTU", parts.outcome)
    check(parts["ping"].count(", 0% packet loss") == 2, "the guest's pings", parts.outcome)
    check(b", 0% packet loss" in parts.pinged_by_host.out, "the host's pings", parts.pinged_by_host)
    check(parts["fetched"].split()[0] == served(), "what the guest fetched differs", parts.outcome)
    check(parts["own"].split()[0] == parts.fetched_by_host, "what the host fetched differs", parts.outcome)
    counts = parts["counts"].split()
    check(len(counts) == 4 and all(line.endswith(":0") for line in counts), "errors or losses", parts.outcome)
    return parts


def check_vectors(parts):
    found = virtio_interrupts(parts["interrupts"])
    for name, (_, kind) in found.items():
        check(kind.startswith("PCI-MSI"), f"{name} is on {kind}", parts.outcome)
    for queue in ("-input.0", "-output.0"):
        counts = [count for name, (count, _) in found.items() if name.endswith(queue)]
        check(counts and counts[0] > 0, f"no vector that fired for {queue}", parts.outcome)


@case
def linux_6_12_in_the_modern_machine():
    check_vectors(check_exchange("new"))


@case
def linux_6_1_in_the_legacy_machine():
    check_vectors(check_exchange("old"))


@case
def linux_6_12_by_the_mmio_transport():
    parts = check_exchange("mmio")
    found = virtio_interrupts(parts["interrupts"])
    check(any(kind == "IO-APIC" and count > 0 for count, kind in found.values()), f"{found}", parts.outcome)


if __name__ == "__main__":
    sys.exit(main())
