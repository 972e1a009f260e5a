// SPDX-License-Identifier: Apache-2.0
// Records as an init, or a pretender, would send them.
#pragma once

#include <cstring>
#include <span>
#include <string>

#include "vmm/error/ints.h"

namespace mayfly::test {

enum : u32 { kDirectory = 1, kFile, kData, kFileEnd, kLink, kLeftOut, kProblem, kEnd };

struct Record {
    u32 kind = 0;
    std::string path{};
    std::string data{};
    u64 value = 0;
    u32 copy = 0;
    u32 mode = 0644;
    i64 mtime = 1'000'000'000;
    u32 mtime_ns = 500;

    [[nodiscard]] std::string bytes() const {
        const u32 words[6] = {kind, copy,    static_cast<u32>(path.size()), static_cast<u32>(data.size()),
                              mode, mtime_ns};
        std::string text(sizeof(words) + sizeof(value) + sizeof(mtime), '\0');
        std::memcpy(text.data(), words, sizeof(words));
        std::memcpy(text.data() + sizeof(words), &value, sizeof(value));
        std::memcpy(text.data() + sizeof(words) + sizeof(value), &mtime, sizeof(mtime));
        return text + path + data;
    }
};

inline std::string bytes_of(std::initializer_list<Record> records) {
    std::string text;
    for (const Record& record : records) text += record.bytes();
    return text;
}

inline std::span<const std::byte> as_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

}  // namespace mayfly::test
