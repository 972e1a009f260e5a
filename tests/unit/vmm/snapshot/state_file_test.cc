// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/format/state_file.h"

#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>
#include <zlib.h>

namespace mayfly {

namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes(std::string_view text) {
    Bytes out(text.size());
    std::memcpy(out.data(), text.data(), text.size());
    return out;
}

/// One that says "abc" and one that says nothing.
Bytes small_file() {
    const std::array sections{
        Section{.tag = section_tag("ABC1"), .version = 7, .is_critical = true, .payload = bytes("abc")},
        Section{.tag = section_tag("Void"), .version = 1, .is_critical = false, .payload = {}}};
    return write_state_file(sections);
}

void put(Bytes& file, std::size_t at, std::size_t width, u64 value) {
    for (std::size_t i = 0; i < width; ++i) file[at + i] = static_cast<std::byte>(value >> 8 * i);
}

/// As a forger would.
void sign(Bytes& file) {
    put(file, 32, 4, 0);
    put(file, 32, 4, ::crc32_z(0, reinterpret_cast<const Bytef*>(file.data()), file.size()));
}

std::string refusal_of(const Bytes& file) {
    const auto sections = read_state_file(file);
    REQUIRE_FALSE(sections.has_value());
    return sections.error().message();
}

/// Of the small file with another value in a place.
std::string refusal_with(std::size_t at, std::size_t width, u64 value) {
    Bytes file = small_file();
    put(file, at, width, value);
    sign(file);
    return refusal_of(file);
}

}  // namespace

TEST_CASE("a state file has the layout that its header describes", "[snapshot]") {
    const Bytes file = small_file();
    Bytes expected = bytes("mayflySS");
    expected.resize(64 + 2 * 32);
    put(expected, 8, 2, 1);
    put(expected, 12, 4, 64);
    put(expected, 16, 8, 131);
    put(expected, 24, 4, 2);
    std::memcpy(expected.data() + 64, "ABC1", 4);
    put(expected, 68, 2, 7);
    put(expected, 70, 2, 1);
    put(expected, 72, 8, 128);
    put(expected, 80, 8, 3);
    std::memcpy(expected.data() + 96, "Void", 4);
    put(expected, 100, 2, 1);
    put(expected, 104, 8, 131);
    const Bytes abc = bytes("abc");
    expected.insert(expected.end(), abc.begin(), abc.end());
    sign(expected);
    CHECK(file == expected);
}

TEST_CASE("a state file is read as it was written", "[snapshot]") {
    const Bytes file = small_file();
    const auto sections = read_state_file(file);
    REQUIRE(sections.has_value());
    REQUIRE(sections->size() == 2);
    CHECK((*sections)[0].tag == section_tag("ABC1"));
    CHECK((*sections)[0].version == 7);
    CHECK((*sections)[0].is_critical);
    CHECK(Bytes((*sections)[0].payload.begin(), (*sections)[0].payload.end()) == bytes("abc"));
    CHECK_FALSE((*sections)[1].is_critical);
    CHECK((*sections)[1].payload.empty());
    CHECK(read_state_file(write_state_file({}))->empty());
}

TEST_CASE("a state file that is wrong is refused with what is wrong", "[snapshot]") {
    CHECK(refusal_of({}) == "it is not a snapshot of mayfly: it does not begin with mayflySS");
    CHECK(refusal_of(bytes("{\"vmm_version\":\"1.17.0\"}")) ==
          "it is not a snapshot of mayfly: it does not begin with mayflySS");
    CHECK(refusal_of(bytes("mayflySS")) == "the snapshot is damaged: it has 8 bytes, and its header 64");
    CHECK(refusal_with(8, 2, 2) ==
          "its format is 2.0, and this mayfly reads 1.x (a newer mayfly has written it)");
    CHECK(refusal_with(8, 2, 0) ==
          "its format is 0.0, and this mayfly reads 1.x (an older mayfly has written it)");
    CHECK(refusal_with(16, 8, 132) == "the snapshot is damaged: it has 131 bytes, and should have 132");
    CHECK(refusal_with(12, 4, 65) == "the snapshot is damaged: its header");
    CHECK(refusal_with(28, 4, 1) == "the snapshot is damaged: its header");
    CHECK(refusal_with(36, 1, 1) == "the snapshot is damaged: its header");
    CHECK(refusal_with(63, 1, 1) == "the snapshot is damaged: its header");
    CHECK(refusal_with(24, 4, 3) == "the snapshot is damaged: it lists 3 sections");
    CHECK(refusal_with(24, 4, 65) == "the snapshot is damaged: it lists 65 sections");
    CHECK(refusal_with(24, 4, 0xffff'ffff) == "the snapshot is damaged: it lists 4294967295 sections");
    CHECK(refusal_with(24, 4, 1) == "the snapshot is damaged: the place of its section ABC1");
    CHECK(refusal_with(72, 8, 127) == "the snapshot is damaged: the place of its section ABC1");
    CHECK(refusal_with(80, 8, 4) == "the snapshot is damaged: the place of its section ABC1");
    CHECK(refusal_with(80, 8, ~u64{0}) == "the snapshot is damaged: the place of its section ABC1");
    CHECK(refusal_with(80, 8, 2) == "the snapshot is damaged: the place of its section Void");
    CHECK(refusal_with(70, 2, 2) == "the snapshot is damaged: the place of its section ABC1");
    CHECK(refusal_with(88, 8, 1) == "the snapshot is damaged: the place of its section ABC1");
    CHECK(refusal_with(96, 4, section_tag("ABC1")) == "the snapshot is damaged: it has two sections ABC1");
    Bytes longer = small_file();
    longer.push_back(std::byte{0});
    put(longer, 16, 8, 132);
    sign(longer);
    CHECK(refusal_of(longer) == "the snapshot is damaged: 1 bytes are in no section");
    Bytes changed = small_file();
    changed.back() = std::byte{'d'};
    CHECK(refusal_of(changed) == "the snapshot is damaged: its checksum");
    Bytes large(kStateBytesMax + 1);
    std::memcpy(large.data(), changed.data(), 64);
    put(large, 16, 8, large.size());
    CHECK(refusal_of(large) == "the snapshot is damaged: it has 16777217 bytes, the limit is 16777216");
}

TEST_CASE("a section's tag is shown as letters", "[snapshot]") {
    CHECK(print_tag(section_tag("CPUS")) == "CPUS");
    CHECK(print_tag(0x1b5b'0041) == "A???");
}

}  // namespace mayfly
