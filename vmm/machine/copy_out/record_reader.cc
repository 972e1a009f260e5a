// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/copy_out/record_reader.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace mayfly {

namespace {

using file_records::Kind;

constexpr std::size_t kNameBytesMax = 255;  // NAME_MAX
constexpr u64 kFileBytesMax = std::numeric_limits<i64>::max();
constexpr u64 kErrnoMax = 4095;
constexpr u32 kNanosecondsOfSecond = 1'000'000'000;

template <typename... Args>
Unexpected protocol_error(fmt::format_string<Args...> format, Args&&... args) {
    return fail(Error::host("the guest has sent files in a way that its init never does: " +
                            fmt::format(format, std::forward<Args>(args)...)));
}

bool belongs_to_file(Kind kind) { return kind == Kind::Data || kind == Kind::FileEnd; }

/// Of a record that may have a path; empty where the path is good.
std::string_view problem_of(std::string_view path) {
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        const std::string_view name = path.substr(0, slash);
        if (name.empty()) return "a path with nothing between its slashes";
        if (name == "." || name == "..") return "a path that leads elsewhere";
        if (name.size() > kNameBytesMax) return "a name that is too long";
        if (name.find('\0') != std::string_view::npos) return "a name with a NUL";
        if (slash == std::string_view::npos) return {};
        path.remove_prefix(slash + 1);
        if (path.empty()) return "a path that ends in a slash";
    }
    return {};
}

}  // namespace

Result<void> RecordReader::check(const Head& head) const {
    if (has_ended_) return protocol_error("a record after the end");
    if (head.kind < Kind::Directory || head.kind > Kind::End)
        return protocol_error("a record of kind {}", static_cast<u32>(head.kind));
    if (head.mtime_ns >= kNanosecondsOfSecond)
        return protocol_error("{} nanoseconds of a second", head.mtime_ns);
    if (head.path_bytes >
        (belongs_to_file(head.kind) || head.kind == Kind::End ? 0 : file_records::kPathBytesMax))
        return protocol_error("a path of {} bytes", head.path_bytes);
    const u32 data_bytes_max = head.kind == Kind::Data   ? file_records::kDataBytesMax
                               : head.kind == Kind::Link ? file_records::kPathBytesMax
                                                         : 0;
    if (head.data_bytes > data_bytes_max) return protocol_error("{} bytes of data", head.data_bytes);
    return check_order(head);
}

Result<void> RecordReader::check_order(const Head& head) const {
    if (head.kind == Kind::End) {
        if (is_in_file_) return protocol_error("the end within a file");
        if (top_ == Top::Awaited || copy_ + 1 < copies_)
            return protocol_error("the end before all requested files");
        return {};
    }
    if (head.copy >= copies_) return protocol_error("a record of a copy that was not requested");
    if (is_in_file_ && !belongs_to_file(head.kind) && head.kind != Kind::Problem)
        return protocol_error("a record within a file");
    if (!is_in_file_ && belongs_to_file(head.kind)) return protocol_error("data without a file");
    if (is_in_file_ && head.copy != copy_) return protocol_error("data of another file");
    if (head.copy != copy_ && (head.copy != copy_ + 1 || top_ == Top::Awaited))
        return protocol_error("the copies in another order than requested");
    return {};
}

/// The first record of a copy is about the requested file itself; the content of a directory follows.
Result<void> RecordReader::enter(const Head& head, const std::string& path) {
    if (head.copy != copy_) {
        copy_ = head.copy;
        top_ = Top::Awaited;
    }
    if (is_in_file_) return {};
    if (top_ == Top::Awaited && !path.empty()) return protocol_error("a file before its directory");
    // An error in listing a directory is reported for the directory.
    if (top_ == Top::Directory && path.empty() && head.kind != Kind::Problem)
        return protocol_error("the copied directory twice");
    if (top_ == Top::Other) return protocol_error("more files than were requested");
    if (top_ == Top::Awaited) top_ = head.kind == Kind::Directory ? Top::Directory : Top::Other;
    return {};
}

Result<void> RecordReader::take(const Head& head, std::string path, std::span<const std::byte> data) {
    if (const std::string_view problem = problem_of(path); !problem.empty())
        return protocol_error("{}", problem);
    has_begun_ = true;
    if (head.kind == Kind::End) {
        has_ended_ = true;
        return {};
    }
    TRY_VOID(enter(head, path));
    const FileName name{head.copy, std::move(path)};
    switch (head.kind) {
        case Kind::Directory: sink_.on_directory(name, head.mode); break;
        case Kind::File:
            is_in_file_ = true;
            position_ = 0;
            sink_.on_file(name, head.mode);
            break;
        case Kind::Data:
            if (head.value < position_ || head.value > kFileBytesMax - data.size())
                return protocol_error("data at {} of a file after data up to {}", head.value, position_);
            position_ = head.value + data.size();
            sink_.on_data(head.value, data);
            break;
        case Kind::FileEnd:
            if (head.value < position_ || head.value > kFileBytesMax)
                return protocol_error("a size of {} bytes for a file whose data ends at {}", head.value,
                                      position_);
            is_in_file_ = false;
            sink_.on_file_end(head.value, {.tv_sec = head.mtime, .tv_nsec = head.mtime_ns});
            break;
        case Kind::Link: {
            // SAFETY: characters are bytes.
            const std::string target(reinterpret_cast<const char*>(data.data()), data.size());
            if (target.empty() || target.find('\0') != std::string::npos)
                return protocol_error("a link without a target");
            sink_.on_link(name, target);
            break;
        }
        case Kind::LeftOut: sink_.on_left_out(name, head.mode); break;
        case Kind::Problem:
            if (head.value == 0 || head.value > kErrnoMax)
                return protocol_error("the unknown error number {}", head.value);
            is_in_file_ = false;
            sink_.on_problem(name, static_cast<int>(head.value));
            break;
        case Kind::End: break;
    }
    return {};
}

Result<void> RecordReader::feed(std::span<const std::byte> bytes) {
    held_.insert(held_.end(), bytes.begin(), bytes.end());
    std::span<const std::byte> left(held_);
    while (left.size() >= sizeof(Head)) {
        Head head{};
        std::memcpy(&head, left.data(), sizeof(head));
        TRY_VOID(check(head));
        const std::size_t record_bytes = sizeof(head) + head.path_bytes + head.data_bytes;
        if (left.size() < record_bytes) break;
        const std::span<const std::byte> path = left.subspan(sizeof(head), head.path_bytes);
        // SAFETY: characters are bytes.
        TRY_VOID(take(head, {reinterpret_cast<const char*>(path.data()), path.size()},
                      left.subspan(sizeof(head) + head.path_bytes, head.data_bytes)));
        left = left.subspan(record_bytes);
    }
    if (has_ended_ && !left.empty()) return protocol_error("a record after the end");
    held_.erase(held_.begin(), held_.end() - static_cast<std::ptrdiff_t>(left.size()));
    return {};
}

}  // namespace mayfly
