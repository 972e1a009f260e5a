// SPDX-License-Identifier: Apache-2.0
// Image: the bytes of a kernel, initrd or module, from a file, from this binary, or unpacked in memory.
//
// Headers are read by copy; bulk goes to guest RAM by mapping or moving pages where alignment allows.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/memory/guest_ram.h"
#include "vmm/os/mapping.h"
#include "vmm/os/unique_fd.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

/// Bytes of an image in host memory: borrowed from it, or a copy that `owner` holds.
struct ImageBytes {
    Mapping owner;
    std::span<const std::byte> bytes;
};

class Image {
  public:
    /// Below this, one copy is cheaper than a mapping and the page faults that follow it: see place().
    static constexpr u64 kPlaceByPageMin = KiB(64);

    /// Errors: NotFound where the file does not exist; Os where it cannot be opened; Invalid for a
    /// directory, a device, a pipe or an empty file. Later reads check `stop`: Stopped.
    static Result<Image> open(const std::string& path, StopToken stop = {});
    /// An open regular file, also one without a name; errors use `name`. Errors: as open()'s.
    static Result<Image> from_fd(std::string name, UniqueFd fd, StopToken stop = {});
    /// The first `size_bytes` of an open regular file that is at least as long; no read goes beyond them.
    static Image from_file_part(std::string name, UniqueFd fd, u64 size_bytes, StopToken stop = {});
    /// Bytes that outlive the image: a built-in guest, a test's array.
    static Image from_bytes(std::string name, std::span<const std::byte> bytes);
    /// Unpacked bytes; the first `size_bytes` of the mapping, which holds private anonymous pages.
    static Image from_mapping(std::string name, Mapping mapping, u64 size_bytes, StopToken stop = {});

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] u64 size_bytes() const { return size_bytes_; }
    /// The file's descriptor; null for an image that is not a file.
    [[nodiscard]] const UniqueFd* file() const;
    /// The stop to obey while working on its bytes.
    [[nodiscard]] StopToken stop() const { return stop_; }
    /// For reads after the guest's end, which explain that end: the machine's stop is then already requested.
    void ignore_stop() { stop_ = {}; }

    /// Copies `out.size()` bytes from `offset_bytes`. Errors: Invalid when that is beyond the end
    /// (also when the file shrank meanwhile), Os when reading failed.
    [[nodiscard]] Result<void> read(u64 offset_bytes, std::span<std::byte> out) const;

    /// The bytes for a decoder to work on; a file's are copied, because a mapped file that shrinks while we
    /// read it would end in SIGBUS. Errors: as read().
    [[nodiscard]] Result<ImageBytes> bytes(u64 offset_bytes, u64 size_bytes) const;

    /// Puts `size_bytes` bytes from `offset_bytes` at `at`, which the caller has checked to be RAM. Whole
    /// pages are mapped (file) or moved (mapping) where `at` and the offset agree modulo 4 KiB; edges are
    /// copied. Moving takes the pages: each byte of a from_mapping image can be placed once, and the second
    /// use is refused. Errors: as read(), and mmap's.
    Result<void> place(GuestRam& ram, Gpa at, u64 offset_bytes, u64 size_bytes) const;

  private:
    struct File {
        UniqueFd fd;
    };
    struct Bytes {
        std::span<const std::byte> bytes;
    };
    struct Range {
        u64 offset_bytes;
        u64 size_bytes;
    };
    struct Unpacked {
        Mapping mapping;
        /// Pages that guest RAM has now. Mutable: an image that gave pages away is still the same image.
        mutable std::vector<Range> moved{};
    };
    using Source = std::variant<File, Bytes, Unpacked>;

    Image(std::string name, u64 size_bytes, Source source, StopToken stop = {})
        : name_(std::move(name)), size_bytes_(size_bytes), source_(std::move(source)), stop_(stop) {}
    [[nodiscard]] Result<void> check(u64 offset_bytes, u64 size_bytes) const;
    /// The bytes in memory; empty for a file. The range was checked.
    [[nodiscard]] std::span<const std::byte> resident(u64 offset_bytes, u64 size_bytes) const;
    Result<void> copy_to(GuestRam& ram, Gpa at, u64 offset_bytes, u64 size_bytes) const;
    Result<void> place_pages(GuestRam& ram, Gpa at, u64 offset_bytes, u64 size_bytes) const;

    std::string name_;
    u64 size_bytes_;
    Source source_;
    StopToken stop_;
};

}  // namespace mayfly
