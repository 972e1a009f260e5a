// SPDX-License-Identifier: Apache-2.0
// AbsentPorts: answers for the ports of hardware that this machine lacks, so that real guests neither spin on
// them nor take the hardware for present. One table, one row per answer, each with its reason.
//
// The machine maps the groups of ports whose hardware it does not emulate.
//
// Thread: any, under the device's bus lock.
#pragma once

#include <span>
#include <string_view>

#include "devices/io/bus.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class AbsentPorts final : public IoDevice {
  public:
    /// Bits, to be or-ed.
    enum Group : u32 {
        kPic = 1 << 0,
        kPit = 1 << 1,
        kSystemControlB = 1 << 2,
        kDma = 1 << 3,
        kVga = 1 << 4,
        kSerial = 1 << 5,
        kDelay = 1 << 6,
        kDrives = 1 << 7,
        kParallel = 1 << 8,
        kAll = (1 << 9) - 1,
    };

    enum class Answer : u8 {
        Constant,        ///< always `value`
        SystemControlB,  ///< port 0x61: two stored bits, two that toggle
        Retrace,         ///< VGA input status 1: the retrace bits toggle
        FloppyStatus,    ///< 8272 main status: ready, for a command and for its result in turn
        DriveStatus,     ///< ATA status: no drive; one read in kStuckReads says ready
    };

    struct Row {
        Group group;
        u16 first;
        u16 count;
        Answer answer;
        u8 value;
        std::string_view reason;
    };

    /// Of so many reads of a drive's status in a row, the last says ready.
    static constexpr u8 kStuckReads = 64;

    struct State {
        u8 system_control_b = 0;  // bits 0 and 1 as last written
        bool toggle = false;      // flips with each read of a port that toggles
        u8 drive_status_reads = 0;
    };

    AbsentPorts();

    [[nodiscard]] static std::span<const Row> rows();
    /// Maps the rows of `groups` onto `ports`.
    void map_onto(Bus& ports, u32 groups);

    [[nodiscard]] std::string_view name() const override { return "absent"; }
    /// Offsets are port numbers.
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    /// False: no guest can have left the device in this state; then nothing has changed.
    [[nodiscard]] bool restore(const State& state);

  private:
    [[nodiscard]] u8 read_port(u64 port);
    [[nodiscard]] u8 drive_status();

    State state_;
};

}  // namespace mayfly
