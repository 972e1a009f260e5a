// SPDX-License-Identifier: Apache-2.0
// Bus: finds the device behind a port or an MMIO address, and serialises the accesses to each device.
//
// Built once, frozen before the first vCPU runs, then read by every vCPU thread.
// Lock order: one device lock at a time, except that the port of our init takes the serial port's inside its
// own; devices never call back into the bus.
#pragma once

#include <deque>
#include <string_view>
#include <vector>

#include "devices/io/io_device.h"
#include "vmm/error/ints.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

class Bus {
  public:
    Bus() { ranges_.reserve(kRangesUsual); }
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;

    /// `device` outlives the bus. Ranges of one bus do not overlap (VERIFY). One device may be mapped at
    /// several ranges: it then has one lock, and sees offsets counted from each range's base plus
    /// `offset_base`.
    void map(u64 base, u64 size_bytes, IoDevice& device, u64 offset_base = 0);

    /// The device that answers where nothing is mapped: a bus behind this one. It is called without a lock of
    /// this bus, since its devices have their own. `offset_bytes` is the address. At most once.
    void set_fallback(IoDevice& device) { fallback_ = &device; }

    /// Whether map() may be called with this range.
    [[nodiscard]] bool is_free(u64 base, u64 size_bytes) const;

    /// Reads all ones where no device is mapped, or where the access crosses a device's edge and the fallback
    /// does not answer.
    [[nodiscard]] u64 read(u64 address, u8 size_bytes) const;
    /// Ignored in the same cases.
    void write(u64 address, u8 size_bytes, u64 value) const;

    /// The device's name; empty where no device is mapped.
    [[nodiscard]] std::string_view name_at(u64 address) const;

    /// `device`'s lock, for an access that does not come from a vCPU (console input).
    [[nodiscard]] Mutex& mutex_of(const IoDevice& device) const;

  private:
    static constexpr std::size_t kRangesUsual = 48;
    struct Range {
        u64 base = 0;
        u64 size_bytes = 0;
        u64 offset_base = 0;
        IoDevice* device = nullptr;
        Mutex* mutex = nullptr;
    };
    static bool is_below(u64 address, const Range& range) { return address < range.base; }
    struct Hit {
        const Range* range = nullptr;
        IoAccess at{};
    };
    [[nodiscard]] Hit find(u64 address, u8 size_bytes) const;

    std::vector<Range> ranges_;  // sorted by base
    IoDevice* fallback_ = nullptr;
    std::deque<Mutex> mutexes_;  // one per device; a deque never moves them
};

}  // namespace mayfly
