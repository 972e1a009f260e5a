// SPDX-License-Identifier: Apache-2.0
// The decoders. An input is a byte for the format, four for the size claimed, and the data.
#include <cstring>

#include "firmware/image/decompress.h"

using namespace mayfly;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    constexpr std::size_t kHeadBytes = 5;
    if (size < kHeadBytes + 4) return 0;
    const auto packing = static_cast<Packing>(data[0] % 7);
    u32 claimed = 0;
    std::memcpy(&claimed, data + 1, sizeof(claimed));
    claimed = claimed % (1 << 20) + 1;
    const auto packed = std::as_bytes(std::span(data + kHeadBytes, size - kHeadBytes));
    (void)identify_packing(packed);
    const Result<Mapping> out = unpack(packing, packed, claimed);
    if (out && out->size_bytes() < claimed) __builtin_trap();
    return 0;
}
