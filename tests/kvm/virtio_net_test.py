# SPDX-License-Identifier: Apache-2.0
"""A network on a tap: frames go both ways on every machine, transport and kind of ring; taps come and go."""
from harness import boot, case, check, check_one_line, check_silent, guest_file
from network_harness import MAC, ON_EVERY_MACHINE, Echo, Flood, Running, Tap, check_guest, counters
from network_harness import frame_socket, frame_to, interrupts_of, ip, is_there, main, options_of, virtio

ECHOED = (b"ok net echo", b"ok net bursts", b"ok net reset with frames in flight", b"ok net sound at the end")
STARVED_FRAMES = 8000


def echoes(tap, words, options, *lines):
    with Echo(tap) as echo:
        outcome = boot(*virtio(f"device=net {words}", *options))
    check_guest(outcome, *ECHOED, *lines)
    check_silent(outcome)
    return outcome, echo


@case
def frames_are_echoed_on_every_machine_and_ring():
    for profile, transport in ON_EVERY_MACHINE:
        # The legacy interface knows no packed ring.
        rings = ("split",) if transport == "legacy" else ("split", "packed")
        for ring in rings:
            for event_idx in (0, 1):
                with Tap("t0", "vnet_hdr"):
                    echoes(
                        "t0",
                        f"transport={transport} ring={ring} event_idx={event_idx}",
                        options_of("t0", profile, transport),
                        b"net 32 KiB, segmentation offloaded",
                    )


@case
def frames_are_echoed_with_interrupts():
    for profile, transport in ON_EVERY_MACHINE:
        with Tap("t0"):
            echoes(
                "t0",
                f"transport={transport} frames=64 irq={interrupts_of(profile, transport)}",
                options_of("t0", profile, transport),
                b"ok net receive interrupt",
                b"ok net send interrupt",
            )


@case
def large_frames_pass_whole_with_and_without_merged_buffers():
    for words in ("mrg=1", "mrg=0", "mrg=0 ring=packed", "mrg=1 ring=packed indirect=0"):
        with Tap("t0"):
            _, echo = echoes(
                "t0", f"{words} frames=32", options_of("t0"), b"ok net 32 KiB, segmentation offloaded"
            )
        check(echo.bytes_max == 32 << 10, f"the largest frame has {echo.bytes_max} bytes")


@case
def without_offloads_frames_are_small():
    for words in ("offload=0", "offload=0 mrg=0", "offload=0 mrg=0 indirect=0 event_idx=0"):
        with Tap("t0"):
            outcome, echo = echoes("t0", f"{words} frames=64", options_of("t0"))
        check(b"32 KiB" not in outcome.out, "segments were offloaded", outcome)
        check(echo.bytes_max == 1514, f"the largest frame has {echo.bytes_max} bytes")


@case
def the_guest_has_the_given_address():
    with Tap("t0"):
        outcome, echo = echoes("t0", "frames=16", options_of("t0", "modern", "pci", f"mac={MAC}"))
    check(b"net mac 0x52:0x54:0x0:0x12:0x34:0x56 " in outcome.out, "another address", outcome)
    check(echo.senders == {MAC}, f"frames came from {echo.senders}")


@case
def two_machines_make_up_different_addresses_of_their_own():
    seen = set()
    for _ in range(2):
        with Tap("t0"):
            _, echo = echoes("t0", "frames=16", options_of("t0"))
        (mac,) = echo.senders
        check(int(mac[:2], 16) & 3 == 2, f"{mac} is not a locally administered address")
        seen.add(mac)
    check(len(seen) == 2, f"twice {seen}")


@case
def the_guest_is_told_the_mtu_and_the_link():
    for profile, transport in ON_EVERY_MACHINE:
        with Tap("t0"):
            options = options_of("t0", profile, transport, "mtu=1600")
            echoes("t0", f"transport={transport} frames=16", options, b"net link 1 mtu 1600\n")
    with Tap("t0"):
        outcome, _ = echoes("t0", "frames=16", options_of("t0"), b"net link 1\n")
    check(b"mtu" not in outcome.out, "an MTU that was not given", outcome)


@case
def a_missing_tap_is_made_and_removed_with_mayfly():
    check(not is_there("t7"), "t7 is there before")
    with Echo("t7"):  # waits for it
        outcome = boot(*virtio("device=net frames=16", *options_of("t7")))
    check_guest(outcome, *ECHOED)
    check(not is_there("t7"), "t7 is there afterwards")


@case
def an_existing_tap_stays():
    for kinds in ((), ("vnet_hdr",), ("multi_queue",), ("multi_queue", "vnet_hdr")):
        with Tap("t0", *kinds):
            echoes("t0", "frames=16", options_of("t0"))
            check(is_there("t0"), f"{kinds}: it went with mayfly")
            echoes("t0", "frames=16", options_of("t0"))  # and can be joined again


@case
def a_tap_without_name_gets_one():
    with Running(*virtio("device=net net=link", "--net", "tap=")) as running:
        running.expect(b"net ready")
        check(is_there("tap0"), "tap0 does not exist")
        ip("link", "del", "tap0")
        check_guest(running.ends(), b"ok net link down")


@case
def a_tap_that_is_down_is_warned_about():
    with Tap("t0") as tap:
        ip("link", "set", tap.name, "down")
        outcome = boot(guest_file("hello"), "--net", "tap=t0")
        check_one_line(outcome, "tap 't0' is down", "ip link set t0 up")
        check(outcome.status == 0, "it did not start", outcome)


