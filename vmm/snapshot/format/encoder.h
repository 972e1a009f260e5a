// SPDX-License-Identifier: Apache-2.0
// Encoder: values as bytes, of fixed widths, little-endian, one behind the other. Decoder reads them again.
//
// A plain structure is coded by a function `fields(coder, structure)` beside others of its kind, which gives
// all its members to the coder, and which both coders share. Bytes in bulk, and the kernel's structures, are
// written without their zeros.
// Thread: one owner.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "vmm/snapshot/format/coded_types.h"

namespace mayfly {

class Encoder {
  public:
    template <typename... Values>
    void operator()(const Values&... values) {
        (put(values), ...);
    }
    [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

  private:
    template <typename T>
    void put(const T& value) {
        if constexpr (std::is_same_v<T, std::monostate>) {
            // Nothing tells one from another.
        } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::byte>) {
            put_word(static_cast<u8>(value), sizeof(u8));
        } else if constexpr (std::is_enum_v<T>) {
            put(static_cast<std::underlying_type_t<T>>(value));
        } else if constexpr (std::is_integral_v<T>) {
            put_word(static_cast<u64>(value), sizeof value);
        } else if constexpr (coded::is_optional<T>) {
            put(value.has_value());
            if (value) put(*value);
        } else if constexpr (coded::is_variant<T>) {
            put(static_cast<u8>(value.index()));
            std::visit([this](const auto& held) { this->put(held); }, value);
        } else if constexpr (coded::is_bulk<T>) {
            if constexpr (coded::is_resizable<T>) put_count(value.size());
            put_bulk(std::as_bytes(std::span(value)));
        } else if constexpr (coded::is_list<T>) {
            if constexpr (coded::is_resizable<T>) put_count(value.size());
            for (const auto& element : value) put(element);
        } else if constexpr (coded::is_kernel_structure<T>) {
            put_bulk(std::as_bytes(std::span(&value, 1)));
        } else {
            fields(*this, value);
        }
    }

    void put_count(std::size_t count) { put_word(count, sizeof(u32)); }
    /// Its `width_bytes` low bytes.
    void put_word(u64 value, std::size_t width_bytes);
    void put_bulk(std::span<const std::byte> bytes);

    std::vector<std::byte> bytes_;
};

}  // namespace mayfly
