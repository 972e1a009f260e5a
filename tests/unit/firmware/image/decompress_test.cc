// SPDX-License-Identifier: Apache-2.0
#include "firmware/image/decompress.h"

#include <algorithm>
#include <atomic>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/image/packer.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

struct Format {
    Packing packing;
    const char* name;
    Bytes (*pack)(const Bytes&);
};
const Format kFormats[] = {{Packing::Gzip, "gzip", pack_gzip},
                           {Packing::Xz, "xz", pack_xz},
                           {Packing::Lzma, "lzma", pack_lzma},
                           {Packing::Lz4Legacy, "lz4", pack_lz4},
                           {Packing::Zstd, "zstd", pack_zstd}};

Bytes mixed(std::size_t size) {
    Bytes bytes(size);
    u32 state = 1;
    for (std::size_t i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = i % 3 == 0 ? std::byte{0} : static_cast<std::byte>(state >> 24);
    }
    return bytes;
}

std::string error_of(Packing packing, const Bytes& packed, u64 size) {
    const Result<Mapping> result = unpack(packing, packed, size);
    return result ? "unpacked" : result.error().message();
}

}  // namespace

TEST_CASE("every format is recognised and unpacks to what was packed", "[decompress]") {
    for (const Format& format : kFormats) {
        for (const std::size_t size : {1u, 5000u, 300000u}) {
            const Bytes plain = mixed(size);
            const Bytes packed = format.pack(plain);
            CHECK(identify_packing(packed) == format.packing);
            CHECK(to_string(format.packing) == format.name);
            const Mapping out = unpack(format.packing, packed, size).value();
            CHECK(Bytes(out.data(), out.data() + size) == plain);
        }
    }
}

TEST_CASE("lz4 unpacks kernels of several 8 MiB blocks", "[decompress]") {
    Bytes plain(20 << 20);
    put_text(plain, 9 << 20, "in the second block");
    const Mapping out = unpack(Packing::Lz4Legacy, pack_lz4(plain), plain.size()).value();
    CHECK(Bytes(out.data(), out.data() + plain.size()) == plain);
}

TEST_CASE("a size that is too small or too large is refused with both sizes", "[decompress]") {
    const Bytes plain = mixed(10000);
    for (const Format& format : kFormats) {
        const Bytes packed = format.pack(plain);
        CHECK(error_of(format.packing, packed, 9999) ==
              fmt::format("the {} data unpacks to more than the 9999 bytes that it claims", format.name));
        CHECK(error_of(format.packing, packed, 10001) ==
              fmt::format("the {} data unpacks to 10000 bytes, but claims 10001", format.name));
    }
}

TEST_CASE("data that expands without end stops at the size it claims", "[decompress]") {
    const Bytes bomb(64 << 20);
    for (const Format& format : kFormats)
        CHECK(error_of(format.packing, format.pack(bomb), 4096) ==
              fmt::format("the {} data unpacks to more than the 4096 bytes that it claims", format.name));
}

TEST_CASE("truncated and corrupt data is refused at every length", "[decompress]") {
    const Bytes plain = mixed(2000);
    for (const Format& format : kFormats) {
        const Bytes packed = format.pack(plain);
        for (std::size_t size = 4; size < packed.size() - 8; size += 61) {
            const Bytes cut(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size));
            CHECK(error_of(format.packing, cut, 2000) != "unpacked");
            Bytes flipped = packed;
            flipped[size] ^= std::byte{0xff};
            (void)error_of(format.packing, flipped, 2000);  // may be sound data; must end
        }
    }
}

TEST_CASE("every decoder obeys a stop", "[decompress]") {
    std::atomic<bool> is_wanted = false;
    const StopToken stop(is_wanted);
    const Bytes plain = mixed(5000);
    for (const Format& format : kFormats) {
        const Bytes packed = format.pack(plain);
        is_wanted = false;
        CHECK(unpack(format.packing, packed, plain.size(), stop).has_value());
        CHECK(unpack_at_most(format.packing, packed, plain.size(), stop).has_value());
        is_wanted = true;
        CHECK(unpack(format.packing, packed, plain.size(), stop).error().kind() == ErrorKind::Stopped);
        CHECK(unpack_at_most(format.packing, packed, plain.size(), stop).error().kind() ==
              ErrorKind::Stopped);
    }
}

TEST_CASE("data unpacked in several pieces is unchanged", "[decompress]") {
    // Soon packed, and no piece like another.
    const Bytes some = mixed(299'993);
    Bytes plain;
    while (plain.size() < 13 << 20) plain.insert(plain.end(), some.begin(), some.end());
    plain.resize(13 << 20);
    for (const Format& format : kFormats) {
        const Bytes packed = format.pack(plain);
        const Mapping out = unpack(format.packing, packed, plain.size()).value();
        CHECK(std::equal(plain.begin(), plain.end(), out.data()));
        CHECK(error_of(format.packing, packed, plain.size() - 1) ==
              fmt::format("the {} data unpacks to more than the {} bytes that it claims", format.name,
                          plain.size() - 1));
    }
}

TEST_CASE("zstd unpacks frames that follow one another", "[decompress]") {
    const Bytes first = mixed(5000);
    Bytes packed = pack_zstd(first);
    const Bytes again = packed;
    // Between them a frame to be skipped: RFC 8878 §3.1.2 "Skippable Frames".
    const Bytes skipped = from_hex("502a4d1803000000aabbcc");
    packed.insert(packed.end(), skipped.begin(), skipped.end());
    packed.insert(packed.end(), again.begin(), again.end());
    const Mapping out = unpack(Packing::Zstd, packed, 10000).value();
    CHECK(std::equal(first.begin(), first.end(), out.data()));
    CHECK(std::equal(first.begin(), first.end(), out.data() + 5000));
}

TEST_CASE("bzip2 and lzo are recognised and refused by name", "[decompress]") {
    CHECK(identify_packing(from_hex("425a683931415926")) == Packing::Bzip2);
    CHECK(identify_packing(from_hex("894c5a4f000d0a1a0a")) == Packing::Lzo);
    CHECK(error_of(Packing::Bzip2, Bytes(10), 10) ==
          "bzip2 compression is not supported (rebuild the kernel with gzip, xz, lzma, lz4 or zstd, or boot "
          "its "
          "vmlinux)");
    CHECK(error_of(Packing::Lzo, Bytes(10), 10).starts_with("lzo compression is not supported"));
    CHECK_FALSE(identify_packing(from_hex("894c")));
    CHECK_FALSE(identify_packing({}));
}
