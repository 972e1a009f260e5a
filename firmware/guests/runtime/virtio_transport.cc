// SPDX-License-Identifier: Apache-2.0
// Register layouts of the three transports.
#include "firmware/guests/runtime/virtio_transport.h"

#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/clock.h"

namespace guest::virtio {
namespace {

constexpr u16 kPciVendor = 0x1af4;
constexpr u16 kPciTransitional = 0x1000;
constexpr u16 kPciModern = 0x1040;
constexpr u16 kPciLast = 0x107f;

// virtio 1.2 §4.1.4.3 "Common configuration structure layout"
enum Common : u16 {
    kFeatureSelect = 0,
    kDeviceFeature = 4,
    kDriverFeatureSelect = 8,
    kDriverFeature = 12,
    kConfigVector = 16,
    kStatus = 20,
    kGeneration = 21,
    kQueueSelect = 22,
    kQueueSize = 24,
    kQueueVector = 26,
    kQueueEnable = 28,
    kQueueNotifyOffset = 30,
    kQueueDescriptors = 32,
    kQueueDriver = 40,
    kQueueDevice = 48,
};

// virtio 1.2 §4.1.4.10 "Legacy Interfaces: A Note on PCI Device Layout"
enum Legacy : u16 {
    kLegacyDeviceFeature = 0,
    kLegacyDriverFeature = 4,
    kLegacyQueueAddress = 8,
    kLegacyQueueSize = 12,
    kLegacyQueueSelect = 14,
    kLegacyNotify = 16,
    kLegacyStatus = 18,
    kLegacyIsr = 19,
    kLegacyConfigVector = 20,
    kLegacyQueueVector = 22,
    kLegacyConfigWithMsix = 24,
    kLegacyConfig = 20,
};

// virtio 1.2 §4.2.2 "MMIO Device Register Layout"
enum Mmio : u16 {
    kMagic = 0x00,
    kVersion = 0x04,
    kId = 0x08,
    kMmioDeviceFeature = 0x10,
    kMmioDeviceFeatureSelect = 0x14,
    kMmioDriverFeature = 0x20,
    kMmioDriverFeatureSelect = 0x24,
    kMmioQueueSelect = 0x30,
    kMmioQueueSizeMax = 0x34,
    kMmioQueueSize = 0x38,
    kMmioQueueReady = 0x44,
    kMmioNotify = 0x50,
    kMmioInterruptStatus = 0x60,
    kMmioInterruptAck = 0x64,
    kMmioStatus = 0x70,
    kMmioDescriptors = 0x80,
    kMmioDriver = 0x90,
    kMmioDevice = 0xa0,
    kMmioGeneration = 0xfc,
    kMmioConfig = 0x100,
};
constexpr u32 kMmioMagicValue = 0x7472'6976;

// virtio 1.2 §4.1.4 "Virtio Structure PCI Capabilities"
constexpr u8 kCapCommon = 1;
constexpr u8 kCapNotify = 2;
constexpr u8 kCapIsr = 3;
constexpr u8 kCapDevice = 4;

constexpr u32 kResetMicroseconds = 10'000'000;

/// SAFETY of all: the transport found and mapped the address.
u8 get8(u64 at) { return *reinterpret_cast<const volatile u8*>(at); }
u16 get16(u64 at) { return *reinterpret_cast<const volatile u16*>(at); }
void put8(u64 at, u8 value) { *reinterpret_cast<volatile u8*>(at) = value; }
void put16(u64 at, u16 value) { *reinterpret_cast<volatile u16*>(at) = value; }
void put64(u64 at, u64 value) {
    mmio_write(at, static_cast<u32>(value));
    mmio_write(at + 4, static_cast<u32>(value >> 32));
}

u16 pci_device_id(pci::Function function) {
    if (pci::read16(function, pci::kVendor) != kPciVendor) return 0;
    const u16 id = pci::read16(function, pci::kDevice);
    if (id < kPciTransitional || id > kPciLast) return 0;
    if (id >= kPciModern) return static_cast<u16>(id - kPciModern);
    return pci::read16(function, pci::kSubsystem);
}

u16 port_of(u64 base, u16 offset) { return static_cast<u16>(base + offset); }

}  // namespace

bool Transport::find(Kind kind, u16 device_id, u32 index) {
    if (kind == Kind::Mmio) {
        Text words = "";
        for (u32 n = 0; find_option_text("virtio_mmio.device", n, words); ++n) {
            if (attach_mmio(words) && (device_id == 0 || device_id_ == device_id) && index-- == 0)
                return true;
        }
        return false;
    }
    pci::Function function;
    for (u32 from = 0; pci::find_function(from, function); from = function + 1U) {
        const u16 id = pci_device_id(function);
        if (id == 0 || (device_id != 0 && id != device_id) || index-- != 0) continue;
        pci::enable(function);
        return attach(kind, function);
    }
    return false;
}

bool Transport::attach(Kind kind, pci::Function function) {
    kind_ = kind;
    function_ = function;
    device_id_ = pci_device_id(function);
    if (device_id_ == 0) return false;
    return kind == Kind::Legacy ? attach_legacy() : attach_modern();
}

bool Transport::attach_modern() {
    base_ = isr_ = notify_ = config_ = 0;
    for (u8 at = 0; (at = pci::find_capability(function_, pci::kCapabilityVendor, at)) != 0;) {
        const u8 type = pci::read8(function_, static_cast<u16>(at + 3));
        if (type < kCapCommon || type > kCapDevice) continue;
        const u8 index = pci::read8(function_, static_cast<u16>(at + 4));
        const u32 offset = pci::read32(function_, static_cast<u16>(at + 8));
        const u32 length = pci::read32(function_, static_cast<u16>(at + 12));
        const u64 place = pci::read_bar(function_, index).address + offset;
        pci::map_range(place, length);
        if (type == kCapCommon && base_ == 0) base_ = place;
        if (type == kCapIsr && isr_ == 0) isr_ = place;
        if (type == kCapNotify && notify_ == 0) {
            notify_ = place;
            notify_multiplier_ = pci::read32(function_, static_cast<u16>(at + 16));
        }
        if (type == kCapDevice && config_ == 0) {
            config_ = place;
            config_bytes_ = length < 256 ? length : 256;
        }
    }
    return base_ != 0 && isr_ != 0 && notify_ != 0;
}

bool Transport::attach_legacy() {
    const pci::Bar bar = pci::read_bar(function_, 0);
    if (!bar.is_port || bar.address == 0) return false;
    base_ = bar.address;
    config_ = base_ + kLegacyConfig;
    config_bytes_ = 64;
    return true;
}

bool Transport::attach_mmio(Text words) {
    u64 used = 0;
    parse_number(words, used);
    while (used < words.size_bytes && words.data[used] != '@') ++used;
    if (used == words.size_bytes) return false;
    const Text behind{words.data + used + 1, words.size_bytes - used - 1};
    kind_ = Kind::Mmio;
    base_ = parse_number(behind, used);
    if (used + 1 >= behind.size_bytes) return false;
    const u64 digits = used + 1;
    line_ = static_cast<u32>(parse_number({behind.data + digits, behind.size_bytes - digits}, used));
    map_address(base_);
    if (mmio_read(base_ + kMagic) != kMmioMagicValue || mmio_read(base_ + kVersion) != 2) return false;
    device_id_ = static_cast<u16>(mmio_read(base_ + kId));
    config_ = base_ + kMmioConfig;
    config_bytes_ = 256;
    return device_id_ != 0;
}

u32 Transport::line() const {
    return kind_ == Kind::Mmio ? line_ : pci::read8(function_, pci::kInterruptLine);
}

u8 Transport::status() const {
    switch (kind_) {
        case Kind::Pci: return get8(base_ + kStatus);
        case Kind::Legacy: return in8(port_of(base_, kLegacyStatus));
        case Kind::Mmio: return static_cast<u8>(mmio_read(base_ + kMmioStatus));
    }
    return 0;
}

void Transport::set_status(u8 status) const {
    switch (kind_) {
        case Kind::Pci: return put8(base_ + kStatus, status);
        case Kind::Legacy: return out8(port_of(base_, kLegacyStatus), status);
        case Kind::Mmio: return mmio_write(base_ + kMmioStatus, status);
    }
}

bool Transport::reset() const {
    set_status(0);
    const u64 end = read_tsc() + tsc_ticks(kResetMicroseconds);
    while (status() != 0) {
        if (read_tsc() > end) return false;
    }
    return true;
}

u64 Transport::device_features() const {
    if (kind_ == Kind::Legacy) return in32(port_of(base_, kLegacyDeviceFeature));
    const u64 select = base_ + (kind_ == Kind::Pci ? u16{kFeatureSelect} : u16{kMmioDeviceFeatureSelect});
    const u64 data = base_ + (kind_ == Kind::Pci ? u16{kDeviceFeature} : u16{kMmioDeviceFeature});
    mmio_write(select, 1);
    const u64 high = mmio_read(data);
    mmio_write(select, 0);
    return high << 32 | mmio_read(data);
}

void Transport::set_driver_features(u64 features) const {
    if (kind_ == Kind::Legacy) return out32(port_of(base_, kLegacyDriverFeature), static_cast<u32>(features));
    const u64 select =
        base_ + (kind_ == Kind::Pci ? u16{kDriverFeatureSelect} : u16{kMmioDriverFeatureSelect});
    const u64 data = base_ + (kind_ == Kind::Pci ? u16{kDriverFeature} : u16{kMmioDriverFeature});
    mmio_write(select, 0);
    mmio_write(data, static_cast<u32>(features));
    mmio_write(select, 1);
    mmio_write(data, static_cast<u32>(features >> 32));
}

/// \returns the queue's largest size.
u16 Transport::select_queue(u16 queue) const {
    switch (kind_) {
        case Kind::Pci: put16(base_ + kQueueSelect, queue); return get16(base_ + kQueueSize);
        case Kind::Legacy:
            out16(port_of(base_, kLegacyQueueSelect), queue);
            return in16(port_of(base_, kLegacyQueueSize));
        case Kind::Mmio:
            mmio_write(base_ + kMmioQueueSelect, queue);
            return static_cast<u16>(mmio_read(base_ + kMmioQueueSizeMax));
    }
    return 0;
}

u16 Transport::queue_size_max(u16 queue) const { return select_queue(queue); }

bool Transport::enable_queue(u16 queue, u16 size, const QueueAddresses& at, u16 vector) const {
    select_queue(queue);
    switch (kind_) {
        case Kind::Pci:
            put16(base_ + kQueueSize, size);
            put16(base_ + kQueueVector, vector);
            put64(base_ + kQueueDescriptors, at.descriptors);
            put64(base_ + kQueueDriver, at.driver_area);
            put64(base_ + kQueueDevice, at.device_area);
            put16(base_ + kQueueEnable, 1);
            return get16(base_ + kQueueVector) == vector;
        case Kind::Legacy:
            out32(port_of(base_, kLegacyQueueAddress), static_cast<u32>(at.descriptors >> 12));
            if (vector == kNoVector) return true;
            out16(port_of(base_, kLegacyQueueVector), vector);
            return in16(port_of(base_, kLegacyQueueVector)) == vector;
        case Kind::Mmio:
            mmio_write(base_ + kMmioQueueSize, size);
            put64(base_ + kMmioDescriptors, at.descriptors);
            put64(base_ + kMmioDriver, at.driver_area);
            put64(base_ + kMmioDevice, at.device_area);
            mmio_write(base_ + kMmioQueueReady, 1);
            return true;
    }
    return false;
}

bool Transport::is_queue_enabled(u16 queue) const {
    select_queue(queue);
    switch (kind_) {
        case Kind::Pci: return get16(base_ + kQueueEnable) != 0;
        case Kind::Legacy: return in32(port_of(base_, kLegacyQueueAddress)) != 0;
        case Kind::Mmio: return mmio_read(base_ + kMmioQueueReady) != 0;
    }
    return false;
}

Doorbell Transport::doorbell(u16 queue) const {
    switch (kind_) {
        case Kind::Pci:
            select_queue(queue);
            return {notify_ + u64{get16(base_ + kQueueNotifyOffset)} * notify_multiplier_, 0, false};
        case Kind::Legacy: return {0, port_of(base_, kLegacyNotify), false};
        case Kind::Mmio: return {base_ + kMmioNotify, 0, true};
    }
    return {};
}

bool Transport::set_config_vector(u16 vector) const {
    if (kind_ == Kind::Pci) {
        put16(base_ + kConfigVector, vector);
        return get16(base_ + kConfigVector) == vector;
    }
    if (kind_ == Kind::Mmio) return false;
    out16(port_of(base_, kLegacyConfigVector), vector);
    return in16(port_of(base_, kLegacyConfigVector)) == vector;
}

u8 Transport::take_interrupt() const {
    if (kind_ == Kind::Pci) return get8(isr_);
    if (kind_ == Kind::Legacy) return in8(port_of(base_, kLegacyIsr));
    const u32 bits = mmio_read(base_ + kMmioInterruptStatus);
    if (bits != 0) mmio_write(base_ + kMmioInterruptAck, bits);
    return static_cast<u8>(bits);
}

u32 Transport::config_generation() const {
    switch (kind_) {
        case Kind::Pci: return get8(base_ + kGeneration);
        case Kind::Legacy: return 0;
        case Kind::Mmio: return mmio_read(base_ + kMmioGeneration);
    }
    return 0;
}

u8 Transport::config8(u32 offset) const {
    if (kind_ != Kind::Legacy) return get8(config_ + offset);
    // Transitional devices: the two vector registers are there only while MSI-X is on.
    const u8 msix = pci::find_capability(function_, pci::kCapabilityMsix, 0);
    const bool is_on = msix != 0 && (pci::read16(function_, static_cast<u16>(msix + 2)) & 0x8000) != 0;
    return in8(port_of(base_ + (is_on ? kLegacyConfigWithMsix : kLegacyConfig), static_cast<u16>(offset)));
}

void Transport::write_config8(u32 offset, u8 value) const {
    if (kind_ != Kind::Legacy) put8(config_ + offset, value);
}

u32 Transport::config32(u32 offset) const {
    if (kind_ != Kind::Legacy) return mmio_read(config_ + offset);
    u32 value = 0;
    for (u32 n = 0; n < 4; ++n) value |= u32{config8(offset + n)} << 8 * n;
    return value;
}

u64 Transport::config64(u32 offset) const {
    for (;;) {
        const u32 before = config_generation();
        const u64 value = config32(offset) | u64{config32(offset + 4)} << 32;
        if (config_generation() == before) return value;
    }
}

bool negotiate(const Transport& transport, u64 wanted, u64& features) {
    if (!transport.reset()) {
        fail("virtio: reset did not end");
        return false;
    }
    transport.set_status(kAcknowledge);
    transport.set_status(kAcknowledge | kDriver);
    features = transport.device_features() & wanted;
    transport.set_driver_features(features);
    if (transport.kind() == Kind::Legacy) return true;
    transport.set_status(kAcknowledge | kDriver | kFeaturesOk);
    if ((transport.status() & kFeaturesOk) != 0 && (features & kVersion1) != 0) return true;
    fail("virtio: features refused");
    return false;
}

void drive(const Transport& transport) {
    const u8 modern = transport.kind() == Kind::Legacy ? 0 : kFeaturesOk;
    transport.set_status(static_cast<u8>(kAcknowledge | kDriver | kDriverOk | modern));
}

}  // namespace guest::virtio
