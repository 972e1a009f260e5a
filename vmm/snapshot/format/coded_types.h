// SPDX-License-Identifier: Apache-2.0
// How Encoder and Decoder treat a type. Both follow this file, so that what one writes the other reads.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "vmm/memory/wire.h"

namespace mayfly::coded {

/// For fields(): T is S, and constant for an Encoder.
template <typename T, typename S>
concept As = std::is_same_v<std::remove_const_t<T>, S>;

/// The greatest value of an enumeration, which starts at 0 and has no gaps. Every coded one says it.
template <typename Enumeration>
inline constexpr Enumeration last_value = Enumeration::undeclared;

/// A structure of Linux's interface, whose bytes are the same on every x86-64 host, and never change.
template <typename T>
inline constexpr bool is_kernel_structure = false;

template <typename T>
inline constexpr bool is_optional = false;
template <typename T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <typename T>
inline constexpr bool is_variant = false;
template <typename... Alternatives>
inline constexpr bool is_variant<std::variant<Alternatives...>> = true;

template <typename T>
inline constexpr bool is_resizable = false;
template <typename T>
inline constexpr bool is_resizable<std::vector<T>> = true;
template <>
inline constexpr bool is_resizable<std::string> = true;

template <typename T>
inline constexpr bool is_list = is_resizable<T>;
template <typename T, std::size_t N>
inline constexpr bool is_list<std::array<T, N>> = true;

template <typename T>
inline constexpr bool is_byte =
    std::is_same_v<T, std::byte> || std::is_same_v<T, u8> || std::is_same_v<T, char>;

/// Bytes that are coded together.
template <typename T>
inline constexpr bool is_bulk = false;
template <typename T>
inline constexpr bool is_bulk<std::vector<T>> = is_byte<T>;
template <>
inline constexpr bool is_bulk<std::string> = true;
template <typename T, std::size_t N>
inline constexpr bool is_bulk<std::array<T, N>> = is_byte<T>;

/// Bulk is written as pieces of this size: a bit for each tells whether it has anything but zeros, then come
/// those that have. The bits fill bytes from the lowest on; the last piece may be shorter.
inline constexpr std::size_t kPieceBytes = 16;

[[nodiscard]] constexpr std::size_t pieces_of(std::size_t bytes) {
    return (bytes + kPieceBytes - 1) / kPieceBytes;
}
[[nodiscard]] constexpr std::size_t map_bytes_of(std::size_t bytes) { return (pieces_of(bytes) + 7) / 8; }

}  // namespace mayfly::coded
