// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/multiboot1_header.h"

#include <algorithm>
#include <cstring>

#include "firmware/boot/multiboot1_spec.h"

namespace mayfly {

using namespace multiboot1;

std::optional<Multiboot1Header> find_multiboot1(std::span<const std::byte> start) {
    const u64 end = std::min<u64>(start.size(), kSearchBytes);
    for (u64 at = 0; at + kHeaderBytesMin <= end; at += kHeaderAlignment) {
        Header header{};
        std::memcpy(&header, start.data() + at, kHeaderBytesMin);
        if (header.magic != kHeaderMagic || header.magic + header.flags + header.checksum != 0) continue;
        Multiboot1Header found{.offset_bytes = at, .flags = header.flags, .addresses = {}};
        if (end - at < sizeof(header)) return found;
        std::memcpy(&header, start.data() + at, sizeof(header));
        found.addresses = {header.header_addr, header.load_addr, header.load_end_addr, header.bss_end_addr,
                           header.entry_addr};
        return found;
    }
    return std::nullopt;
}

}  // namespace mayfly
