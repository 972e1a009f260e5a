// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/config_ports.h"

#include <optional>

namespace mayfly {

namespace {

constexpr u64 kDataOffset = 4;
constexpr u64 kResetControlOffset = 1;

struct Target {
    u8 devfn;
    u16 offset;
};

/// The register that a data access at `at` names, if any: bus 0 only, and within the dword.
std::optional<Target> target_of(u32 address, IoAccess at) {
    const u64 byte = at.offset_bytes - kDataOffset;
    const bool is_bus_0 = ((address >> 16) & 0xff) == 0;
    if ((address & pci::CONFIG_ADDRESS_ENABLE) == 0 || !is_bus_0 || byte + at.size_bytes > 4) return {};
    return Target{static_cast<u8>(address >> 8), static_cast<u16>((address & 0xfc) | byte)};
}

bool is_address(IoAccess at) { return at.offset_bytes == 0 && at.size_bytes == 4; }
bool is_reset_control(IoAccess at) { return at.offset_bytes == kResetControlOffset && at.size_bytes == 1; }

}  // namespace

u64 ConfigPorts::io_read(IoAccess at) {
    if (is_address(at)) return state_.address;
    if (is_reset_control(at) && reset_control_ != nullptr) return reset_control_->io_read({0, 1});
    if (at.offset_bytes < kDataOffset) return all_ones(at.size_bytes);
    const std::optional<Target> target = target_of(state_.address, at);
    if (!target) return all_ones(at.size_bytes);
    return bus_.config_read(target->devfn, target->offset, at.size_bytes);
}

void ConfigPorts::io_write(IoAccess at, u64 value) {
    if (is_address(at)) {
        state_.address = static_cast<u32>(value) & pci::CONFIG_ADDRESS_WRITABLE;
    } else if (is_reset_control(at) && reset_control_ != nullptr) {
        reset_control_->io_write({0, 1}, value);
    } else if (at.offset_bytes >= kDataOffset) {
        const std::optional<Target> target = target_of(state_.address, at);
        if (target) bus_.config_write(target->devfn, target->offset, at.size_bytes, static_cast<u32>(value));
    }
}

void ConfigPorts::reset() {
    state_ = {};
    if (reset_control_ != nullptr) reset_control_->reset();
}

}  // namespace mayfly
