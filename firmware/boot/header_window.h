// SPDX-License-Identifier: Apache-2.0
// HeaderWindow: the start of a kernel's file, read once. Nearly all headers are in it; others are read from
// the file directly.
//
// Knows no format. Thread: one thread, before any vCPU runs.
#pragma once

#include <span>
#include <vector>

#include "firmware/image/image.h"
#include "vmm/error/result.h"

namespace mayfly {

class HeaderWindow {
  public:
    /// The image outlives the window. Errors: as Image::read().
    static Result<HeaderWindow> open(const Image& image);

    [[nodiscard]] const Image& image() const { return *image_; }
    /// The bytes read so far: the whole file if it is not longer.
    [[nodiscard]] std::span<const std::byte> bytes() const { return start_; }
    /// Reads on until the window has `size_bytes`, or the whole file. Errors: as Image::read().
    Result<void> widen(u64 size_bytes);

    /// Errors: as Image::read().
    [[nodiscard]] Result<void> read(u64 offset_bytes, std::span<std::byte> out) const;
    template <typename T>
    [[nodiscard]] Result<T> read_object(u64 offset_bytes) const {
        T value{};
        TRY_VOID(read(offset_bytes, std::as_writable_bytes(std::span(&value, 1))));
        return value;
    }

  private:
    explicit HeaderWindow(const Image& image) : image_(&image) {}

    const Image* image_;
    std::vector<std::byte> start_;
};

}  // namespace mayfly