@case
def every_queue_pair_carries_frames():
    for profile, transport, pairs in (("modern", "pci", 4), ("legacy", "pci", 2), ("legacy", "mmio", 4)):
        for ring in ("split", "packed"):
            with Tap("t0", "multi_queue"), Flows("t0"):
                options = options_of("t0", profile, transport, f"queues={pairs}")
                outcome = boot(
                    *virtio(f"device=net net=pairs transport={transport} ring={ring}", *options)
                )
                check_guest(outcome, b"net pairs %d\n" % pairs, b"ok net flows", b"ok net queues with flows")


class Flows(Echo):
    """Sends 64 UDP flows at the frame that asks for them."""

    def take(self, packets, header, frame):
        if frame[14:18] == (777).to_bytes(4, "little"):
            with frame_socket(self.name) as out:
                for port in range(64):
                    out.send(bytes(10) + udp(5000 + port))
        super().take(packets, header, frame)


def udp(port):
    """To port 9 at the guest's address, from an absent host."""
    ip_header = bytes([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 9, 10, 77, 0, 2])
    payload = port.to_bytes(2, "big") + (9).to_bytes(2, "big") + (26).to_bytes(2, "big") + bytes(20)
    return frame_to("ff:ff:ff:ff:ff:ff", 0x0800, ip_header + payload)


@case
def a_driver_of_one_pair_is_content_with_a_tap_of_many():
    with Tap("t0", "multi_queue"):
        echoes("t0", "frames=64", options_of("t0", "modern", "pci", "queues=4"))


@case
def two_machines_on_two_taps():
    with Tap("t0"), Tap("t1"), Echo("t0") as first, Echo("t1") as second:
        macs = ("52:54:00:00:00:01", "52:54:00:00:00:02")
        machines = [
            Running(*virtio("device=net frames=128", *options_of(tap, "modern", "pci", f"mac={mac}")))
            for tap, mac in zip(("t0", "t1"), macs)
        ]
        for machine in machines:
            with machine:
                check_guest(machine.ends(), *ECHOED)
    check((first.senders, second.senders) == ({macs[0]}, {macs[1]}), f"{first.senders} {second.senders}")


@case
def two_networks_of_one_machine():
    with Tap("t0"), Tap("t1"), Echo("t0") as first, Echo("t1") as second:
        outcome = boot(*virtio("device=all frames=64", "--net", "tap=t0", "--net", "tap=t1"))
    check_guest(outcome, *ECHOED, b"virtio devices 2")
    check(first.frames >= 64 and second.frames >= 64, f"{first.frames} and {second.frames} frames")


@case
def a_slow_reader_costs_neither_memory_nor_the_guests_time():
    for words in ("ring=split", "ring=packed"):
        with Tap("t0") as tap:
            ip("link", "set", tap.name, "txqueuelen", "50")
            arguments = virtio(f"device=net net=starve frames={STARVED_FRAMES} {words}", *options_of("t0"))
            with Flood("t0") as flood, Running(*arguments) as running:
                running.expect(b"net starved")
                before, sent_before, largest = running.rss_kib(), flood.sent, 0
                while running.process.poll() is None:
                    largest = max(largest, running.rss_kib())
                flooded = flood.sent - sent_before
                outcome = running.ends()
            from_guest, dropped = counters("t0")
        check_guest(outcome, b"ok net sends while starved", b"ok net starved to the end")
        check_guest(outcome, b"ok net receives again")
        check_silent(outcome)
        # Each frame has 1.5 KB: a queue without end would show.
        check(largest - before < 1024, f"grew from {before} KiB to {largest} KiB by {flooded} frames")
        check(dropped > 0, f"nothing was dropped of {flooded} frames")
        check(from_guest == STARVED_FRAMES, f"{from_guest} frames of the guest came out")


@case
def a_tap_that_is_removed_takes_the_link_down_and_no_more():
    for words, profile, transport in (
        ("irq=msix", "modern", "pci"),
        ("send=1", "modern", "pci"),
        ("irq=intx transport=legacy", "legacy", "legacy"),
        ("irq=edge transport=mmio ring=packed", "legacy", "mmio"),
    ):
        with Tap("t0") as tap:
            arguments = virtio(f"device=net net=link {words}", *options_of("t0", profile, transport))
            with Running(*arguments) as running:
                running.expect(b"net ready")
                ip("link", "del", tap.name)
                outcome = running.ends()
        check_guest(outcome, b"ok net link up", b"ok net link down", b"ok net sends without link")
        check_guest(outcome, b"ok net link stays down")
        check(("config interrupt" in outcome.out.decode()) == ("irq" in words), "no interrupt", outcome)
        check_one_line(outcome, "t0", "the tap was removed")


@case
def a_tap_that_is_removed_does_not_end_a_flooded_guest():
    with Tap("t0", "multi_queue") as tap, Flood("t0"):
        options = options_of("t0", "modern", "pci", "queues=2")
        with Running(*virtio("device=net net=link send=1", *options)) as running:
            running.expect(b"net ready")
            ip("link", "del", tap.name)
            outcome = running.ends()
    check_guest(outcome, b"ok net link down")
    check_one_line(outcome, "the tap was removed")


main()
