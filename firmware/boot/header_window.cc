// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/header_window.h"

#include <algorithm>
#include <cstring>

namespace mayfly {

namespace {

/// The first page of a bzImage and of nearly every ELF shows their kind.
constexpr u64 kFirstBytes = 4096;

}  // namespace

Result<HeaderWindow> HeaderWindow::open(const Image& image) {
    HeaderWindow window(image);
    TRY_VOID(window.widen(kFirstBytes));
    return window;
}

Result<void> HeaderWindow::widen(u64 size_bytes) {
    const u64 known = start_.size();
    start_.resize(std::max(known, std::min(size_bytes, image_->size_bytes())));
    return image_->read(known, std::span(start_).subspan(known));
}

Result<void> HeaderWindow::read(u64 offset_bytes, std::span<std::byte> out) const {
    if (offset_bytes > start_.size() || out.size() > start_.size() - offset_bytes)
        return image_->read(offset_bytes, out);
    if (!out.empty()) std::memcpy(out.data(), start_.data() + offset_bytes, out.size());
    return {};
}

}  // namespace mayfly
