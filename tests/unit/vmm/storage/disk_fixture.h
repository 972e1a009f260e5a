// SPDX-License-Identifier: Apache-2.0
// Disks in temporary files, and requests run inline or on a loop. Set-up only.
#pragma once

#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/loop/loop_fixture.h"
#include "vmm/storage/disk_file.h"

namespace mayfly {

enum class How { Inline, Attached, AllByRing };

/// A file that goes with the test.
class TempDisk {
  public:
    explicit TempDisk(u64 size_bytes, const std::string& directory = "/tmp") {
        std::string name = directory + "/mayfly-disk-XXXXXX";
        fd_ = UniqueFd::adopt(::mkostemp(name.data(), O_CLOEXEC));
        REQUIRE(fd_.valid());
        path = name;
        REQUIRE(::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)) == 0);
    }
    TempDisk(const TempDisk&) = delete;
    TempDisk& operator=(const TempDisk&) = delete;
    ~TempDisk() { ::unlink(path.c_str()); }

    [[nodiscard]] const UniqueFd& fd() const { return fd_; }
    [[nodiscard]] std::vector<std::byte> bytes(u64 offset, std::size_t size) const {
        std::vector<std::byte> found(size);
        REQUIRE(::pread(fd_.get(), found.data(), size, static_cast<off_t>(offset)) ==
                static_cast<ssize_t>(size));
        return found;
    }
    void fill(std::byte value, u64 offset, std::size_t size) const {
        const std::vector<std::byte> all(size, value);
        REQUIRE(::pwrite(fd_.get(), all.data(), size, static_cast<off_t>(offset)) ==
                static_cast<ssize_t>(size));
    }
    [[nodiscard]] u64 allocated_bytes() const {
        struct stat status {};
        REQUIRE(::fstat(fd_.get(), &status) == 0);
        return static_cast<u64>(status.st_blocks) * 512;
    }

    std::string path;

  private:
    UniqueFd fd_;
};

/// Requests to one disk; run() does them all and returns their results.
template <typename Disk>
class DiskRunnerOn final : public BlockIoClient {
  public:
    DiskRunnerOn(std::unique_ptr<Disk> opened, How how) : disk(std::move(opened)), how_(how) {
        if (how == How::Inline) return;
        loop = make_loop();
        if (how == How::AllByRing) disk->give_all_to_ring();
        REQUIRE(disk->attach(*loop).has_value());
    }
    ~DiskRunnerOn() override {
        loop.reset();
        disk.reset();
    }

    BlockIo& add(BlockIoKind kind, u64 offset, u64 size) {
        BlockIo& io = ios_.emplace_back();
        io.client = this;
        io.kind = kind;
        io.offset_bytes = offset;
        io.size_bytes = size;
        return io;
    }
    /// A read or write of these bytes, in pieces of `part_bytes`.
    BlockIo& add(BlockIoKind kind, u64 offset, std::span<std::byte> memory,
                 std::size_t part_bytes = 1 << 30) {
        std::vector<iovec>& parts = parts_.emplace_back();
        for (std::size_t at = 0; at < memory.size(); at += part_bytes)
            parts.push_back({memory.data() + at, std::min(part_bytes, memory.size() - at)});
        BlockIo& io = add(kind, offset, memory.size());
        io.parts = parts;
        return io;
    }

    /// Once per runner when it has a loop.
    std::vector<i32> run() {
        results_.assign(ios_.size(), 1);
        left_ = ios_.size();
        if (how_ == How::Inline) {
            start_all();
        } else {
            CallTask begin([this] { start_all(); });
            loop->post(begin);
            NoPoller poller;
            loop->run(poller);
        }
        return results_;
    }

    void on_block_io_done(BlockIo& io, i32 result) override { done(io, result); }

    std::unique_ptr<Disk> disk;
    std::unique_ptr<Loop> loop;
    std::function<void(u32)> before_start;  ///< called with the request's index

  private:
    void start_all() {
        for (u32 n = 0; n < ios_.size(); ++n) {
            if (before_start) before_start(n);
            if (const auto result = disk->start(ios_[n])) done(ios_[n], *result);
        }
    }
    void done(const BlockIo& io, i32 result) {
        for (std::size_t n = 0; n < ios_.size(); ++n)
            if (&ios_[n] == &io) results_[n] = result;
        if (--left_ == 0 && loop != nullptr) loop->stop();
    }

    How how_;
    std::deque<BlockIo> ios_;
    std::deque<std::vector<iovec>> parts_;
    std::vector<i32> results_;
    std::size_t left_ = 0;
};

using DiskRunner = DiskRunnerOn<DiskFile>;

inline std::unique_ptr<DiskFile> open_or_fail(const DiskOptions& options) {
    auto disk = DiskFile::open(options);
    if (!disk) FAIL(disk.error().message());
    return std::move(*disk);
}

/// Two kinds of file systems: a journalling one with RWF_NOWAIT for reads, and one in memory without it.
inline std::string a_directory() { return GENERATE(std::string("/tmp"), std::string("/dev/shm")); }

inline How a_way() { return GENERATE(How::Inline, How::Attached, How::AllByRing); }

}  // namespace mayfly
