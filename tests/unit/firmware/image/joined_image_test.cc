// SPDX-License-Identifier: Apache-2.0
#include "firmware/image/joined_image.h"

#include <string>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

Image image(const char* name, std::string_view text) {
    return Image::from_bytes(name, std::as_bytes(std::span(text.data(), text.size())));
}

std::string contents(const Image& image) {
    std::string text(image.size_bytes(), '\xff');
    REQUIRE(image.read(0, std::as_writable_bytes(std::span(text))));
    return text;
}

}  // namespace

TEST_CASE("images are joined in their order, each at a multiple of 4", "[joined_image]") {
    const Image parts[] = {image("a", "12345"), image("b", "6789"), image("c", "x")};
    const Result<Image> joined = join_images(parts, 4096, {});
    REQUIRE(joined);
    CHECK(contents(*joined) == std::string("12345\0\0\0"
                                           "6789"
                                           "x",
                                           13));
    CHECK(joined->name() == "a + b + c");
}

TEST_CASE("images that are larger than the limit are refused", "[joined_image]") {
    const Image parts[] = {image("a", "12345"), image("b", "6789")};
    CHECK(join_images(parts, 12, {}));
    const Result<Image> refused = join_images(parts, 11, {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message().find("a + b: ") == 0);
    // Not even the padding fits.
    CHECK_FALSE(join_images(parts, 6, {}));
}
