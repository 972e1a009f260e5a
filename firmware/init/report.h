// SPDX-License-Identifier: Apache-2.0
// The report: 32 bits in which our init tells the monitor, by one `out`, how the program ended.
//
// A kernel that forbids processes the use of ports may still have /dev/port, which writes bytes: the report
// then arrives as four, at the status port and the three after it, the lowest first; it is whole with the
// fourth. Shared by both sides: no header here may need a library. Thread: any.
#pragma once

#include <optional>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

/// Boot marks that init writes to port 0x80: it runs; it is about to execute the program.
inline constexpr u16 kInitMarkPort = 0x80;
inline constexpr u8 kInitMarkStarted = 0x41;
inline constexpr u8 kInitMarkProgram = 0x42;

/// The step at which init failed.
enum class InitStep : u8 {
    None,
    Job,
    Module,
    Fork,
    Execute,
    Channel,
    User,
    Directory,
    Network,
    Unpack,
    Share,
    Root,
    CopyIn,
};

struct InitReport {
    /// The values are those of the wire, bits 31:24, chosen so that a stray write hardly ever looks like a
    /// report.
    enum class Kind : u8 {
        Exited = 0xe1,      ///< `value` is the program's status, 0 to 255
        Signalled = 0xe2,   ///< `value` is the signal's number
        InitFailed = 0xe3,  ///< the program never ran: `value` is Linux's errno, `step` tells where
    };
    Kind kind = Kind::InitFailed;
    /// None for a program that ran. Bits 23:16.
    InitStep step = InitStep::None;
    /// Bits 15:0.
    u16 value = 0;

    friend bool operator==(const InitReport&, const InitReport&) = default;
};

[[nodiscard]] constexpr u32 encode_init_report(InitReport report) {
    return u32{static_cast<u8>(report.kind)} << 24 | u32{static_cast<u8>(report.step)} << 16 | report.value;
}

/// Empty for a word that our init never writes: the guest's programs can reach the port as well.
[[nodiscard]] constexpr std::optional<InitReport> decode_init_report(u32 word) {
    const InitReport report{static_cast<InitReport::Kind>(word >> 24),
                            static_cast<InitStep>(word >> 16 & 0xff), static_cast<u16>(word & 0xffff)};
    const bool has_step = report.step != InitStep::None;
    switch (report.kind) {
        case InitReport::Kind::Exited:
            if (has_step || report.value > 255) return std::nullopt;
            return report;
        case InitReport::Kind::Signalled:
            if (has_step || report.value < 1 || report.value > 64) return std::nullopt;
            return report;
        case InitReport::Kind::InitFailed:
            if (!has_step || report.step > InitStep::CopyIn) return std::nullopt;
            return report;
    }
    return std::nullopt;
}

/// Completes "mayfly's init could not …".
[[nodiscard]] constexpr std::string_view to_string(InitStep step) {
    switch (step) {
        case InitStep::None: return "do nothing";
        case InitStep::Job: return "read its job";
        case InitStep::Module: return "load a kernel module";
        case InitStep::Fork: return "start a process";
        case InitStep::Execute: return "execute the program";
        case InitStep::User: return "become the program's user";
        case InitStep::Directory: return "enter the program's directory";
        case InitStep::Network: return "configure the guest's network";
        case InitStep::Share: return "mount a directory of the host";
        case InitStep::Root: return "make a live root the guest's";
        case InitStep::CopyIn: return "put into its root what is copied in";
        case InitStep::Unpack:
            return "find all of its root, which Linux had no room to unpack (give the guest more with "
                   "--memory)";
        case InitStep::Channel: return "share memory with mayfly for the program's streams";
    }
    return "do an unknown step";
}

}  // namespace mayfly
