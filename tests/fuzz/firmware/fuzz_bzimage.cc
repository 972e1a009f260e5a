// SPDX-License-Identifier: Apache-2.0
// bzImages, packed and whole. The first byte of an input chooses repairs.
#include "tests/fuzz/firmware/fuzz_boot.h"

using namespace mayfly;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    if (size < 1) return 0;
    const u8 control = data[0];
    fuzz::FileBytes file(size - 1);
    if (size > 1) std::memcpy(file.data(), data + 1, size - 1);
    if ((control & 0x80) == 0) {
        fuzz::patch<u16>(file, 0x1fe, 0xaa55);
        fuzz::patch<u32>(file, 0x202, 0x53726448);
        fuzz::patch<u8>(file, 0x1f1, 1);
        fuzz::patch<u8>(file, 0x211, fuzz::peek<u8>(file, 0x211) | u8{1});
        const std::size_t kernel_bytes = file.size() > 1024 ? file.size() - 1024 : 0;
        fuzz::patch<u32>(file, 0x1f4, static_cast<u32>((kernel_bytes + 15) / 16));
    }
    // The payload is the rest of the file, so that its last four bytes are its size.
    if ((control & 0x40) == 0 && file.size() > 1024 + 0x100) {
        fuzz::patch<u32>(file, 0x248, 0x100);
        fuzz::patch<u32>(file, 0x24c, static_cast<u32>(file.size() - 1024 - 0x100));
    }
    fuzz::boot(file, Protocol::Auto, false);
    return 0;
}
