// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/files/open_files.h"

namespace mayfly {

namespace {
constexpr u32 kPlaceBits = 32;
}

std::optional<u64> OpenFiles::add(UniqueFd fd, bool is_directory) {
    if (free_.empty()) {
        if (files_.size() >= count_max_) return std::nullopt;
        free_.push_back(static_cast<u32>(files_.size()));
        files_.emplace_back();
    }
    const u32 place = free_.back();
    free_.pop_back();
    OpenFile& file = files_[place];
    file.fd = std::move(fd);
    file.can_refuse_to_wait = true;
    if (is_directory) file.entries = std::make_unique<DirectoryStream>();
    return u64{file.generation} << kPlaceBits | place;
}

OpenFile* OpenFiles::find(u64 handle) {
    const u64 place = static_cast<u32>(handle);
    if (place >= files_.size()) return nullptr;
    OpenFile& file = files_[static_cast<std::size_t>(place)];
    return file.fd.valid() && file.generation == handle >> kPlaceBits ? &file : nullptr;
}

OpenFile* OpenFiles::file(u64 handle) {
    OpenFile* const found = find(handle);
    return found != nullptr && found->entries == nullptr ? found : nullptr;
}

OpenFile* OpenFiles::directory(u64 handle) {
    OpenFile* const found = find(handle);
    return found != nullptr && found->entries != nullptr ? found : nullptr;
}

bool OpenFiles::close(u64 handle) {
    OpenFile* const file = find(handle);
    if (file == nullptr) return false;
    file->fd = UniqueFd();
    file->entries.reset();
    ++file->generation;
    free_.push_back(static_cast<u32>(handle));
    return true;
}

void OpenFiles::clear() {
    files_.clear();
    free_.clear();
}

}  // namespace mayfly
