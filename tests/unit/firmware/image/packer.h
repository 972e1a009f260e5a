// SPDX-License-Identifier: Apache-2.0
// Compresses test payloads, with the libraries' own encoders, to the form that Linux's build puts into a
// bzImage.
#pragma once

#include "tests/unit/firmware/boot/kernel_builder.h"

namespace mayfly::test {

Bytes pack_gzip(const Bytes& plain);
Bytes pack_xz(const Bytes& plain);
Bytes pack_lzma(const Bytes& plain);
/// Blocks of 8 MiB behind the legacy magic.
Bytes pack_lz4(const Bytes& plain);
Bytes pack_zstd(const Bytes& plain);

/// Behind every stream but gzip's, Linux puts the size.
Bytes with_size(Bytes packed, u32 size_bytes);

}  // namespace mayfly::test
