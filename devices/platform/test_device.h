// SPDX-License-Identifier: Apache-2.0
// TestDevice: lets a guest ask for interrupts, so that it can prove that they arrive.
//
// The chip keeps the registers; TestDeviceHost delivers the interrupts.
//
// Counting returns to user space: a write to COALESCED that arrives by an exit of its own is one return. When
// the machine finds writes that the kernel has collected, it wraps their delivery, and that of the exit that
// it came back for, in begin_batch() and end_batch(): then all the writes count as one return.
//
// Thread: any, under the device's bus lock; begin_batch() and end_batch() as well, with the lock released in
// between.
// Spec: devices/platform/test_device_spec.h.
#pragma once

#include <string_view>

#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

/// Called with the test device's bus lock held. Must not touch the test device.
class TestDeviceHost {
  public:
    /// The values that a read of ACTION returns.
    enum class Status : u8 { Done = 0, Unsupported = 1, Refused = 2 };

    TestDeviceHost() = default;
    TestDeviceHost(const TestDeviceHost&) = delete;
    TestDeviceHost& operator=(const TestDeviceHost&) = delete;
    virtual ~TestDeviceHost() = default;

    /// Drives GSI `gsi`, 0-23. Ignored where the machine has no such pin.
    virtual void set_irq(u8 gsi, bool is_high) = 0;
    /// By KVM_SIGNAL_MSI.
    [[nodiscard]] virtual Status signal_msi(u32 address, u32 data) = 0;
    /// By an irqfd and a KVM_SET_GSI_ROUTING route.
    [[nodiscard]] virtual Status send_by_irqfd(u32 address, u32 data) = 0;
    /// Connects DOORBELL to an irqfd that sends the MSI, inside the kernel; or disconnects it.
    [[nodiscard]] virtual Status set_loopback(bool is_on, u32 address, u32 data) = 0;
    /// Makes the kernel collect writes to COALESCED, or stops it.
    [[nodiscard]] virtual Status set_coalesced(bool is_on) = 0;
    /// `count` times, 1 ms apart, by irqfd from another thread. Returns at once.
    virtual void msi_train(u32 address, u32 data, u8 count) = 0;
};

class TestDevice final : public IoDevice {
  public:
    // Map kSizeBytes at port kPort, and kScratchBytes at port kScratchPort with offset base kScratchOffset.
    static constexpr u16 kPort = 0x2000;
    static constexpr u64 kSizeBytes = 0x48;
    static constexpr u16 kScratchPort = 0xe0;
    static constexpr u64 kScratchOffset = 0x100;
    static constexpr u64 kScratchBytes = 4;

    struct State {
        u32 scratch = 0;
        u32 irq_levels = 0;  // bit n: GSI n is high
        u32 msi_address = 0;
        u32 msi_data = 0;
        TestDeviceHost::Status last_status = TestDeviceHost::Status::Done;
        bool has_loopback = false;
        bool is_coalesced = false;
        bool is_in_batch = false;
        bool is_batch_counted = false;
        u32 doorbells = 0;
        u32 coalesced_writes = 0;
        u32 coalesced_sum = 0;
        u32 coalesced_returns = 0;
    };

    /// `host` outlives the device.
    explicit TestDevice(TestDeviceHost& host);

    [[nodiscard]] std::string_view name() const override { return "test-device"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    /// Lowers every line, disconnects the doorbell and stops the collecting.
    void reset() override;

    void begin_batch();
    void end_batch();

    [[nodiscard]] const State& state() const { return state_; }
    /// Without the state of TestDeviceHost. False: no guest can have left the device in this state; then
    /// nothing has changed.
    [[nodiscard]] bool restore(const State& state);

  private:
    [[nodiscard]] u64 read_scratch(IoAccess at) const;
    void write_scratch(IoAccess at, u32 value);
    void write_byte(u64 port, u8 value);
    void act(u8 action);
    void count_coalesced(u8 value);

    State state_;
    TestDeviceHost& host_;
};

}  // namespace mayfly
