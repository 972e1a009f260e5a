// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/ecam.h"

#include <algorithm>

namespace mayfly {

namespace {

/// The part of an access that lies in one dword: configuration space has no wider access (an 8-byte one is
/// two), and a misaligned one is taken apart so that it reads what the window's memory shows.
struct Piece {
    u8 devfn;
    u16 offset;
    u8 size_bytes;
};

Piece piece_at(u64 offset_bytes, unsigned bytes_left) {
    const unsigned to_dword_end = 4 - static_cast<unsigned>(offset_bytes % 4);
    return {static_cast<u8>(offset_bytes / pci::EXTENDED_CONFIG_BYTES),
            static_cast<u16>(offset_bytes % pci::EXTENDED_CONFIG_BYTES),
            static_cast<u8>(std::min(to_dword_end, bytes_left))};
}

}  // namespace

u64 Ecam::io_read(IoAccess at) {
    u64 value = 0;
    for (unsigned done = 0; done < at.size_bytes;) {
        const Piece piece = piece_at(at.offset_bytes + done, at.size_bytes - done);
        value |= u64{bus_.config_read(piece.devfn, piece.offset, piece.size_bytes)} << (8 * done);
        done += piece.size_bytes;
    }
    return value;
}

void Ecam::io_write(IoAccess at, u64 value) {
    for (unsigned done = 0; done < at.size_bytes;) {
        const Piece piece = piece_at(at.offset_bytes + done, at.size_bytes - done);
        const u64 part = (value >> (8 * done)) & all_ones(piece.size_bytes);
        bus_.config_write(piece.devfn, piece.offset, piece.size_bytes, static_cast<u32>(part));
        done += piece.size_bytes;
    }
}

}  // namespace mayfly
