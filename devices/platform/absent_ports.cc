// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/absent_ports.h"

#include "devices/io/bytewise.h"

namespace mayfly {

namespace {

using A = AbsentPorts;

constexpr u16 kPortSystemControlB = 0x61;
// Intel ICH9 (316972) §13.7.1 "NMI_SC--NMI Status and Control Register".
constexpr u8 kTimer2Gate = 0x01;
constexpr u8 kSpeakerEnable = 0x02;
constexpr u8 kRefreshToggle = 0x10;
constexpr u8 kTimer2Output = 0x20;
// IBM VGA, "Input Status Register 1": display disabled, and vertical retrace.
constexpr u8 kDisplayDisabled = 0x01;
constexpr u8 kVerticalRetrace = 0x08;
// Intel 8272A (231468) "Main Status Register": a byte may be transferred; it goes to the processor.
constexpr u8 kFloppyReady = 0x80;
constexpr u8 kFloppyToProcessor = 0x40;
/// ATA status: ready, seek complete; neither busy nor in error.
constexpr u8 kDriveReady = 0x50;

// Sorted by port. A port that is in no row, and on no device, reads all ones as well; rows that say so are
// listed because guests probe these ports, and to give statistics a name for them.
constexpr A::Row kRows[] = {
    {A::kDma, 0x00, 0x10, A::Answer::Constant, 0xff,
     "8237 DMA controller 1: a cleared channel mask cannot be read back"},
    {A::kPic, 0x20, 1, A::Answer::Constant, 0x00, "8259 command: nothing requested, nothing in service"},
    {A::kPic, 0x21, 1, A::Answer::Constant, 0xff,
     "8259 mask: does not read back what was written, so Linux takes its null PIC"},
    {A::kPit, 0x40, 2, A::Answer::Constant, 0xff, "8254 counters 0 and 1: a count that never moves"},
    {A::kPit, 0x42, 1, A::Answer::Constant, 0x00,
     "8254 counter 2: while it reads 0xff, Linux's quick calibration reads it 100000 times"},
    {A::kPit, 0x43, 1, A::Answer::Constant, 0xff, "8254 control word: write-only"},
    {A::kSystemControlB, 0x61, 1, A::Answer::SystemControlB, 0x00,
     "timer 2 output toggles: loops that wait for the end of a count will end"},
    {A::kDma, 0x84, 0x0c, A::Answer::Constant, 0xff,
     "8237 page registers; some kernels write one as a delay"},
    {A::kPic, 0xa0, 1, A::Answer::Constant, 0x00,
     "second 8259 command: nothing requested, nothing in service"},
    {A::kPic, 0xa1, 1, A::Answer::Constant, 0xff, "second 8259 mask: does not read back what was written"},
    {A::kDma, 0xc0, 0x20, A::Answer::Constant, 0xff, "8237 DMA controller 2"},
    {A::kDelay, 0xed, 1, A::Answer::Constant, 0xff, "Linux's other delay port (io_delay=0xed)"},
    {A::kDrives, 0x177, 1, A::Answer::DriveStatus, 0xff,
     "second ATA channel: a driver takes 0xff for an absent channel, and a loop that waits for ready ends"},
    {A::kDrives, 0x1f7, 1, A::Answer::DriveStatus, 0xff, "first ATA channel: the same"},
    {A::kParallel, 0x279, 1, A::Answer::Constant, 0xff,
     "LPT2 status: not busy, so a program that prints there does not wait"},
    {A::kSerial, 0x2e8, 8, A::Answer::Constant, 0xff, "COM4: LSR 0xff is what drivers take for no UART"},
    {A::kSerial, 0x2f8, 8, A::Answer::Constant, 0xff, "COM2: LSR 0xff is what drivers take for no UART"},
    {A::kParallel, 0x379, 1, A::Answer::Constant, 0xff, "LPT1 status: not busy"},
    {A::kVga, 0x3b4, 2, A::Answer::Constant, 0x00,
     "monochrome CRTC: a cursor at 0; 0xffff would send old consoles past their memory"},
    {A::kVga, 0x3ba, 1, A::Answer::Retrace, 0x00,
     "monochrome input status 1: loops that wait for a retrace will end"},
    {A::kVga, 0x3c0, 0x10, A::Answer::Constant, 0x00,
     "VGA attribute, sequencer, palette and graphics registers: harmless"},
    {A::kVga, 0x3d4, 2, A::Answer::Constant, 0x00,
     "colour CRTC: a cursor at 0; 0xffff would send old consoles past their memory"},
    {A::kVga, 0x3da, 1, A::Answer::Retrace, 0x00,
     "colour input status 1: loops that wait for a retrace will end"},
    {A::kSerial, 0x3e8, 8, A::Answer::Constant, 0xff, "COM3: LSR 0xff is what drivers take for no UART"},
    {A::kDrives, 0x3f4, 1, A::Answer::FloppyStatus, 0x00,
     "floppy controller's main status: loops that wait to send or to receive will end"},
    {A::kPic, 0x4d0, 2, A::Answer::Constant, 0xff,
     "ELCR: its fixed bits read 1, which a real one never does"},
};

}  // namespace

AbsentPorts::AbsentPorts() { reset(); }

void AbsentPorts::reset() { state_ = State{}; }

std::span<const AbsentPorts::Row> AbsentPorts::rows() { return kRows; }

void AbsentPorts::map_onto(Bus& ports, u32 groups) {
    for (const Row& row : kRows) {
        if ((row.group & groups) != 0) ports.map(row.first, row.count, *this, row.first);
    }
}

u64 AbsentPorts::io_read(IoAccess at) {
    return read_bytewise(at, [this](u64 port) { return read_port(port); });
}

void AbsentPorts::io_write(IoAccess at, u64 value) {
    write_bytewise(at, value, [this](u64 port, u8 byte) {
        if (port == kPortSystemControlB) state_.system_control_b = byte & (kTimer2Gate | kSpeakerEnable);
    });
}

u8 AbsentPorts::drive_status() {
    if (++state_.drive_status_reads < kStuckReads) return 0xff;
    state_.drive_status_reads = 0;
    return kDriveReady;
}

u8 AbsentPorts::read_port(u64 port) {
    for (const Row& row : kRows) {
        if (port < row.first || port - row.first >= row.count) continue;
        if (row.answer == Answer::Constant) return row.value;
        if (row.answer == Answer::DriveStatus) return drive_status();
        state_.toggle = !state_.toggle;
        if (row.answer == Answer::Retrace) return state_.toggle ? kDisplayDisabled | kVerticalRetrace : 0;
        if (row.answer == Answer::FloppyStatus)
            return state_.toggle ? kFloppyReady : kFloppyReady | kFloppyToProcessor;
        const u8 toggling = state_.toggle ? kTimer2Output | kRefreshToggle : 0;
        return static_cast<u8>(state_.system_control_b | toggling);
    }
    return 0xff;
}

bool AbsentPorts::restore(const State& state) {
    if ((state.system_control_b & ~(kTimer2Gate | kSpeakerEnable)) != 0) return false;
    if (state.drive_status_reads >= kStuckReads) return false;
    state_ = state;
    return true;
}

}  // namespace mayfly
