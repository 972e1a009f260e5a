// SPDX-License-Identifier: Apache-2.0
// PrintkRecords: the records of a Linux guest's log, read out of its memory.
//
// Everything read is a guest's: ids, lengths and positions are checked, and a record counts only where its
// descriptor stayed the same from the beginning of the reading to its end. Thread: any.
#pragma once

#include <optional>
#include <string>

#include "firmware/boot/printk_ring.h"

namespace mayfly {

class PrintkRecords {
  public:
    explicit PrintkRecords(const PrintkRing& ring) : ring_(ring) {}

    /// Before anything is read.
    void set_memory(const GuestMemory& memory) { memory_ = &memory; }

    struct Record {
        u64 time_ns;
        int level;  ///< syslog's, 0 to 7
        std::string text;
    };
    enum class Found : u8 { Record, Nothing, Unfinished };
    struct Reading {
        Found found = Found::Nothing;
        Record record{};
    };
    /// `has_ended`: the guest writes no more, so committed records are not continued.
    [[nodiscard]] Reading read(u64 id, bool has_ended) const;

    /// The id after the newest record's.
    [[nodiscard]] u64 end_id() const;
    [[nodiscard]] u64 first_id() const { return ring_.first_id; }
    /// The largest number of records.
    [[nodiscard]] u64 count_max() const { return u64{1} << ring_.count_bits; }
    /// The largest size of their text together.
    [[nodiscard]] u64 text_max() const { return u64{1} << ring_.text_bits; }

    // Ids have 62 bits and wrap.
    [[nodiscard]] static bool is_older(u64 id, u64 other) { return static_cast<i64>((id - other) << 2) < 0; }
    [[nodiscard]] static u64 after(u64 id, u64 records) { return (id + records) & kIdMask; }
    [[nodiscard]] static u64 before(u64 id, u64 records) { return (id - records) & kIdMask; }
    [[nodiscard]] static u64 distance(u64 from, u64 to) { return (to - from) & kIdMask; }

  private:
    // kernel/printk/printk_ringbuffer.h: the upper two bits of a descriptor's first word are its state.
    static constexpr u64 kIdMask = ~u64{0} >> 2;
    /// Empty when the record's text is gone.
    [[nodiscard]] std::optional<std::string> read_text(u64 id, u64 begin, u64 next, u64 bytes_max) const;

    PrintkRing ring_;
    const GuestMemory* memory_ = nullptr;
};

}  // namespace mayfly
