// SPDX-License-Identifier: Apache-2.0
// Where the pages of guest RAM come from, for tests that place images in it.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "firmware/image/image.h"
#include "tests/unit/firmware/boot/kernel_builder.h"

namespace mayfly::test {

/// Which pages of guest RAM are our own: in memory, and no file's. Documentation/admin-guide/mm/pagemap.rst:
/// bit 63 present, bit 61 file page or shared.
inline std::string own_pages(const GuestRam& ram, Gpa at, u64 size_bytes) {
    const int fd = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    std::vector<u64> entries(size_bytes / kPageBytes);
    const auto first =
        reinterpret_cast<std::uintptr_t>(ram.memory().span(at, size_bytes)->host_base) / kPageBytes;
    const auto bytes = static_cast<ssize_t>(entries.size() * sizeof(u64));
    REQUIRE(::pread(fd, entries.data(), entries.size() * sizeof(u64),
                    static_cast<off_t>(first * sizeof(u64))) == bytes);
    ::close(fd);
    std::string text;
    for (const u64 entry : entries) text += entry >> 63 != 0 && (entry >> 61 & 1) == 0 ? 'o' : '.';
    return text;
}

inline Image file_of(const Bytes& bytes) {
    const int fd = ::memfd_create("image", MFD_CLOEXEC);
    REQUIRE(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    return Image::from_fd("image", UniqueFd::adopt(fd)).value();
}

}  // namespace mayfly::test
