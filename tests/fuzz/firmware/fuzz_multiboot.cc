// SPDX-License-Identifier: Apache-2.0
// Multiboot 1 and 2. The first byte of an input chooses protocol and repairs.
#include "tests/fuzz/firmware/fuzz_boot.h"

using namespace mayfly;

namespace {

void repair_multiboot1(fuzz::FileBytes& file, std::size_t at) {
    fuzz::patch<u32>(file, at, 0x1badb002);
    fuzz::patch<u32>(file, at + 8, 0u - 0x1badb002 - fuzz::peek<u32>(file, at + 4));
}

void repair_multiboot2(fuzz::FileBytes& file, std::size_t at) {
    fuzz::patch<u32>(file, at, 0xe85250d6);
    fuzz::patch<u32>(file, at + 4, 0);
    const u32 length = fuzz::peek<u32>(file, at + 8) % 512;
    fuzz::patch<u32>(file, at + 8, length);
    fuzz::patch<u32>(file, at + 12, 0u - 0xe85250d6 - length);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    if (size < 1) return 0;
    const u8 control = data[0];
    fuzz::FileBytes file(size - 1);
    if (size > 1) std::memcpy(file.data(), data + 1, size - 1);
    const bool is_second = (control & 1) != 0;
    // The seeds have their header at 0x200.
    if ((control & 0x80) == 0 && is_second) repair_multiboot2(file, 0x200);
    if ((control & 0x80) == 0 && !is_second) repair_multiboot1(file, 0x200);
    fuzz::boot(file, is_second ? Protocol::Multiboot2 : Protocol::Multiboot, (control & 4) != 0);
    return 0;
}
