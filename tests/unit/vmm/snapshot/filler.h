// SPDX-License-Identifier: Apache-2.0
// Filler: a coder that gives every member a random value of its type, through the fields() that Encoder and
// Decoder use.
#pragma once

#include <optional>
#include <random>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>

#include "vmm/snapshot/format/coded_types.h"

namespace mayfly {

class Filler {
  public:
    explicit Filler(unsigned seed) : random_(seed) {}

    template <typename... Values>
    void operator()(Values&... values) {
        (fill(values), ...);
    }
    [[nodiscard]] u64 below(u64 bound) { return random_() % bound; }

  private:
    template <typename T>
    void fill(T& value) {
        if constexpr (std::is_same_v<T, std::monostate>) {
        } else if constexpr (std::is_same_v<T, bool>) {
            value = below(2) != 0;
        } else if constexpr (std::is_enum_v<T>) {
            value = static_cast<T>(below(static_cast<u64>(coded::last_value<T>) + 1));
        } else if constexpr (std::is_integral_v<T>) {
            value = static_cast<T>(random_());
        } else if constexpr (coded::is_optional<T>) {
            value.reset();
            if (below(2) != 0) fill(value.emplace());
        } else if constexpr (coded::is_variant<T>) {
            fill_variant(value, std::make_index_sequence<std::variant_size_v<T>>());
        } else if constexpr (coded::is_bulk<T>) {
            if constexpr (coded::is_resizable<T>) value.resize(below(200));
            fill_bulk(std::as_writable_bytes(std::span(value)));
        } else if constexpr (coded::is_list<T>) {
            if constexpr (coded::is_resizable<T>) value.resize(below(5));
            for (auto& element : value) fill(element);
        } else if constexpr (coded::is_kernel_structure<T>) {
            fill_bulk(std::as_writable_bytes(std::span(&value, 1)));
        } else {
            fields(*this, value);
        }
    }

    template <typename Variant, std::size_t... kIndex>
    void fill_variant(Variant& value, std::index_sequence<kIndex...> /*all*/) {
        const u64 index = below(sizeof...(kIndex));
        ((index == kIndex ? fill(value.template emplace<kIndex>()) : void()), ...);
    }

    /// With stretches of zeros.
    void fill_bulk(std::span<std::byte> bytes) {
        for (std::byte& byte : bytes) {
            if (below(30) == 0) is_zero_ = !is_zero_;
            byte = is_zero_ ? std::byte{0} : static_cast<std::byte>(random_());
        }
    }

    std::mt19937_64 random_;
    bool is_zero_ = false;
};

}  // namespace mayfly
