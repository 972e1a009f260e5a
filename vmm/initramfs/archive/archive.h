// SPDX-License-Identifier: Apache-2.0
// ArchiveWriter: a newc archive that grows in a memory file.
//
// It knows the format and its limits, not where entries come from. Small contents are gathered in a buffer;
// those of large files go from file to file within the kernel. Specification: Linux 6.12,
// Documentation/driver-api/early-userspace/buffer-format.rst. Thread: one.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sys/stat.h>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"
#include "vmm/initramfs/archive/guest_room.h"
#include "vmm/os/unique_fd.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

/// The directory of our own files in an archive.
inline constexpr std::string_view kOurDirectory = ".mayfly";

/// One entry, without its name and its content.
struct EntryHeader {
    u32 mode = 0;  ///< st_mode: type and permissions
    u32 uid = 0;
    u32 gid = 0;
    u32 mtime = 0;
    u32 device_major = 0;  ///< of a device node
    u32 device_minor = 0;
    u32 link_group =
        0;  ///< not 0: the same file as all entries of this group, of which the first has the content
};

/// Seconds since 1970, as many as newc has bits for.
[[nodiscard]] u32 archive_time(const struct stat& status);

/// The size of an entry in the archive.
[[nodiscard]] u64 entry_bytes(std::string_view name, u64 content_bytes);

/// `text` in one line, made safe to print: for paths in messages.
[[nodiscard]] std::string printable(std::string_view text);

class ArchiveWriter {
  public:
    /// Called once, when the archive has become large: a forecast of its final size.
    using Forecast = std::function<Result<TreeBytes>()>;

    /// Each entry, and each piece of a large one, checks `stop`. Errors of every function that adds: also
    /// Stopped.
    static Result<ArchiveWriter> create(u64 bytes_max, StopToken stop = {});

    /// While one is set, an archive that will be too large fails early, and the message says how large it is.
    void set_forecast(Forecast forecast) { forecast_ = std::move(forecast); }

    /// The guest that unpacks it: if its room is too small, finish() fails, or earlier a forecast does.
    void set_room(FindRoom find) { find_room_ = std::move(find); }

    /// The place in the archive of entries that follow, "DIR/" or empty; messages do not name it.
    void set_place(std::string_view place) { place_ = place; }

    /// The prefix in messages, instead of a name's first `bytes`, for entries that have the name of a host
    /// file: "DIR/".
    void set_origin(std::string origin, std::size_t bytes = 0) {
        origin_ = std::move(origin);
        origin_bytes_ = bytes;
    }

    /// An entry with content from memory. Names are relative to the root. Errors: Invalid for a name that is
    /// too long for Linux and for an archive that is too large.
    Result<void> add(std::string_view name, const EntryHeader& header,
                     std::span<const std::byte> content = {});
    Result<void> add(std::string_view name, const EntryHeader& header, std::string_view content);
    /// The same with `size_bytes` bytes of an open file. Errors: also Invalid for a file of 4 GiB or more,
    /// and for one whose size changes while it is read; Os.
    Result<void> add_file(std::string_view name, const EntryHeader& header, const UniqueFd& file,
                          u64 size_bytes);

    /// Ends the archive and gives it away.
    Result<UniqueFd> finish();

    /// A name as messages print it.
    [[nodiscard]] std::string called(std::string_view name) const;
    [[nodiscard]] u64 size_bytes() const { return size_bytes_; }
    [[nodiscard]] const TreeBytes& tree_bytes() const { return tree_bytes_; }

  private:
    ArchiveWriter(UniqueFd file, u64 bytes_max, StopToken stop);
    Result<void> reserve(u64 bytes);
    [[nodiscard]] Result<void> check_room(const TreeBytes& tree) const;
    Result<void> begin(const std::string& path, const EntryHeader& header, u64 content_bytes);
    Result<void> append(const void* data, u64 size_bytes);
    Result<void> pad();
    [[nodiscard]] Unexpected unfit(std::string_view path, std::string what) const;
    Result<void> flush();
    Result<void> copy_small(const UniqueFd& file, u64 size_bytes);
    Result<void> copy_large(const UniqueFd& file, u64 size_bytes);

    UniqueFd file_;
    std::unique_ptr<std::byte[]> buffer_;
    u64 buffered_bytes_ = 0;
    u64 size_bytes_ = 0;
    u64 bytes_max_;
    TreeBytes tree_bytes_{};
    FindRoom find_room_{};
    StopToken stop_;
    u32 entries_ = 0;
    Forecast forecast_;
    std::string place_;
    std::string origin_;
    std::size_t origin_bytes_ = 0;  // the bytes of names that the origin replaces
};

}  // namespace mayfly
