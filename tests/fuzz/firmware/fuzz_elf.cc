// SPDX-License-Identifier: Apache-2.0
// ELF kernels by the Linux and PVH protocols, and the search for drivers among their constants. The first
// byte of an input chooses protocol and repairs.
#include "firmware/boot/linux_driver.h"
#include "tests/fuzz/firmware/fuzz_boot.h"

using namespace mayfly;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    if (size < 1) return 0;
    const u8 control = data[0];
    fuzz::FileBytes file(size - 1);
    if (size > 1) std::memcpy(file.data(), data + 1, size - 1);
    // Mostly valid: mutating these fields soon finds nothing new.
    if ((control & 0x80) == 0) {
        fuzz::patch<u32>(file, 0, 0x464c457f);
        fuzz::patch<u8>(file, 5, 1);
        const bool is_64 = fuzz::peek<u8>(file, 4) != 1;
        fuzz::patch<u8>(file, 4, is_64 ? 2 : 1);
        fuzz::patch<u16>(file, 16, 2);
        fuzz::patch<u16>(file, 18, is_64 ? 62 : 3);
        fuzz::patch<u16>(file, is_64 ? 54 : 42, is_64 ? 56 : 32);
        fuzz::patch<u16>(file, is_64 ? 56 : 44, fuzz::peek<u16>(file, is_64 ? 56 : 44) % 8);
        if (is_64) fuzz::patch<u16>(file, 58, 64);  // e_shentsize
    }
    // A whole word, which may be missing from the file.
    const UnpackedKernel kernel = read_unpacked(Image::from_bytes("kernel", file));
    const ElfKernel* elf = good_elf(kernel.elf);
    const bool has_driver_word = elf != nullptr && has_driver({kernel.image, *elf}, "virtio_console");
    constexpr std::string_view kWord{"\0virtio_console\0", 16};
    fuzz::expect(!has_driver_word ||
                 ::memmem(file.data(), file.size(), kWord.data(), kWord.size()) != nullptr);
    constexpr Protocol kProtocols[] = {Protocol::Auto, Protocol::Linux, Protocol::Pvh, Protocol::Auto};
    fuzz::boot(file, kProtocols[control & 3], (control & 4) != 0);
    return 0;
}
