// SPDX-License-Identifier: Apache-2.0
// Decoder: values from bytes that an Encoder wrote, or anybody: a snapshot may come from a stranger.
//
// After a failure every value is the default of its type, and nothing is read. Memory is bounded by the
// bytes: a list gets an element only when there are bytes of it, bulk at most 128 times its map.
// Thread: one owner.
#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>

#include "vmm/snapshot/format/coded_types.h"

namespace mayfly {

class Decoder {
  public:
    /// `bytes` outlive the decoder.
    explicit Decoder(std::span<const std::byte> bytes) : bytes_(bytes) {}

    template <typename... Values>
    void operator()(Values&... values) {
        (get(values), ...);
    }
    /// Every value was there and possible, and nothing follows.
    [[nodiscard]] bool is_complete() const { return !has_failed_ && at_ == bytes_.size(); }
    [[nodiscard]] bool has_failed() const { return has_failed_; }
    /// Where reading ended, or failed.
    [[nodiscard]] std::size_t position() const { return at_; }
    /// A value is impossible.
    void fail() { has_failed_ = true; }

  private:
    template <typename T>
    void get(T& value) {
        if constexpr (std::is_same_v<T, std::monostate>) {
            // Nothing tells one from another.
        } else if constexpr (std::is_same_v<T, bool>) {
            value = get_word_up_to(1, sizeof(u8)) != 0;
        } else if constexpr (std::is_enum_v<T>) {
            using Underlying = std::underlying_type_t<T>;
            value =
                static_cast<T>(get_word_up_to(static_cast<u64>(coded::last_value<T>), sizeof(Underlying)));
        } else if constexpr (std::is_integral_v<T>) {
            value = static_cast<T>(get_word(sizeof value));
        } else if constexpr (coded::is_optional<T>) {
            get_optional(value);
        } else if constexpr (coded::is_variant<T>) {
            get_variant(value, std::make_index_sequence<std::variant_size_v<T>>());
        } else if constexpr (coded::is_bulk<T>) {
            if constexpr (coded::is_resizable<T>) value.resize(get_bulk_size());
            get_bulk(std::as_writable_bytes(std::span(value)));
        } else if constexpr (coded::is_list<T>) {
            get_list(value);
        } else if constexpr (coded::is_kernel_structure<T>) {
            static_assert(std::is_trivially_copyable_v<T>);
            value = T{};
            get_bulk(std::as_writable_bytes(std::span(&value, 1)));
        } else {
            fields(*this, value);
        }
    }

    template <typename T>
    void get_optional(std::optional<T>& value) {
        bool has_value = false;
        get(has_value);
        value.reset();
        // Clang 14 takes a nested structure for one without a default, where its class holds an optional of
        // it.
        if (has_value) get(value.emplace(T{}));
    }

    template <typename Variant, std::size_t... kIndex>
    void get_variant(Variant& value, std::index_sequence<kIndex...> /*all*/) {
        const u64 index = get_word_up_to(sizeof...(kIndex) - 1, sizeof(u8));
        ((index == kIndex ? get(value.template emplace<kIndex>()) : void()), ...);
    }

    template <typename List>
    void get_list(List& list) {
        if constexpr (!coded::is_resizable<List>) {
            for (auto& element : list) get(element);
        } else {
            list.clear();
            for (u64 left = get_word(sizeof(u32)); left > 0; --left) {
                if (has_failed_ || at_ == bytes_.size()) return fail();
                get(list.emplace_back());
            }
        }
    }

    [[nodiscard]] u64 get_word(std::size_t width_bytes);
    /// Fails for a greater value.
    [[nodiscard]] u64 get_word_up_to(u64 max, std::size_t width_bytes);
    /// 0 where its map is missing.
    [[nodiscard]] std::size_t get_bulk_size();
    void get_bulk(std::span<std::byte> out);
    /// The next bytes; empty, and a failure, where they are fewer.
    [[nodiscard]] std::span<const std::byte> take(std::size_t count);

    std::span<const std::byte> bytes_;
    std::size_t at_ = 0;
    bool has_failed_ = false;
};

}  // namespace mayfly
