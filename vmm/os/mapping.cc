// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/mapping.h"

#include <cerrno>
#include <utility>

#include <sys/mman.h>

#include "vmm/error/verify.h"

namespace mayfly {

namespace {

/// Null, and errno, where it does not exist.
std::byte* map_zeros(std::size_t size_bytes) {
    void* at = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
}

Error mmap_error(int error) {
    if (error != ENOMEM) return Error::os("mmap", error);
    return Error::os("mmap", error).hint("limits on address space: ulimit -v, vm.overcommit_memory");
}

}  // namespace

Result<Mapping> Mapping::anonymous(std::size_t size_bytes, std::size_t alignment_bytes) {
    VERIFY(size_bytes > 0);
    VERIFY(alignment_bytes >= kPageBytes && (alignment_bytes & (alignment_bytes - 1)) == 0);
    const std::size_t slack = alignment_bytes - kPageBytes;
    const std::size_t rounded = align_up(size_bytes, kPageBytes);
    if (rounded < size_bytes || rounded + slack < rounded) return fail(mmap_error(ENOMEM));
    // SAFETY: addresses are compared and cut as integers; the range was just mapped by us.
    const auto misalignment = [&](const std::byte* start) {
        return -reinterpret_cast<std::uintptr_t>(start) % alignment_bytes;
    };
    // Since Linux 6.7 the kernel itself aligns large mappings to huge pages.
    std::byte* raw = map_zeros(rounded);
    if (raw == nullptr) return fail(mmap_error(errno));
    if (misalignment(raw) == 0) return Mapping(raw, rounded);
    VERIFY(::munmap(raw, rounded) == 0);
    // Trim both ends so that the rest starts on the boundary.
    raw = map_zeros(rounded + slack);
    if (raw == nullptr) return fail(mmap_error(errno));
    const std::size_t head = misalignment(raw);
    if (head > 0) VERIFY(::munmap(raw, head) == 0);
    if (slack > head) VERIFY(::munmap(raw + head + rounded, slack - head) == 0);
    return Mapping(raw + head, rounded);
}

Result<Mapping> Mapping::file_private(const UniqueFd& fd, u64 offset_bytes, std::size_t size_bytes) {
    void* at = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd.get(),
                      static_cast<off_t>(offset_bytes));
    if (at == MAP_FAILED) return fail(mmap_error(errno));
    return Mapping(static_cast<std::byte*>(at), size_bytes);
}

Result<Mapping> Mapping::shared(const UniqueFd& fd, std::size_t size_bytes) {
    void* at = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (at == MAP_FAILED) return fail(mmap_error(errno));
    return Mapping(static_cast<std::byte*>(at), size_bytes);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_bytes_, other.size_bytes_);
    return *this;
}

Mapping::~Mapping() {
    if (data_ != nullptr) VERIFY(::munmap(data_, size_bytes_) == 0);
}

}  // namespace mayfly
