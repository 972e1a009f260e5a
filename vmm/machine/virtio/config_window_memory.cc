// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio/config_window_memory.h"

#include <array>
#include <cerrno>

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fmt/format.h>

#include "devices/pci/config_window.h"

namespace mayfly {

namespace {

/// Larger: fewer mappings, more pages to fill.
constexpr std::size_t kOnesBytes = 32 * kPageBytes;
static_assert(ConfigWindow::kEcamBytes % kOnesBytes == 0);

Result<UniqueFd> make_ones() {
    UniqueFd fd = UniqueFd::adopt(::memfd_create("pci-absent", MFD_CLOEXEC));
    if (!fd.valid()) return fail(Error::os("memfd_create"));
    static const auto page = [] {
        std::array<std::byte, kPageBytes> ones;
        ones.fill(std::byte{0xff});
        return ones;
    }();
    std::array<iovec, kOnesBytes / kPageBytes> parts;
    // SAFETY: writev only reads.
    parts.fill({const_cast<std::byte*>(page.data()), page.size()});
    const ssize_t written = ::writev(fd.get(), parts.data(), parts.size());
    if (static_cast<std::size_t>(written) == kOnesBytes) return fd;
    // A shorter write is due to RLIMIT_FSIZE: a memfd's file system has no size of its own.
    return fail(Error::os("write", written < 0 ? errno : EFBIG)
                    .about("PCI's configuration space")
                    .hint(fmt::format("it takes {} KiB, see ulimit -f", kOnesBytes / KiB(1))));
}

}  // namespace

Result<ConfigWindowMemory> ConfigWindowMemory::create(bool is_for_guest) {
    Mapping mapping = TRY(Mapping::anonymous(ConfigWindow::kSizeBytes, MiB(2)));
    if (is_for_guest) {
        const UniqueFd ones = TRY(make_ones());
        // Only configuration space, where guests look for absent devices. Behind it guests only read where a
        // BAR is, or was: the window fills those pages.
        for (std::size_t at = 0; at < ConfigWindow::kEcamBytes; at += kOnesBytes) {
            // Private: a page that we write becomes our own.
            void* mapped = ::mmap(mapping.data() + at, kOnesBytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, ones.get(), 0);
            if (mapped == MAP_FAILED) return fail(Error::os("mmap"));
        }
    }
    return ConfigWindowMemory(std::move(mapping));
}

}  // namespace mayfly
