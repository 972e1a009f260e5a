// SPDX-License-Identifier: Apache-2.0
// RecordReader: the records in which a guest's init sends files, checked one by one.
//
// Nothing in them is trusted: a path must lead below the requested file, pieces of a file must be in order,
// and each record must come where it may. Thread: one. Spec: firmware/init/file_records.h.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <time.h>
#include <vector>

#include "firmware/init/file_records.h"
#include "vmm/error/result.h"

namespace mayfly {

/// A name below the requested file; `path` is relative, without "." or "..", or empty for the requested file.
struct FileName {
    u32 copy = 0;
    std::string path{};
};

/// The receiver of checked records.
class FileSink {
  public:
    FileSink() = default;
    FileSink(const FileSink&) = delete;
    FileSink& operator=(const FileSink&) = delete;
    virtual ~FileSink() = default;

    virtual void on_directory(const FileName& name, u32 mode) = 0;
    virtual void on_file(const FileName& name, u32 mode) = 0;
    /// Of the last file; `at` is not before earlier bytes.
    virtual void on_data(u64 at, std::span<const std::byte> bytes) = 0;
    virtual void on_file_end(u64 size_bytes, timespec mtime) = 0;
    virtual void on_link(const FileName& name, const std::string& target) = 0;
    virtual void on_left_out(const FileName& name, u32 mode) = 0;
    /// `error` is a positive errno. It ends a file that was begun.
    virtual void on_problem(const FileName& name, int error) = 0;
};

class RecordReader {
  public:
    /// `copies` is the number of requested copies. `sink` outlives it.
    RecordReader(u32 copies, FileSink& sink) : copies_(copies), sink_(sink) {}

    /// Errors: Host for a guest that breaks the protocol, with the mistake. Then no more may be fed.
    Result<void> feed(std::span<const std::byte> bytes);
    [[nodiscard]] bool has_begun() const { return has_begun_; }
    /// Everything has arrived.
    [[nodiscard]] bool has_ended() const { return has_ended_; }

  private:
    enum class Top : u8 { Awaited, Directory, Other };
    using Head = file_records::Head;

    [[nodiscard]] Result<void> check(const Head& head) const;
    [[nodiscard]] Result<void> check_order(const Head& head) const;
    Result<void> take(const Head& head, std::string path, std::span<const std::byte> data);
    Result<void> enter(const Head& head, const std::string& path);

    const u32 copies_;
    FileSink& sink_;
    std::vector<std::byte> held_{};  // the beginning of a record
    u32 copy_ = 0;
    Top top_ = Top::Awaited;  // of that copy
    bool has_begun_ = false;
    bool has_ended_ = false;
    bool is_in_file_ = false;
    u64 position_ = 0;  // in it
};

}  // namespace mayfly
