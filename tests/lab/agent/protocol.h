// SPDX-License-Identifier: Apache-2.0
// The frames that the lab's agent and tests/lab/channel.py exchange over a virtio-serial port. Each is a
// header of three little-endian words and `length` bytes. `id` names a command or a file transfer; the client
// chooses it.
#pragma once

#include <cstdint>

namespace mayfly::lab {

struct FrameHeader {
    uint32_t type;
    uint32_t id;
    uint32_t length;
};
static_assert(sizeof(FrameHeader) == 12);

/// Ours to write at a time, and the most that one data frame carries.
inline constexpr uint32_t kDataBytesMax = 32 * 1024;
/// A frame that is longer is a slip of the client's.
inline constexpr uint32_t kFrameBytesMax = 4 * 1024 * 1024;

enum class ToAgent : uint32_t {
    Run =
        1,  // NUL-terminated: flags, rows, columns, directory, count, that many NAME=VALUE, then the command
    Input = 2,     // bytes for its stdin; no more may be under way than the client has credit for
    InputEnd = 3,  // closes its stdin
    Signal = 4,    // u32: to its process group
    Resize = 5,    // u16 rows, u16 columns
    Put = 6,       // u32 mode, then the path; PutData and PutEnd follow
    PutData = 7,
    PutEnd = 8,
    Get = 9,  // the path
    PowerOff = 10,
    Wake = 11,  // nothing but the interrupt that brings it
};

enum class ToClient : uint32_t {
    Hello = 1,    // u32 protocol version
    Output = 2,   // of the command's stdout
    Error = 3,    // of its stderr
    Exit = 4,     // ExitReport
    Credit = 5,   // u32: so many bytes more of input may be sent
    PutDone = 6,  // why it failed, or nothing
    GetData = 7,
    GetDone = 8,  // why it failed, or nothing
};

inline constexpr uint32_t kProtocolVersion = 1;
inline constexpr uint32_t kInputCreditBytes = 256 * 1024;

inline constexpr uint32_t kRunTerminal = 1;  // a terminal for stdin, stdout and stderr
inline constexpr uint32_t kRunMeasured =
    2;  // no input; output is kept until the end, so that nothing disturbs it
inline constexpr uint32_t kRunInput = 4;  // stdin is a pipe, else /dev/null

struct ExitReport {
    uint32_t wait_status;  // as wait(2) has it
    uint32_t start_error;  // errno of a command that could not be started
    uint64_t elapsed_ns;   // by CLOCK_MONOTONIC, fork to wait
    uint64_t user_us;
    uint64_t system_us;
    uint64_t memory_kib_max;
};
static_assert(sizeof(ExitReport) == 40);

}  // namespace mayfly::lab
