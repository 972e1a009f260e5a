// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/pci_function.h"

#include <algorithm>
#include <bit>

#include "vmm/error/verify.h"

namespace mayfly {

namespace {

constexpr u16 kAllCommandBits = pci::COMMAND_IO_SPACE | pci::COMMAND_MEMORY_SPACE | pci::COMMAND_BUS_MASTER |
                                pci::COMMAND_INTERRUPT_DISABLE;

u16 bar_register(u8 bar) { return static_cast<u16>(pci::BASE_ADDRESS_0 + 4 * bar); }

bool is_bar_register(u16 dword) {
    return dword >= pci::BASE_ADDRESS_0 && dword < bar_register(pci::BASE_ADDRESSES);
}

bool is_well_formed(const PciBar& bar) {
    const u32 bytes_min =
        bar.kind == BarKind::Io ? pci::BASE_ADDRESS_IO_BYTES_MIN : pci::BASE_ADDRESS_MEMORY_BYTES_MIN;
    return bar.size_bytes >= bytes_min && (bar.size_bytes & (bar.size_bytes - 1)) == 0 &&
           (bar.address & (bar.size_bytes - 1)) == 0;
}

}  // namespace

PciFunction::PciFunction(ConfigPage image, const Options& options, FunctionClient* client, IrqLine* intx)
    : options_(options), image_(image), client_(client), intx_(intx) {
    for (std::size_t at = 0; at < image_.size(); at += sizeof(u64)) store_word<u64>(image_, at, 0);
    build_header();
}

void PciFunction::build_header() {
    // no guest: options are PciTransport::function_options(), before the guest runs.
    VERIFY((options_.command & ~u32{kAllCommandBits}) == 0);
    VERIFY(options_.interrupt_pin <= 4);
    put(pci::VENDOR_ID, options_.vendor_id, 2);
    put(pci::DEVICE_ID, options_.device_id, 2);
    put(pci::COMMAND, options_.command, 2);
    put(pci::REVISION_ID, options_.revision_id | (options_.class_code << 8), 4);
    put(pci::SUBSYSTEM_VENDOR_ID, options_.subsystem_vendor_id, 2);
    put(pci::SUBSYSTEM_ID, options_.subsystem_id, 2);
    put(pci::INTERRUPT_LINE, options_.interrupt_line, 1);
    put(pci::INTERRUPT_PIN, options_.interrupt_pin, 1);
    set_write_mask(pci::COMMAND, kAllCommandBits, 2);
    // PCI Express Base Specification 3.0 §7.5 "PCI-Compatible Configuration Registers": Cache Line Size is
    // kept for old software and does nothing; the latency timer is hardwired to 0.
    set_write_mask(pci::CACHE_LINE_SIZE, 0xff, 1);
    set_write_mask(pci::INTERRUPT_LINE, 0xff, 1);
    for (u8 index = 0; index < pci::BASE_ADDRESSES; ++index) {
        const PciBar& bar = options_.bars[index];
        if (bar.kind == BarKind::None) continue;
        // no guest: options are PciTransport::function_options(), before the guest runs.
        VERIFY(is_well_formed(bar));
        VERIFY(client_ != nullptr);
        put(bar_register(index), bar.address | (bar.kind == BarKind::Io ? pci::BASE_ADDRESS_IO : 0), 4);
        // PCI Local Bus Specification 3.0 §6.2.5.1 "Address Maps": the address bits that a BAR does not
        // decode are hardwired to zero, so that all ones written read back as the size's mask.
        set_write_mask(bar_register(index), ~(bar.size_bytes - 1), 4);
    }
}

u8 PciFunction::add_capability(u8 id, std::span<const u8> body, std::span<const u8> write_mask) {
    const std::size_t bytes = align_up(pci::CAPABILITY_HEADER_BYTES + body.size(), 4);
    // no guest: PciTransport and Msix add their capabilities before the guest runs.
    VERIFY(bytes <= kWritableBytes - capabilities_end_ && write_mask.size() <= body.size());
    const u16 at = capabilities_end_;
    put(at, id, 1);
    u16 byte_at = at + pci::CAPABILITY_HEADER_BYTES;
    for (const u8 byte : body) put(byte_at++, byte, 1);
    byte_at = at + pci::CAPABILITY_HEADER_BYTES;
    for (const u8 mask : write_mask) set_write_mask(byte_at++, mask, 1);
    // The link comes last: at no moment does the list lead to half a capability.
    put(capability_last_ == 0 ? pci::CAPABILITIES_POINTER : static_cast<u16>(capability_last_ + 1), at, 1);
    put(pci::STATUS, config16(pci::STATUS) | u32{pci::STATUS_CAPABILITIES_LIST}, 2);
    capability_last_ = static_cast<u8>(at);
    capabilities_end_ = static_cast<u16>(at + bytes);
    return capability_last_;
}

void PciFunction::intercept_reads(u16 offset, u16 size_bytes) {
    // no guest: PciTransport calls this once, before the guest runs.
    VERIFY(client_ != nullptr && size_bytes > 0);
    VERIFY(offset < kWritableBytes && size_bytes <= kWritableBytes - offset);
    for (u32 dword = offset / 4u; dword <= (offset + size_bytes - 1u) / 4; ++dword) intercepted_.set(dword);
}

void PciFunction::set_multifunction() { put(pci::HEADER_TYPE, pci::HEADER_TYPE_MULTIFUNCTION, 1); }

u32 PciFunction::config_read(u16 offset, u8 size_bytes) {
    const u16 dword = static_cast<u16>(align_down(offset, 4));
    // no guest: Ecam splits accesses at dwords, and ConfigPorts takes none that crosses one.
    VERIFY(size_bytes >= 1 && offset - dword + size_bytes <= 4);
    if (dword < kWritableBytes && intercepted_.test(dword / 4u)) client_->on_config_read(offset, size_bytes);
    return static_cast<u32>((config32(dword) >> (8 * (offset - dword))) & all_ones(size_bytes));
}

bool PciFunction::config_write(u16 offset, u8 size_bytes, u32 value) {
    const u16 dword = static_cast<u16>(align_down(offset, 4));
    // no guest: Ecam splits accesses at dwords, and ConfigPorts takes none that crosses one.
    VERIFY(size_bytes >= 1 && offset - dword + size_bytes <= 4);
    if (dword >= kWritableBytes) return false;
    const unsigned shift = 8u * (offset - dword);
    const u32 lanes = static_cast<u32>(all_ones(size_bytes) << shift);
    if (dword == pci::COMMAND) return write_command_status(value << shift, lanes);
    const u32 mask = write_mask(dword) & lanes;
    const u32 old = config32(dword);
    const u32 next = (old & ~mask) | ((value << shift) & mask);
    if (next == old) return false;
    store_word<u32>(image_, dword, next);
    return is_bar_register(dword) &&
           bar_address(static_cast<u8>((dword - pci::BASE_ADDRESS_0) / 4)).has_value();
}

bool PciFunction::write_command_status(u32 value, u32 lanes) {
    const Lock guard(command_status_);
    const u32 mask = write_mask(pci::COMMAND) & lanes;
    const u32 old = config32(pci::COMMAND);
    const u32 cleared = value & lanes & (u32{pci::STATUS_RW1C} << 16);
    const u32 next = ((old & ~mask) | (value & mask)) & ~cleared;
    store_word<u32>(image_, pci::COMMAND, next);
    drive_pin();
    return ((old ^ next) & (pci::COMMAND_IO_SPACE | pci::COMMAND_MEMORY_SPACE)) != 0;
}

void PciFunction::reset() {
    const Lock guard(command_status_);
    for (u16 at = 0; at < kWritableBytes; at = static_cast<u16>(at + 4)) {
        store_word<u32>(image_, at, load_word<u32>(std::as_bytes(std::span(initial_)), at));
    }
    is_intx_asserted_ = false;
    drive_pin();
}

PciFunction::State PciFunction::save() const {
    State state;
    for (u16 at = 0; at < kWritableBytes; ++at) state.registers[at] = config8(at);
    return state;
}

bool PciFunction::restore(const State& state) {
    const Lock guard(command_status_);
    const std::span<const std::byte> saved = std::as_bytes(std::span(state.registers));
    const std::span<const std::byte> initial = std::as_bytes(std::span(initial_));
    // Bits of Status change by themselves; the pin's level is set anew by the device.
    constexpr u32 kStatusBits = u32{pci::STATUS_RW1C | pci::STATUS_INTERRUPT} << 16;
    const auto own_bits = [](u16 at) { return at == pci::COMMAND ? kStatusBits : 0; };
    for (u16 at = 0; at < kWritableBytes; at = static_cast<u16>(at + 4)) {
        const u32 fixed = ~(write_mask(at) | own_bits(at));
        if (((load_word<u32>(saved, at) ^ load_word<u32>(initial, at)) & fixed) != 0) return false;
    }
    for (u16 at = 0; at < kWritableBytes; at = static_cast<u16>(at + 4)) {
        const u32 level = at == pci::COMMAND ? u32{pci::STATUS_INTERRUPT} << 16 : 0;
        store_word<u32>(image_, at, load_word<u32>(saved, at) & ~level);
    }
    is_intx_asserted_ = false;
    drive_pin();
    return true;
}

void PciFunction::refresh(u16 offset, std::span<const std::byte> bytes) {
    // no guest: PciTransport refreshes its own capability's data, which add_capability() put there.
    VERIFY(offset < kWritableBytes && bytes.size() <= kWritableBytes - offset);
    while (!bytes.empty()) {
        u32 value = 0;
        const std::size_t aligned = offset % 4 == 0 ? 4 : offset % 2 == 0 ? 2 : 1;
        const std::size_t done = std::min(aligned, std::bit_floor(bytes.size()));
        for (std::size_t i = 0; i < done; ++i) value |= std::to_integer<u32>(bytes[i]) << (8 * i);
        if (done == 4) {
            store_word<u32>(image_, offset, value);
        } else if (done == 2) {
            store_word<u16>(image_, offset, static_cast<u16>(value));
        } else {
            store_word<u8>(image_, offset, static_cast<u8>(value));
        }
        offset = static_cast<u16>(offset + done);
        bytes = bytes.subspan(done);
    }
}

std::optional<u32> PciFunction::bar_address(u8 bar) const {
    const BarKind kind = options_.bars[bar].kind;
    const u16 decodes = kind == BarKind::Io ? pci::COMMAND_IO_SPACE : pci::COMMAND_MEMORY_SPACE;
    if (kind == BarKind::None || (config16(pci::COMMAND) & decodes) == 0) return std::nullopt;
    return config32(bar_register(bar)) & ~(options_.bars[bar].size_bytes - 1);
}

void PciFunction::set_intx(bool is_asserted) {
    const Lock guard(command_status_);
    is_intx_asserted_ = is_asserted;
    const u32 others = config16(pci::STATUS) & ~u32{pci::STATUS_INTERRUPT};
    // PCI Local Bus Specification 3.0 §6.2.3 "Device Status": the bit tells the level that the device asks
    // for, also while Interrupt Disable keeps it from the pin.
    store_word<u16>(image_, pci::STATUS,
                    static_cast<u16>(others | (is_asserted ? u32{pci::STATUS_INTERRUPT} : 0)));
    drive_pin();
}

void PciFunction::set_status(u16 bits) {
    const Lock guard(command_status_);
    store_word<u16>(image_, pci::STATUS, config16(pci::STATUS) | (bits & pci::STATUS_RW1C));
}

void PciFunction::drive_pin() {
    const bool is_disabled = (config16(pci::COMMAND) & pci::COMMAND_INTERRUPT_DISABLE) != 0;
    const bool level = is_intx_asserted_ && !is_disabled;
    if (level == is_pin_high_) return;
    is_pin_high_ = level;
    if (intx_ != nullptr) intx_->set_level(level);
}

void PciFunction::put(u16 offset, u32 value, u8 size_bytes) {
    for (u8 i = 0; i < size_bytes; ++i) {
        const u16 at = static_cast<u16>(offset + i);
        initial_[at] = static_cast<u8>(value >> (8 * i));
        store_word<u8>(image_, at, initial_[at]);
    }
}

void PciFunction::set_write_mask(u16 offset, u32 mask, u8 size_bytes) {
    for (u8 i = 0; i < size_bytes; ++i) write_mask_[offset + i] = static_cast<u8>(mask >> (8 * i));
}

u32 PciFunction::write_mask(u16 dword) const {
    return load_word<u32>(std::as_bytes(std::span(write_mask_)), dword);
}

}  // namespace mayfly
