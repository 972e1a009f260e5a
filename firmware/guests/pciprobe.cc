// SPDX-License-Identifier: Apache-2.0
// pciprobe: finds every PCI function as an operating system does, reports what it found, and tries BARs and
// MSI-X of the virtio devices among them.
//
// With `readonly=1` it only looks: configuration space, virtio common and device configuration (select
// registers are written), no BAR sized or moved, no MSI-X table touched, no interrupt. `quiet=1` says only
// the verdicts. `cf8`, `ecam=ADDRESS`, `pci_window=ADDRESS`: see runtime/pci.h.
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/io_memory.h"
#include "firmware/guests/runtime/user.h"
#include "firmware/guests/runtime/virtio_block.h"
#include "firmware/guests/runtime/virtio_options.h"
#include "firmware/guests/runtime/virtqueue.h"

namespace guest {
namespace {

using virtio::Kind;
using virtio::Transport;

constexpr u32 kQuietMicroseconds = 2'000;
constexpr u32 kConfigShown = 64;

constinit bool is_quiet = false;
constinit virtio::Block block;
constinit virtio::Virtqueue entropy_queue;
constinit u64 entropy_buffer = 0;

Line& add_place(Line& line, pci::Function function) {
    return line.add("pci ").add_decimal(function >> 3).add(".").add_decimal(function & 7);
}

void show_capabilities(pci::Function function) {
    for (u8 at = 0; (at = pci::find_capability(function, 0, at)) != 0;) {
        Line line;
        add_place(line, function).add(" cap ").add_hex(at).add(" id ").add_hex(pci::read8(function, at));
        if (pci::read8(function, at) == pci::kCapabilityVendor) {
            line.add(" virtio ").add_decimal(pci::read8(function, static_cast<u16>(at + 3)));
            line.add(" bar ").add_decimal(pci::read8(function, static_cast<u16>(at + 4)));
            line.add(" offset ").add_hex(pci::read32(function, static_cast<u16>(at + 8)));
            line.add(" length ").add_hex(pci::read32(function, static_cast<u16>(at + 12)));
        }
        if (pci::read8(function, at) == pci::kCapabilityMsix) {
            const u32 control = pci::read16(function, static_cast<u16>(at + 2));
            line.add(" msix ").add_decimal((control & 0x7ff) + 1);
            line.add(" table ").add_hex(pci::read32(function, static_cast<u16>(at + 4)));
            line.add(" pending ").add_hex(pci::read32(function, static_cast<u16>(at + 8)));
        }
        if (!is_quiet) line.print_line();
    }
}

void show_function(pci::Function function) {
    const u32 ids = pci::read32(function, pci::kVendor);
    const u32 kind = pci::read32(function, pci::kRevisionAndClass);
    const u32 subsystem = pci::read32(function, pci::kSubsystemVendor);
    const u32 pin = pci::read16(function, pci::kInterruptLine);
    Line line;
    add_place(line, function).add(" vendor ").add_hex(ids & 0xffff).add(" device ").add_hex(ids >> 16);
    line.add(" class ").add_hex(kind >> 8).add(" revision ").add_decimal(kind & 0xff);
    line.add(" subsystem ").add_hex(subsystem & 0xffff).add(":").add_hex(subsystem >> 16);
    line.add(" line ").add_decimal(pin & 0xff).add(" pin ").add_decimal(pin >> 8);
    if (!is_quiet) line.print_line();
    show_capabilities(function);
}

/// As a driver probes it: features, queues, and the whole device configuration.
void show_virtio(const Transport& transport) {
    Line line;
    add_place(line, transport.function()).add(" virtio device ").add_decimal(transport.device_id());
    line.add(" features ").add_hex(transport.device_features());
    line.add(" status ").add_decimal(transport.status());
    line.add(" generation ").add_decimal(transport.config_generation());
    if (!is_quiet) line.print_line();
    Line queues;
    add_place(queues, transport.function()).add(" queues");
    for (u16 n = 0; n < 16; ++n) {
        const u16 size = transport.queue_size_max(n);
        if (size == 0) break;
        queues.add(" ").add_decimal(size).add("@").add_hex(transport.doorbell(n).address -
                                                           transport.notify());
    }
    if (!is_quiet) queues.print_line();
    for (u32 first = 0; first < transport.config_bytes() && first < kConfigShown; first += 32) {
        Line config;
        add_place(config, transport.function()).add(" config ").add_decimal(first).add(":");
        for (u32 n = 0; n < 32 && first + n < transport.config_bytes(); n += 4)
            config.add(" ").add_hex(transport.config32(first + n));
        if (!is_quiet) config.print_line();
    }
}

// --- BARs ---

void set_decode(pci::Function function, bool is_on) {
    const u16 command = pci::read16(function, pci::kCommand);
    pci::write16(function, pci::kCommand,
                 static_cast<u16>(is_on ? command | pci::kDecodeMemory : command & ~pci::kDecodeMemory));
}

void check_sizes(pci::Function function) {
    for (u32 index = 0; index < pci::kBars; ++index) {
        const pci::Bar before = pci::read_bar(function, index);
        const pci::Bar bar = pci::size_bar(function, index);
        if (bar.size_bytes != 0) {
            Line line;
            add_place(line, function).add(" bar ").add_decimal(index);
            line.add(bar.is_port ? Text(" port ") : bar.is_64bit ? Text(" mem64 ") : Text(" mem32 "));
            line.add_hex(bar.address).add(" size ").add_hex(bar.size_bytes);
            if (!is_quiet) line.print_line();
            const bool is_power = (bar.size_bytes & (bar.size_bytes - 1)) == 0;
            const bool is_aligned = (bar.address & (bar.size_bytes - 1)) == 0;
            if (!is_power || !is_aligned) fail("bar: size or alignment");
            if (pci::read_bar(function, index).address != before.address) fail("bar: sizing moved it");
        }
        if (bar.is_64bit) ++index;
    }
}

/// The BAR that holds the common configuration.
u32 find_common_bar(const Transport& transport) {
    for (u32 index = 0; index < pci::kBars; ++index) {
        const pci::Bar bar = pci::size_bar(transport.function(), index);
        if (!bar.is_port && bar.size_bytes != 0 && transport.common() >= bar.address &&
            transport.common() < bar.address + bar.size_bytes)
            return index;
        if (bar.is_64bit) ++index;
    }
    return pci::kBars;
}

void check_move(Transport& transport) {
    const pci::Function function = transport.function();
    const u32 index = find_common_bar(transport);
    if (index == pci::kBars) return fail("bar: none has the common configuration");
    const pci::Bar bar = pci::size_bar(function, index);
    const u64 features = transport.device_features();
    const u64 old_common = transport.common();
    // Feature word 0 stays selected: this register is never 0 with a device behind it.
    const u32 here = mmio_read(old_common + 4);
    set_decode(function, false);
    expect("decode off", mmio_read(old_common + 4) != here);
    set_decode(function, true);
    expect("decode on", mmio_read(old_common + 4) == here);
    const u64 place = pci::allocate_memory(bar.size_bytes);
    pci::map_range(place, bar.size_bytes);
    set_decode(function, false);
    pci::write_bar(function, index, place);
    set_decode(function, true);
    expect("bar moved", transport.attach(Kind::Pci, function) && transport.device_features() == features);
    expect("old place is empty", mmio_read(old_common + 4) != here);
    // And back, decoding left on, as some drivers do.
    pci::write_bar(function, index, bar.address);
    expect("bar moved back",
           transport.attach(Kind::Pci, function) && transport.device_features() == features);
    expect("new place is empty", mmio_read(place + (old_common - bar.address) + 4) != here);
}

/// virtio 1.2 §4.1.4.9 "PCI configuration access capability": the same register through configuration space.
void check_window(const Transport& transport) {
    const pci::Function function = transport.function();
    for (u8 at = 0; (at = pci::find_capability(function, pci::kCapabilityVendor, at)) != 0;) {
        if (pci::read8(function, static_cast<u16>(at + 3)) != 5) continue;
        const u32 index = find_common_bar(transport);
        const u64 offset = transport.common() - pci::read_bar(function, index).address + 4;
        const u32 features = static_cast<u32>(transport.device_features());  // leaves word 0 selected
        pci::write8(function, static_cast<u16>(at + 4), static_cast<u8>(index));
        pci::write32(function, static_cast<u16>(at + 8), static_cast<u32>(offset));
        pci::write32(function, static_cast<u16>(at + 12), 4);
        return expect("configuration access window",
                      pci::read32(function, static_cast<u16>(at + 16)) == features);
    }
    fail("configuration access window: not there");
}

// --- MSI-X ---

bool start_source(const Transport& transport) {
    if (transport.device_id() == virtio::kBlock) {
        if (!block.start(transport, 0, 1, 0)) return false;
        block.queue(0).want_interrupts(true);
        return true;
    }
    u64 features = 0;
    if (!virtio::negotiate(transport, virtio::kVersion1, features)) return false;
    if (!entropy_queue.start(transport, 0, 16, features, 0)) return false;
    virtio::drive(transport);
    entropy_queue.want_interrupts(true);
    return true;
}

/// Makes one request, and polls for its completion.
bool trigger(const Transport& transport) {
    if (entropy_buffer == 0) entropy_buffer = io_memory::allocate(64, 64);
    if (transport.device_id() == virtio::kBlock)
        return block.request(virtio::BlockRequest::GetId, 0, entropy_buffer, 20) == virtio::kBlockOk;
    const virtio::Segment segment{entropy_buffer, 16, true};
    entropy_queue.add(&segment, 1, 0);
    entropy_queue.kick();
    virtio::Completion completion;
    const u64 end = read_tsc() + tsc_ticks(kArrivalMicroseconds);
    while (!entropy_queue.take(completion)) {
        if (read_tsc() > end) return false;
    }
    return true;
}

void check_held_back(const Transport& transport, const pci::Msix& msix, Text name) {
    const u32 before = virtio::interrupts_seen;
    const bool is_done = trigger(transport);
    // The completion is there before its interrupt is.
    const u64 end = read_tsc() + tsc_ticks(kArrivalMicroseconds);
    while (!msix.is_pending(0) && read_tsc() < end) pause();
    spin(kQuietMicroseconds);
    expect(name, is_done && virtio::interrupts_seen == before && msix.is_pending(0));
}

void check_msix(const Transport& transport) {
    pci::Msix msix;
    if (!msix.find(transport.function())) return fail("msix: not there");
    bool is_masked = true;
    for (u32 n = 0; n < msix.size(); ++n) is_masked = is_masked && msix.is_masked(n);
    expect("msix masked at reset", is_masked);
    msix.set(0, kMsiVector);
    msix.enable(true, false);
    if (!start_source(transport)) return;
    const volatile u32& seen = virtio::interrupts_seen;
    u32 before = seen;
    expect("msix request", trigger(transport));
    expect("msix arrives", spin_for(seen, before + 1, kArrivalMicroseconds));
    msix.mask(0, true);
    check_held_back(transport, msix, "msix masked");
    before = seen;
    msix.mask(0, false);
    expect("msix unmasked", spin_for(seen, before + 1, kArrivalMicroseconds) && !msix.is_pending(0));
    msix.enable(true, true);
    check_held_back(transport, msix, "msix function masked");
    before = seen;
    msix.enable(true, false);
    expect("msix function unmasked", spin_for(seen, before + 1, kArrivalMicroseconds) && !msix.is_pending(0));
    msix.mask(0, true);
    msix.set(0, kPinVector);
    before = virtio::config_interrupts_seen;
    expect("msix request", trigger(transport));
    expect("msix other vector", spin_for(virtio::config_interrupts_seen, before + 1, kArrivalMicroseconds));
    msix.enable(false, false);
    before = seen + virtio::config_interrupts_seen;
    expect("msix request", trigger(transport));
    spin(kQuietMicroseconds);
    expect("msix disabled", seen + virtio::config_interrupts_seen == before);
    transport.reset();
}

u32 probe() {
    const bool is_read_only = option_value("readonly", 0) != 0;
    is_quiet = option_value("quiet", 0) != 0;
    pci::set_up();
    Line line;
    if (pci::is_by_ports()) {
        line.add("pci by ports").print_line();
    } else {
        line.add("pci by ecam ").add_hex(pci::ecam_base()).print_line();
    }
    u32 functions = 0;
    u32 devices = 0;
    bool is_msix_checked = false;
    pci::Function function;
    for (u32 from = 0; pci::find_function(from, function); from = function + 1U) {
        ++functions;
        show_function(function);
        const bool is_virtio = (pci::read32(function, pci::kVendor) & 0xffff) == 0x1af4;
        if (!is_virtio) continue;
        if (!is_read_only) pci::enable(function);
        Transport transport;
        if (!transport.attach(Kind::Pci, function)) continue;
        ++devices;
        show_virtio(transport);
        if (is_read_only) continue;
        check_sizes(function);
        check_move(transport);
        check_window(transport);
        const bool is_source =
            transport.device_id() == virtio::kBlock || transport.device_id() == virtio::kEntropy;
        if (!is_source || is_msix_checked) continue;
        is_msix_checked = true;
        pci::write16(function, pci::kCommand,
                     static_cast<u16>(pci::read16(function, pci::kCommand) | pci::kNoIntx));
        check_msix(transport);
    }
    line.add("pciprobe functions ").add_decimal(functions).add(" virtio ").add_decimal(devices).print_line();
    return failure_count();
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    if (option_value("readonly", 0) == 0) virtio::prepare_interrupts(virtio::Interrupt::Msix);
    run_user(probe);
}
