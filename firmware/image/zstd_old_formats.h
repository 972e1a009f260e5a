// SPDX-License-Identifier: Apache-2.0
// Takes the place of zstd's decoders for its formats before 0.8 (August 2016), 75 KiB that no kernel has ever
// needed. The library's decoder calls them when it meets their magic numbers; these answer "out of memory" or
// "generic error", and the data is refused as corrupt.
//
// Included once, by the caller of the library: a linker that has these takes nothing from the library's own
// object files. Weak, so that a library that has them too does not conflict.
#pragma once

#include <cstddef>

// NOLINTBEGIN(misc-definitions-in-headers,bugprone-macro-parentheses): weak, and the words are names
#define MAYFLY_NO_POINTER(name) \
    extern "C" __attribute__((weak)) void* name() { return nullptr; }
#define MAYFLY_NO_RESULT(name) \
    extern "C" __attribute__((weak)) std::size_t name() { return ~std::size_t{0}; }
/// The sizes of a frame: an error, and ZSTD_CONTENTSIZE_ERROR.
#define MAYFLY_NO_SIZE(name)                                                                  \
    extern "C" __attribute__((weak)) void name(const void*, std::size_t, std::size_t* packed, \
                                               unsigned long long* unpacked) {                \
        *packed = ~std::size_t{0};                                                            \
        *unpacked = 0ULL - 2;                                                                 \
    }
#define MAYFLY_NO_VERSION(v)                              \
    MAYFLY_NO_POINTER(ZSTD##v##_createDCtx)               \
    MAYFLY_NO_POINTER(ZBUFF##v##_createDCtx)              \
    MAYFLY_NO_RESULT(ZSTD##v##_freeDCtx)                  \
    MAYFLY_NO_RESULT(ZSTD##v##_decompress_usingDict)      \
    MAYFLY_NO_RESULT(ZSTD##v##_getFrameParams)            \
    MAYFLY_NO_RESULT(ZBUFF##v##_freeDCtx)                 \
    MAYFLY_NO_RESULT(ZBUFF##v##_decompressContinue)       \
    MAYFLY_NO_RESULT(ZBUFF##v##_decompressInitDictionary) \
    MAYFLY_NO_SIZE(ZSTD##v##_findFrameSizeInfoLegacy)

MAYFLY_NO_VERSION(v05)
MAYFLY_NO_VERSION(v06)
MAYFLY_NO_VERSION(v07)
// NOLINTEND(misc-definitions-in-headers,bugprone-macro-parentheses)

#undef MAYFLY_NO_VERSION
#undef MAYFLY_NO_SIZE
#undef MAYFLY_NO_RESULT
#undef MAYFLY_NO_POINTER
