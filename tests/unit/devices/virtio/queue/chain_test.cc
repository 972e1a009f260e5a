// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/queue/chain.h"

#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

namespace {

using namespace mayfly;

/// "abc" | "defgh" | "i"
struct Parts {
    std::array<char, 9> bytes{'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'};
    std::array<iovec, 3> parts{iovec{bytes.data(), 3}, iovec{bytes.data() + 3, 5},
                               iovec{bytes.data() + 8, 1}};
};

std::string text_of(std::span<const iovec> parts) {
    std::string text;
    for (const iovec& part : parts) text.append(static_cast<const char*>(part.iov_base), part.iov_len);
    return text;
}

TEST_CASE("bytes are copied from any offset of scattered parts", "[chain]") {
    const std::string_view all = "abcdefghi";
    Parts it;
    for (std::size_t offset = 0; offset <= 10; ++offset) {
        for (std::size_t size = 0; size <= 10; ++size) {
            std::array<char, 10> out{};
            const bool is_inside = offset + size <= 9;
            const bool is_copied =
                copy_from_parts(it.parts, offset, std::as_writable_bytes(std::span(out)).first(size));
            INFO("offset " << offset << ", size " << size);
            if (size != 0) REQUIRE(is_copied == is_inside);
            if (is_inside) REQUIRE(std::string_view(out.data(), size) == all.substr(offset, size));
        }
    }
}

TEST_CASE("bytes are copied to any offset of scattered parts, whole or not at all", "[chain]") {
    for (std::size_t offset = 0; offset <= 10; ++offset) {
        for (std::size_t size = 0; size <= 10; ++size) {
            Parts it;
            std::string expected = "abcdefghi";
            const bool is_inside = offset + size <= 9;
            if (is_inside) expected.replace(offset, size, std::string("0123456789").substr(0, size));
            const bool is_copied =
                copy_to_parts(it.parts, offset, std::as_bytes(std::span("0123456789", 10)).first(size));
            INFO("offset " << offset << ", size " << size);
            REQUIRE(is_copied == is_inside);
            REQUIRE(text_of(it.parts) == expected);
        }
    }
    Parts it;
    REQUIRE_FALSE(copy_to_parts(it.parts, ~u64{0}, std::as_bytes(std::span("01", 2))));
}

TEST_CASE("a value is read across parts", "[chain]") {
    Parts it;
    REQUIRE(read_from_parts<u32>(it.parts, 1) == 0x65646362U);
    REQUIRE_FALSE(read_from_parts<u32>(it.parts, 6));
    REQUIRE_FALSE(read_from_parts<u32>({}, 0));
}

TEST_CASE("the front of parts can be dropped and kept", "[chain]") {
    const std::string all = "abcdefghi";
    for (std::size_t count = 0; count <= 11; ++count) {
        INFO("count " << count);
        Parts dropped;
        REQUIRE(text_of(drop_front(dropped.parts, count)) == all.substr(std::min<std::size_t>(count, 9)));
        Parts kept;
        const std::span<iovec> front = keep_front(kept.parts, count);
        REQUIRE(text_of(front) == all.substr(0, count));
        for (const iovec& part : front) REQUIRE(part.iov_len != 0);
        Parts rest;
        for (const iovec& part : drop_front(rest.parts, count)) REQUIRE(part.iov_len != 0);
    }
}

}  // namespace
