// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/io_apic.h"

#include "devices/platform/io_apic_spec.h"

namespace mayfly {

using namespace io_apic;

IoApic::IoApic(MsiPort& messages) : messages_(messages) { reset(); }

void IoApic::reset() {
    // The pin's level belongs to the device and survives our reset.
    const bool is_high = state_.is_high;
    state_ = State{};
    state_.entry_low = kMasked;
    state_.is_high = is_high;
}

u64 IoApic::io_read(IoAccess at) {
    if (at.offset_bytes == kIndex && at.size_bytes <= 4) return state_.index;
    if (at.offset_bytes == kWindow && at.size_bytes == 4) return read_register();
    return all_ones(at.size_bytes);
}

void IoApic::io_write(IoAccess at, u64 value) {
    if (at.offset_bytes == kIndex && at.size_bytes <= 4) state_.index = static_cast<u8>(value);
    if (at.offset_bytes == kWindow && at.size_bytes == 4) write_register(static_cast<u32>(value));
}

u32 IoApic::read_register() const {
    switch (state_.index) {
        case kId:
        case kArbitration: return state_.id;
        case kVersion: return kVersionValue | 0 << kMaximumEntryShift;  // the last entry is number 0
        case kRedirection: return state_.entry_low;
        case kRedirection + 1: return state_.entry_high;
        default: return 0;
    }
}

void IoApic::write_register(u32 value) {
    switch (state_.index) {
        case kId: state_.id = value & kIdMask; return;
        case kRedirection: state_.entry_low = value & kWritableLow; break;
        case kRedirection + 1: state_.entry_high = value & kDestinationMask; break;
        default: return;
    }
    if (state_.is_pending && (state_.entry_low & kMasked) == 0) deliver();
}

void IoApic::set_pin(bool is_high) {
    const bool is_edge = is_high && !state_.is_high;
    state_.is_high = is_high;
    if (!is_edge) return;
    // Real chips lose an edge that comes while the pin is masked. A driver that lost an edge would hang, and
    // one that gets it late finds nothing to do.
    if ((state_.entry_low & kMasked) != 0) {
        state_.is_pending = true;
        return;
    }
    deliver();
}

void IoApic::deliver() {
    state_.is_pending = false;
    const u64 destination = state_.entry_high >> 24;
    const u64 address = kMessageAddress | destination << kMessageDestinationShift |
                        ((state_.entry_low & kLogicalDestination) != 0 ? kMessageLogical : 0);
    messages_.set_message(0, address,
                          (state_.entry_low & (kVectorMask | kDeliveryModeMask)) | kMessageAssert);
    (void)messages_.send(0);
}

bool IoApic::restore(const State& state) {
    if ((state.id & ~kIdMask) != 0 || (state.entry_low & ~kWritableLow) != 0 ||
        (state.entry_high & ~kDestinationMask) != 0)
        return false;
    // So a pending edge is sent when the mask is cleared.
    if (state.is_pending && (state.entry_low & kMasked) == 0) return false;
    state_ = state;
    return true;
}

}  // namespace mayfly
