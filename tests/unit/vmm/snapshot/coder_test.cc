// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include "vmm/snapshot/format/decoder.h"
#include "vmm/snapshot/format/encoder.h"

namespace mayfly {

namespace {

enum class Colour : u8 { Red, Green, Blue };

}  // namespace

template <>
inline constexpr auto coded::last_value<Colour> = Colour::Blue;

namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes(std::initializer_list<int> values) {
    Bytes out;
    for (const int value : values) out.push_back(static_cast<std::byte>(value));
    return out;
}

template <typename... Values>
Bytes encoded(const Values&... values) {
    Encoder encoder;
    encoder(values...);
    return encoder.bytes();
}

/// Nothing where the decoder refuses the bytes.
template <typename T>
std::optional<T> decoded(const Bytes& from) {
    T value{};
    Decoder decoder(from);
    decoder(value);
    if (!decoder.is_complete()) return std::nullopt;
    return value;
}

}  // namespace

TEST_CASE("words are little-endian and as wide as their type", "[snapshot]") {
    CHECK(encoded(u8{1}, u16{0x0302}, u32{0x07060504}, i64{-2}) ==
          bytes({1, 2, 3, 4, 5, 6, 7, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
    CHECK(decoded<i64>(bytes({0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})) == -2);
    CHECK(decoded<u16>(bytes({2, 3})) == 0x0302);
    CHECK_FALSE(decoded<u16>(bytes({2})).has_value());
    CHECK_FALSE(decoded<u16>(bytes({2, 3, 4})).has_value());
}

TEST_CASE("a flag is 0 or 1, an enumeration one of its values", "[snapshot]") {
    CHECK(encoded(true, false, Colour::Blue) == bytes({1, 0, 2}));
    CHECK(decoded<bool>(bytes({1})) == true);
    CHECK_FALSE(decoded<bool>(bytes({2})).has_value());
    CHECK(decoded<Colour>(bytes({2})) == Colour::Blue);
    CHECK_FALSE(decoded<Colour>(bytes({3})).has_value());
}

TEST_CASE("an optional and a variant say what they hold", "[snapshot]") {
    using Choice = std::variant<std::monostate, u8, u16>;
    CHECK(encoded(std::optional<u8>(), std::optional<u8>(7)) == bytes({0, 1, 7}));
    CHECK(decoded<std::optional<u8>>(bytes({1, 7})) == std::optional<u8>(7));
    CHECK_FALSE(decoded<std::optional<u8>>(bytes({2, 7})).has_value());
    CHECK(encoded(Choice(), Choice(u16{0x0102})) == bytes({0, 2, 2, 1}));
    CHECK(decoded<Choice>(bytes({2, 2, 1})) == Choice(u16{0x0102}));
    CHECK_FALSE(decoded<Choice>(bytes({3, 2, 1})).has_value());
}

TEST_CASE("a list has its count before it, and no more elements than bytes", "[snapshot]") {
    using List = std::vector<u16>;
    CHECK(encoded(List{1, 2}) == bytes({2, 0, 0, 0, 1, 0, 2, 0}));
    CHECK(decoded<List>(bytes({2, 0, 0, 0, 1, 0, 2, 0})) == List({1, 2}));
    CHECK(encoded(std::array<u16, 2>{1, 2}) == bytes({1, 0, 2, 0}));
    // Four thousand million of them: refused after the second.
    CHECK_FALSE(decoded<List>(bytes({0xff, 0xff, 0xff, 0xff, 1, 0, 2, 0})).has_value());
}

TEST_CASE("bulk is written without its zeros", "[snapshot]") {
    Bytes bulk(40);
    bulk[17] = std::byte{9};
    bulk[39] = std::byte{8};
    Bytes expected = bytes({40, 0, 0, 0, 0b110, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    expected.insert(expected.end(), 7, std::byte{0});
    expected.push_back(std::byte{8});
    CHECK(encoded(bulk) == expected);
    CHECK(decoded<Bytes>(expected) == bulk);
    CHECK(encoded(std::string("ab")) == bytes({2, 0, 0, 0, 1, 'a', 'b'}));
    CHECK(decoded<std::string>(bytes({2, 0, 0, 0, 1, 'a', 'b'})) == "ab");
    CHECK(encoded(std::array<u8, 2>{1, 2}) == bytes({1, 1, 2}));

    SECTION("a piece that the bulk does not have") {
        CHECK_FALSE(decoded<std::string>(bytes({2, 0, 0, 0, 2, 'a', 'b'})).has_value());
    }
    SECTION("a piece that is cut off") {
        CHECK_FALSE(decoded<std::string>(bytes({2, 0, 0, 0, 1, 'a'})).has_value());
    }
    SECTION("more bytes than its map has room for") {
        CHECK_FALSE(decoded<std::string>(bytes({0xff, 0xff, 0xff, 0xff, 1, 'a'})).has_value());
    }
    SECTION("old bytes do not show through") {
        std::array<u8, 2> old{3, 4};
        const Bytes none = bytes({0});
        Decoder decoder(none);
        decoder(old);
        CHECK(decoder.is_complete());
        CHECK(old == std::array<u8, 2>{});
    }
}

TEST_CASE("after a failure nothing is read", "[snapshot]") {
    const Bytes from = bytes({2, 1, 1});
    bool flag = true;
    u8 next = 5;
    std::optional<u8> held = 6;
    Decoder decoder(from);
    decoder(flag, next, held);
    CHECK(decoder.has_failed());
    CHECK_FALSE(flag);
    CHECK(next == 0);
    CHECK_FALSE(held.has_value());
    CHECK(decoder.position() == 1);
}

}  // namespace mayfly
