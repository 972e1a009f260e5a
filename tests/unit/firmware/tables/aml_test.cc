// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/aml.h"

#include <array>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/tables/bytes.h"

using namespace mayfly;
using test::Bytes;

namespace {

template <typename Write>
std::vector<u8> written(Write write) {
    std::vector<u8> buffer(0x20'0000);
    ByteWriter out(buffer);
    Aml aml(out);
    write(aml);
    REQUIRE(out.fits());
    return {out.written().begin(), out.written().end()};
}

std::vector<u8> integer(u64 value) {
    return written([&](Aml& aml) { aml.integer(value); });
}

/// A package of one buffer, whose own overhead is not under test.
std::vector<u8> buffer_of(std::size_t size) {
    const std::vector<u8> content(size, 0xaa);
    return written([&](Aml& aml) { aml.buffer(content); });
}

std::vector<u8> first(const std::vector<u8>& bytes, std::size_t count) {
    return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count)};
}

template <typename Write>
std::vector<u8> resources(Write write) {
    return written([&](Aml& aml) { aml.resource_template(write); });
}

}  // namespace

TEST_CASE("an integer takes its shortest encoding", "[aml]") {
    CHECK(integer(0) == Bytes{0x00}.get());
    CHECK(integer(1) == Bytes{0x01}.get());
    CHECK(integer(2) == Bytes{0x0a, 0x02}.get());
    CHECK(integer(0xff) == Bytes{0x0a, 0xff}.get());
    CHECK(integer(0x100) == Bytes{0x0b, 0x00, 0x01}.get());
    CHECK(integer(0xffff) == Bytes{0x0b, 0xff, 0xff}.get());
    CHECK(integer(0x1'0000) == Bytes{0x0c, 0, 0, 1, 0}.get());
    CHECK(integer(0xffff'ffff) == Bytes{0x0c, 0xff, 0xff, 0xff, 0xff}.get());
    CHECK(integer(0x1'0000'0000) == Bytes{0x0e, 0, 0, 0, 0, 1, 0, 0, 0}.get());
    CHECK(integer(~u64{0}) == Bytes{0xff}.get());
}

TEST_CASE("names are padded, rooted and prefixed by their segment count", "[aml]") {
    const auto name = [](std::string_view path) {
        return written([&](Aml& aml) { aml.name(path).integer(0); });
    };
    CHECK(name("_S5") == Bytes{0x08}.s("_S5_").b(0).get());
    CHECK(name("\\A") == Bytes{0x08, 0x5c}.s("A___").b(0).get());
    CHECK(name("\\_SB.PCI0") == Bytes{0x08, 0x5c, 0x2e}.s("_SB_PCI0").b(0).get());
    CHECK(name("_SB.PCI0.S1") == Bytes{0x08, 0x2f, 3}.s("_SB_PCI0S1__").b(0).get());
}

TEST_CASE("an EISA id is three five-bit letters and four digits in big-endian order", "[aml]") {
    // 'P' 10000 'N' 01110 'P' 10000: 0 10000 01110 10000 = 0x41d0.
    CHECK(written([](Aml& aml) { aml.eisa("PNP0A08"); }) == Bytes{0x0c, 0x41, 0xd0, 0x0a, 0x08}.get());
    static_assert(eisa_id("PNP0501") == 0x0105d041);
}

TEST_CASE("a string ends with NUL", "[aml]") {
    CHECK(written([](Aml& aml) { aml.string("ACPI0007"); }) == Bytes{0x0d}.s("ACPI0007").b(0).get());
}

TEST_CASE("a package length grows by a byte where the shorter form no longer counts it", "[aml]") {
    // BufferOp, PkgLength, then BytePrefix and size: content is 2 + n bytes, or 3 + n from 256 on.
    CHECK(first(buffer_of(60), 4) == Bytes{0x11, 63, 0x0a, 60}.get());
    CHECK(first(buffer_of(61), 5) == Bytes{0x11, 0x40 | 1, 0x04, 0x0a, 61}.get());  // 65 = 0x041
    // 4095 = 0xfff is the last length in two bytes: 2 + 3 + 4090.
    CHECK(first(buffer_of(4090), 6) == Bytes{0x11, 0x4f, 0xff, 0x0b, 0xfa, 0x0f}.get());
    // 4097 = 0x1001
    CHECK(first(buffer_of(4091), 7) == Bytes{0x11, 0x81, 0x00, 0x01, 0x0b, 0xfb, 0x0f}.get());
    // 0xfffff is the last in three: 3 + 5 + 0xffff7.
    CHECK(first(buffer_of(0xf'fff7), 5) == Bytes{0x11, 0x8f, 0xff, 0xff, 0x0c}.get());
    CHECK(first(buffer_of(0xf'fff8), 6) == Bytes{0x11, 0xc1, 0x00, 0x00, 0x01, 0x0c}.get());  // 0x100001
    CHECK(buffer_of(0xf'fff8).size() == 0x10'0001 + 1);
}

TEST_CASE("scopes, devices, methods and packages nest with their lengths", "[aml]") {
    const std::vector<u8> bytes = written([](Aml& aml) {
        aml.scope("\\_SB", [&] {
            aml.device("DEV0", [&] { aml.method("_STA", 0, [&] { aml.return_value().integer(15); }); });
        });
        aml.name("P").package(2, [&] {
            aml.integer(5);
            aml.package(1, [&] { aml.integer(0); });
        });
    });
    const Bytes method = Bytes{0x14, 9}.s("_STA").b(0).b(0xa4).b(0x0a).b(15);  // length: 1 + 4 + 1 + 3
    const Bytes device = Bytes{0x5b, 0x82, 15}.s("DEV0").add(method);          // length: 1 + 4 + 10
    const Bytes scope = Bytes{0x10, 23, 0x5c}.s("_SB_").add(device);           // length: 1 + 5 + 17
    const Bytes package{0x12, 8, 2, 0x0a, 5, 0x12, 3, 1, 0x00};
    CHECK(bytes == Bytes().add(scope).b(0x08).s("P___").add(package).get());
}

TEST_CASE("an empty resource template is an end tag without checksum", "[aml]") {
    CHECK(resources([](AmlResources&) {}) == Bytes{0x11, 5, 0x0a, 2, 0x79, 0x00}.get());
}

TEST_CASE("port, interrupt and fixed memory descriptors are as ACPI 6.4.2 and 6.4.3 lay them out", "[aml]") {
    const std::vector<u8> bytes = resources([](AmlResources& list) {
        list.io(0x3f8, 8);
        list.irq(4);
        list.interrupt(23);
        list.memory32_fixed(0xe000'0000, 0x10'0000);
    });
    const Bytes content = Bytes()
                              .b(0x47)
                              .b(1)
                              .w(0x3f8)
                              .w(0x3f8)
                              .b(1)
                              .b(8)  // I/O, 16-bit decode
                              .b(0x22)
                              .w(1 << 4)  // IRQ, two-byte form
                              .b(0x89)
                              .w(6)
                              .b(0x03)
                              .b(1)
                              .d(23)  // consumer, edge, high
                              .b(0x86)
                              .w(9)
                              .b(1)
                              .d(0xe000'0000)
                              .d(0x10'0000)  // read-write
                              .b(0x79)
                              .b(0);
    REQUIRE(content.size() == 34);
    CHECK(bytes == Bytes{0x11, 37, 0x0a, 34}.add(content).get());
}

TEST_CASE("address space descriptors carry both ends and the length at their width", "[aml]") {
    const std::vector<u8> bytes = resources([](AmlResources& list) {
        list.word_bus_number(0, 0);
        list.word_io(0xd00, 0xffff);
        list.dword_memory(0xd000'0000, 0xdfff'ffff);
        list.qword_memory(0x40'0000'0000, 0x7f'ffff'ffff);
    });
    // Flags 0x0c: both ends fixed. Granularity, first, last, translation, length.
    const Bytes content = Bytes()
                              .b(0x88)
                              .w(13)
                              .b(2)
                              .b(0x0c)
                              .b(0)
                              .w(0)
                              .w(0)
                              .w(0)
                              .w(0)
                              .w(1)
                              .b(0x88)
                              .w(13)
                              .b(1)
                              .b(0x0c)
                              .b(3)
                              .w(0)
                              .w(0xd00)
                              .w(0xffff)
                              .w(0)
                              .w(0xf300)
                              .b(0x87)
                              .w(23)
                              .b(0)
                              .b(0x0c)
                              .b(1)
                              .d(0)
                              .d(0xd000'0000)
                              .d(0xdfff'ffff)
                              .d(0)
                              .d(0x1000'0000)
                              .b(0x8a)
                              .w(43)
                              .b(0)
                              .b(0x0c)
                              .b(1)
                              .q(0)
                              .q(0x40'0000'0000)
                              .q(0x7f'ffff'ffff)
                              .q(0)
                              .q(0x40'0000'0000)
                              .b(0x79)
                              .b(0);
    REQUIRE(content.size() == 106);
    // PkgLength 110 = 0x06e in two bytes: 2 + 2 + 106.
    CHECK(bytes == Bytes{0x11, 0x4e, 0x06, 0x0a, 106}.add(content).get());
}

TEST_CASE("a writer counts what does not fit and stores nothing beyond its buffer", "[byte_writer]") {
    std::array<u8, 6> buffer{0, 0, 0, 0, 0xee, 0xee};  // the last two are not the writer's
    ByteWriter out{std::span<u8>(buffer).first(4)};
    out.put32(0x0403'0201);
    CHECK(out.fits());
    out.put16(0xffff);
    out.open_gap(0, 3);
    out.patch32(2, ~0u);
    CHECK_FALSE(out.fits());
    CHECK(out.size() == 9);
    CHECK(buffer == std::array<u8, 6>{1, 2, 3, 4, 0xee, 0xee});
}
