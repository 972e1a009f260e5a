// SPDX-License-Identifier: Apache-2.0
// Listing: the names in a directory; and the kind of file of a status.
//
// Thread: init's only one. Specification: getdents64(2), inode(7).
#pragma once

#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

/// Of st_mode; <linux/stat.h> hides S_IFMT and the like from files that include a C library's header.
inline constexpr u32 kTypeMask = 0170000;
inline constexpr u32 kDirectoryType = 0040000;
inline constexpr u32 kRegularType = 0100000;
inline constexpr u32 kLinkType = 0120000;

class Listing {
  public:
    /// `directory` outlives it.
    explicit Listing(int directory) : directory_(static_cast<u64>(directory)) {}

    /// The next name, without "." and "..". Valid until the next call; null at the end.
    [[nodiscard]] const char* next() {
        for (;;) {
            if (at_ == got_) {
                at_ = 0;
                got_ = system_call(__NR_getdents64, directory_, address(records_), sizeof(records_));
                if (got_ <= 0) {
                    error_ = got_;
                    got_ = 0;
                    return nullptr;
                }
            }
            // SAFETY: the kernel has put whole records there, each aligned for the next.
            const auto* record = reinterpret_cast<const Record*>(records_ + at_);
            at_ += record->record_bytes;
            if (!is_same(record->name, ".") && !is_same(record->name, "..")) return record->name;
        }
    }
    /// The reason for the end: 0, or a negated errno.
    [[nodiscard]] long error() const { return error_; }

  private:
    struct Record {
        u64 inode;
        i64 offset;
        u16 record_bytes;
        u8 type;
        char name[1];
    };

    const u64 directory_;
    long at_ = 0;
    long got_ = 0;
    long error_ = 0;
    alignas(u64) char records_[4096] = {};
};

}  // namespace mayfly::init
