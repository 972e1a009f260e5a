// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/test_device.h"

#include "devices/io/bytewise.h"
#include "devices/platform/test_device_spec.h"

namespace mayfly {

using Status = TestDeviceHost::Status;

static_assert(TestDevice::kPort == MAYFLY_TESTDEV_IRQ);
static_assert(TestDevice::kScratchPort == MAYFLY_TESTDEV_SCRATCH);
static_assert(TestDevice::kPort + TestDevice::kSizeBytes > MAYFLY_TESTDEV_MSI_TRAIN);
static_assert(TestDevice::kScratchOffset >= TestDevice::kSizeBytes);

TestDevice::TestDevice(TestDeviceHost& host) : host_(host) { reset(); }

void TestDevice::reset() {
    for (u8 gsi = 0; gsi < MAYFLY_TESTDEV_IRQ_COUNT; ++gsi) {
        if ((state_.irq_levels >> gsi & 1U) != 0) host_.set_irq(gsi, false);
    }
    // Whether the host could undo them shows nowhere: no guest is left to ask.
    if (state_.has_loopback) (void)host_.set_loopback(false, state_.msi_address, state_.msi_data);
    if (state_.is_coalesced) (void)host_.set_coalesced(false);
    state_ = State{};
}

u64 TestDevice::io_read(IoAccess at) {
    if (at.offset_bytes >= kScratchOffset) return read_scratch(at);
    const u64 port = kPort + at.offset_bytes;
    if (port == MAYFLY_TESTDEV_ACTION && at.size_bytes == 1) return static_cast<u8>(state_.last_status);
    if (at.size_bytes != 4) return all_ones(at.size_bytes);
    switch (port) {
        case MAYFLY_TESTDEV_MSI_ADDRESS: return state_.msi_address;
        case MAYFLY_TESTDEV_MSI_DATA: return state_.msi_data;
        case MAYFLY_TESTDEV_DOORBELL_COUNT: return state_.doorbells;
        case MAYFLY_TESTDEV_COALESCED_WRITES: return state_.coalesced_writes;
        case MAYFLY_TESTDEV_COALESCED_SUM: return state_.coalesced_sum;
        case MAYFLY_TESTDEV_COALESCED_RETURNS: return state_.coalesced_returns;
        default: return all_ones(at.size_bytes);
    }
}

void TestDevice::io_write(IoAccess at, u64 value) {
    if (at.offset_bytes >= kScratchOffset) return write_scratch(at, static_cast<u32>(value));
    const u64 port = kPort + at.offset_bytes;
    if (port == MAYFLY_TESTDEV_DOORBELL && at.size_bytes <= 4) {
        ++state_.doorbells;
    } else if (port == MAYFLY_TESTDEV_MSI_ADDRESS && at.size_bytes == 4) {
        state_.msi_address = static_cast<u32>(value);
    } else if (port == MAYFLY_TESTDEV_MSI_DATA && at.size_bytes == 4) {
        state_.msi_data = static_cast<u32>(value);
    } else if (at.size_bytes == 1) {
        write_byte(port, static_cast<u8>(value));
    }
}

u64 TestDevice::read_scratch(IoAccess at) const {
    // QEMU's guests read back any part of what they wrote, so this register takes every size.
    return read_bytewise(at, [this](u64 offset) {
        const u64 index = offset - kScratchOffset;
        return index < kScratchBytes ? static_cast<u8>(state_.scratch >> (8 * index)) : u8{0xff};
    });
}

void TestDevice::write_scratch(IoAccess at, u32 value) {
    write_bytewise(at, value, [this](u64 offset, u8 byte) {
        const u64 index = offset - kScratchOffset;
        if (index >= kScratchBytes) return;
        const unsigned shift = static_cast<unsigned>(8 * index);
        state_.scratch = (state_.scratch & ~(u32{0xff} << shift)) | (u32{byte} << shift);
    });
}

void TestDevice::write_byte(u64 port, u8 value) {
    if (port < MAYFLY_TESTDEV_IRQ + MAYFLY_TESTDEV_IRQ_COUNT) {
        const u8 gsi = static_cast<u8>(port - MAYFLY_TESTDEV_IRQ);
        const u32 bit = u32{1} << gsi;
        state_.irq_levels = value != 0 ? state_.irq_levels | bit : state_.irq_levels & ~bit;
        host_.set_irq(gsi, value != 0);
    } else if (port == MAYFLY_TESTDEV_ACTION) {
        act(value);
    } else if (port == MAYFLY_TESTDEV_COALESCED) {
        count_coalesced(value);
    } else if (port == MAYFLY_TESTDEV_MSI_TRAIN && value != 0) {
        host_.msi_train(state_.msi_address, state_.msi_data, value);
    }
}

void TestDevice::act(u8 action) {
    const u32 address = state_.msi_address;
    const u32 data = state_.msi_data;
    Status status = Status::Unsupported;  // the answer to an unknown action
    switch (action) {
        case MAYFLY_TESTDEV_SIGNAL_MSI: status = host_.signal_msi(address, data); break;
        case MAYFLY_TESTDEV_IRQFD: status = host_.send_by_irqfd(address, data); break;
        case MAYFLY_TESTDEV_LOOPBACK_ON:
            status = host_.set_loopback(true, address, data);
            if (status == Status::Done) state_.has_loopback = true;
            break;
        case MAYFLY_TESTDEV_LOOPBACK_OFF:
            status = host_.set_loopback(false, address, data);
            if (status == Status::Done) state_.has_loopback = false;
            break;
        case MAYFLY_TESTDEV_COALESCE_ON:
            status = host_.set_coalesced(true);
            if (status == Status::Done) state_.is_coalesced = true;
            break;
        case MAYFLY_TESTDEV_COALESCE_OFF:
            status = host_.set_coalesced(false);
            if (status == Status::Done) state_.is_coalesced = false;
            break;
        default: break;
    }
    state_.last_status = status;
}

void TestDevice::count_coalesced(u8 value) {
    ++state_.coalesced_writes;
    state_.coalesced_sum += value;
    if (!state_.is_in_batch || !state_.is_batch_counted) ++state_.coalesced_returns;
    state_.is_batch_counted = state_.is_in_batch;
}

void TestDevice::begin_batch() {
    state_.is_in_batch = true;
    state_.is_batch_counted = false;
}

void TestDevice::end_batch() { state_.is_in_batch = false; }

bool TestDevice::restore(const State& state) {
    if (state.irq_levels >> MAYFLY_TESTDEV_IRQ_COUNT != 0 || state.last_status > Status::Refused)
        return false;
    state_ = state;
    // The exit that brought the write is over.
    state_.is_in_batch = false;
    return true;
}

}  // namespace mayfly
