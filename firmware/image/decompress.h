// SPDX-License-Identifier: Apache-2.0
// Unpacking of compressed kernels on the host, by the decoders of zlib, liblzma, lz4 and zstd.
//
// Output goes into a mapping of exactly the size that the caller allows, so that no input can make us write,
// allocate or run without limit.
// Thread: any.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "vmm/error/result.h"
#include "vmm/os/mapping.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

/// The formats that Linux builds its bzImage payload in (scripts/Makefile.lib, "Compression").
enum class Packing : u8 { Gzip, Xz, Lzma, Lz4Legacy, Zstd, Bzip2, Lzo };

[[nodiscard]] std::string_view to_string(Packing packing);

/// By the magic bytes at the start; empty for anything else.
[[nodiscard]] std::optional<Packing> identify_packing(std::span<const std::byte> start);

/// Errors: Invalid for bzip2 and LZO, by name.
Result<void> require_decoder(Packing packing);

/// Unpacks the whole of `packed`, which must yield exactly `size_bytes` bytes (at least 1) and nothing more.
/// The mapping is aligned to 2 MiB, so that its pages can be moved as huge ones.
/// Errors: Invalid for bzip2 and LZO, for corrupt or truncated data, and for another size than the one given;
/// Stopped.
Result<Mapping> unpack(Packing packing, std::span<const std::byte> packed, u64 size_bytes,
                       StopToken stop = {});

/// Unpacked bytes at the start of a mapping, which may be larger.
struct UnpackedBytes {
    Mapping owner;
    std::span<const std::byte> bytes;
};

/// The same for data of unknown size: its output, up to `bytes_max`. Only written pages take memory. Errors:
/// as unpack()'s, and Invalid for more output.
Result<UnpackedBytes> unpack_at_most(Packing packing, std::span<const std::byte> packed, u64 bytes_max,
                                     StopToken stop = {});

}  // namespace mayfly
