// SPDX-License-Identifier: Apache-2.0
// InfoWriter: lays structures and strings one after the other in a fixed area of guest RAM.
//
// Thread: one thread, before any vCPU runs.
#pragma once

#include <span>
#include <string_view>

#include "firmware/boot/occupancy.h"
#include "firmware/layout.h"
#include "vmm/error/result.h"
#include "vmm/memory/guest_memory.h"

namespace mayfly {

class InfoWriter {
  public:
    /// The area is RAM (VERIFY at the first write).
    InfoWriter(const GuestMemory& memory, Gpa base, u64 area_bytes)
        : memory_(memory), next_(base), end_(base + area_bytes) {}

    /// Writes at the next multiple of `alignment_bytes` and returns that place. Errors: Invalid when the area
    /// is full.
    Result<Gpa> put(std::span<const std::byte> bytes, u64 alignment_bytes);

    template <WireType T>
    Result<Gpa> put_object(const T& value, u64 alignment_bytes = 8) {
        return put(std::as_bytes(std::span(&value, 1)), alignment_bytes);
    }

    /// With its NUL. An empty string takes a byte, but touches no page: guest RAM is fresh.
    Result<Gpa> put_string(std::string_view text);

  private:
    const GuestMemory& memory_;
    Gpa next_;
    Gpa end_;
};

/// Writes a NUL-terminated command line, at layout::kCommandLine where that is free, and returns its place.
/// Errors: Invalid when it has more than `bytes_max` bytes without the NUL, or more than fit.
Result<Gpa> write_command_line(const GuestMemory& memory, Occupancy& occupancy, std::string_view text,
                               u64 bytes_max = layout::kCommandLineBytes - 1);

}  // namespace mayfly
