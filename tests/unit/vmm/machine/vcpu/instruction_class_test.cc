// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/vcpu/instruction_class.h"

#include <vector>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

std::string_view named(std::vector<u8> bytes, bool is_64bit = true) {
    return instruction_class(bytes, is_64bit);
}

}  // namespace

TEST_CASE("the instructions that KVM's interpreter is known to lack are named", "[instruction_class]") {
    CHECK(named({0xf0, 0x48, 0x0f, 0xc7, 0x4d, 0x20}) == "cmpxchg16b");
    CHECK(named({0x0f, 0xc7, 0x0b}) == "cmpxchg8b");
    CHECK(named({0x48, 0x0f, 0xae, 0x2f}) == "xrstor");
    CHECK(named({0x48, 0x0f, 0xc7, 0x1f}) == "xrstors");
    CHECK(named({0x0f, 0x01, 0xd0}) == "xgetbv");
    CHECK(named({0x0f, 0xae, 0x15, 0, 0, 0, 0}) == "ldmxcsr");
    CHECK(named({0x9b, 0xdb, 0xe3}) == "fwait");
    CHECK(named({0xcc}) == "int3");
    CHECK(named({0x0f, 0x01, 0xf9}) == "rdtscp");
    CHECK(named({0x0f, 0x01, 0xca}) == "clac");
    CHECK(named({0x66, 0x0f, 0x38, 0x82, 0x00}) == "invpcid");
    CHECK(named({0x0f, 0x38, 0xf0, 0x00}) == "movbe");
    CHECK(named({0x66, 0x48, 0x0f, 0x7e, 0xc0}) == "movd/movq");
    CHECK(named({0x66, 0x0f, 0xae, 0x30}) == "clwb");
    CHECK(named({0x66, 0x0f, 0xae, 0x38}) == "clflushopt");
    CHECK(named({0x0f, 0x01, 0xc1}) == "vmcall");
    CHECK(named({0x0f, 0x01, 0xd9}) == "vmmcall");
}

TEST_CASE("vector and floating-point instructions are named by their family", "[instruction_class]") {
    CHECK(named({0xdb, 0xe3}) == "x87");
    CHECK(named({0x0f, 0x28, 0xc1}) == "SSE or MMX");
    CHECK(named({0xc5, 0xf8, 0x77}) == "AVX");
    CHECK(named({0x62, 0xf1, 0x7c, 0x48}) == "AVX-512");
    CHECK(named({0x66, 0x0f, 0x38, 0xdc, 0xc1}) == "AES");
    CHECK(named({0xf2, 0x0f, 0x38, 0xf1, 0xc0}) == "crc32");
}

TEST_CASE("the mode decides what a byte means", "[instruction_class]") {
    CHECK(named({0x62, 0x00}, false) == "bound");
    CHECK(named({0xc4, 0x00}, false) != named({0xc4, 0x00}, true));
    // 0x48 is "dec %eax" in 32-bit mode, a prefix in 64-bit mode.
    CHECK(named({0x48, 0x0f, 0xc7, 0x0b}, false) == "an instruction of the one-byte map");
    CHECK(named({0x48, 0x0f, 0xc7, 0x0b}, true) == "cmpxchg16b");
}

TEST_CASE("no bytes, cut bytes and every byte have a name", "[instruction_class]") {
    CHECK(named({}) == "unknown bytes");
    CHECK(named({0x66, 0xf2, 0xf0}) == "unknown bytes");
    CHECK(named({0x48}) == "unknown bytes");
    CHECK_FALSE(named({0x0f}).empty());
    CHECK_FALSE(named({0x0f, 0x38}).empty());
    for (unsigned first = 0; first < 256; ++first) {
        for (unsigned second = 0; second < 256; ++second) {
            for (const bool is_64bit : {false, true}) {
                const u8 a = static_cast<u8>(first);
                const u8 b = static_cast<u8>(second);
                if (named({a, b}, is_64bit).empty() || named({0x0f, a, b}, is_64bit).empty())
                    FAIL("no name for " << first << " " << second);
            }
        }
    }
}
