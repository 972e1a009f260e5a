// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/disk_file.h"

#include <cerrno>
#include <csignal>
#include <thread>

#include <sched.h>
#include <sys/mount.h>

#include "tests/support/file_size_limit.h"
#include "tests/unit/vmm/storage/disk_fixture.h"

using namespace mayfly;

namespace {

using Results = std::vector<i32>;

std::vector<std::byte> pattern(std::size_t size, u8 seed = 1) {
    std::vector<std::byte> bytes(size);
    for (std::size_t n = 0; n < size; ++n) bytes[n] = static_cast<std::byte>(n * 7 + n / 251 + seed);
    return bytes;
}

}  // namespace

TEST_CASE("bytes written to a disk are in its file, and are read back", "[disk]") {
    const TempDisk file(MiB(1), a_directory());
    const How how = a_way();
    auto out = pattern(20'480);
    std::vector<std::byte> in(20'480);
    {
        DiskRunner writer(open_or_fail({.path = file.path}), how);
        writer.add(BlockIoKind::Write, 512, out, 4'608);
        writer.add(BlockIoKind::Flush, 0, 0);
        CHECK(writer.run() == Results{0, 0});
    }
    CHECK(file.bytes(512, out.size()) == out);
    DiskRunner reader(open_or_fail({.path = file.path}), how);
    reader.add(BlockIoKind::Read, 512, in, 512);
    CHECK(reader.run() == Results{0});
    CHECK(in == out);
}

TEST_CASE("a request of more parts than a system call takes is continued", "[disk]") {
    const TempDisk file(MiB(2));
    const How how = a_way();
    auto out = pattern(3'000 * 512);
    {
        DiskRunner runner(open_or_fail({.path = file.path}), how);
        runner.add(BlockIoKind::Write, 4096, out, 512);
        CHECK(runner.run() == Results{0});
    }
    std::vector<std::byte> in(out.size());
    DiskRunner runner(open_or_fail({.path = file.path}), how);
    runner.add(BlockIoKind::Read, 4096, in, 512);
    CHECK(runner.run() == Results{0});
    CHECK(in == out);
}

TEST_CASE("a write-through write and a flush succeed everywhere", "[disk]") {
    const TempDisk file(MiB(1), a_directory());
    DiskRunner runner(open_or_fail({.path = file.path}), a_way());
    auto out = pattern(4096);
    runner.add(BlockIoKind::Write, 0, out).is_write_through = true;
    runner.add(BlockIoKind::Flush, 0, 0);
    CHECK(runner.run() == Results{0, 0});
    CHECK(file.bytes(0, 4096) == out);
}

TEST_CASE("a read across or behind a cut file's end is an I/O error", "[disk]") {
    const TempDisk file(MiB(1), a_directory());
    DiskRunner runner(open_or_fail({.path = file.path}), a_way());
    REQUIRE(::ftruncate(file.fd().get(), 6'000) == 0);
    std::vector<std::byte> a(4096);
    std::vector<std::byte> b(8192);
    std::vector<std::byte> c(512);
    runner.add(BlockIoKind::Read, 0, a);
    runner.add(BlockIoKind::Read, 0, b, 1024);
    runner.add(BlockIoKind::Read, MiB(1) - 512, c);
    CHECK(runner.run() == Results{0, -EIO, -EIO});
}

TEST_CASE("a write beyond the limit of file sizes is an error, and the bytes below it are kept", "[disk]") {
    const TempDisk file(MiB(1));
    DiskRunner runner(open_or_fail({.path = file.path}), a_way());
    auto low = pattern(8192);
    auto across = pattern(8192, 9);
    runner.add(BlockIoKind::Write, 0, low);
    runner.add(BlockIoKind::Write, 12'288, across);
    REQUIRE(::ftruncate(file.fd().get(), 0) == 0);
    std::signal(SIGXFSZ, SIG_IGN);
    const auto results = [&] {
        const FileSizeLimit limit(16'384);
        return runner.run();
    }();
    CHECK(results == Results{0, -EFBIG});
    CHECK(file.bytes(0, 8192) == low);
}

TEST_CASE("a full file system under a sparse disk is ENOSPC; earlier data stays", "[disk]") {
    const How how = a_way();
    Results results;
    bool is_kept = false;
    bool has_mount = true;
    // A thread of its own has its own mounts, which go with it.
    std::thread inside([&] {
        const char* place = "/mnt";
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("tmpfs", place, "tmpfs", 0, "size=256k") != 0) {
            has_mount = false;
            return;
        }
        const TempDisk file(MiB(4), place);
        auto first = pattern(4096);
        auto large = pattern(MiB(1), 3);
        {
            DiskRunner runner(open_or_fail({.path = file.path}), how);
            runner.add(BlockIoKind::Write, 0, first);
            runner.add(BlockIoKind::Write, MiB(1), large);
            results = runner.run();
        }
        is_kept = file.bytes(0, 4096) == first;
    });
    inside.join();
    if (!has_mount) {
        WARN("no right to mount: a full file system is not tested");
        return;
    }
    CHECK(results == Results{0, -ENOSPC});
    CHECK(is_kept);
}

TEST_CASE("a discarded range reads as zeroes and gives its blocks back", "[disk]") {
    const TempDisk file(MiB(1), a_directory());
    file.fill(std::byte{0xee}, 0, MiB(1));
    const u64 before = file.allocated_bytes();
    DiskRunner runner(open_or_fail({.path = file.path}), a_way());
    runner.add(BlockIoKind::Discard, KiB(64), KiB(512));
    CHECK(runner.run() == Results{0});
    CHECK(file.bytes(KiB(64), KiB(512)) == std::vector<std::byte>(KiB(512)));
    CHECK(file.bytes(0, 1)[0] == std::byte{0xee});
    CHECK(file.bytes(KiB(576), 1)[0] == std::byte{0xee});
    CHECK(file.allocated_bytes() <= before - KiB(512));
}

TEST_CASE("written zeroes are zeroes, whether the file system can do that or not", "[disk]") {
    // tmpfs has no FALLOC_FL_ZERO_RANGE: man fallocate(2).
    const TempDisk file(MiB(4), a_directory());
    const bool may_unmap = GENERATE(false, true);
    file.fill(std::byte{0xee}, 0, MiB(4));
    const u64 before = file.allocated_bytes();
    const u64 odd = MiB(2) + KiB(64) + 1536;
    DiskRunner runner(open_or_fail({.path = file.path}), a_way());
    runner.add(BlockIoKind::WriteZeroes, 512, odd).may_unmap = may_unmap;
    CHECK(runner.run() == Results{0});
    CHECK(file.bytes(512, odd) == std::vector<std::byte>(odd));
    CHECK(file.bytes(511, 1)[0] == std::byte{0xee});
    CHECK(file.bytes(512 + odd, 1)[0] == std::byte{0xee});
    if (!may_unmap) CHECK(file.allocated_bytes() >= before);
}

TEST_CASE("a read-only disk is not changed", "[disk]") {
    const TempDisk file(4096);
    DiskRunner runner(open_or_fail({.path = file.path, .is_read_only = true}), a_way());
    auto out = pattern(512);
    runner.add(BlockIoKind::Write, 0, out);
    runner.add(BlockIoKind::Discard, 0, 4096);
    runner.add(BlockIoKind::WriteZeroes, 0, 4096);
    runner.add(BlockIoKind::Flush, 0, 0);
    CHECK(runner.run() == Results{-EROFS, -EROFS, -EROFS, 0});
}

TEST_CASE("O_DIRECT and the page cache see the same bytes, aligned or not", "[disk]") {
    const TempDisk file(MiB(1), a_directory());
    const How how = a_way();
    const DiskOptions options{.path = file.path, .is_direct = true};
    auto opened = DiskFile::open(options);
    if (!opened) {
        CHECK(opened.error().message() ==
              file.path + ": its file system cannot do O_DIRECT (leave out ,direct)");
        return;
    }
    const u32 block = (*opened)->geometry().logical_block_bytes;
    CHECK(block >= 512);
    // Aligned, then overwritten in its middle from an odd address, then a single sector.
    auto* pages = static_cast<std::byte*>(std::aligned_alloc(4096, 65'536));
    const std::span aligned(pages, 16'384);
    const std::span odd(pages + 20'481, 4096);
    const std::span sector(pages + 32'768, 512);
    std::fill(aligned.begin(), aligned.end(), std::byte{1});
    std::fill(odd.begin(), odd.end(), std::byte{2});
    std::fill(sector.begin(), sector.end(), std::byte{3});
    opened = fail(Error::invalid("closed"));
    const auto one_by_one = [&](BlockIoKind kind, u64 offset, std::span<std::byte> memory) {
        DiskRunner runner(open_or_fail(options), how);
        runner.add(kind, offset, memory);
        runner.add(BlockIoKind::Flush, 0, 0);
        return runner.run();
    };
    CHECK(one_by_one(BlockIoKind::Write, 0, aligned) == Results{0, 0});
    CHECK(one_by_one(BlockIoKind::Write, 4096, odd) == Results{0, 0});
    CHECK(one_by_one(BlockIoKind::Write, 512, sector) == Results{0, 0});
    const std::span back(pages + 49'152, 16'384);
    CHECK(one_by_one(BlockIoKind::Read, 0, back) == Results{0, 0});
    CHECK(back[0] == std::byte{1});
    CHECK(back[512] == std::byte{3});
    CHECK(back[1024] == std::byte{1});
    CHECK(back[4096] == std::byte{2});
    CHECK(back[8191] == std::byte{2});
    CHECK(back[8192] == std::byte{1});
    const std::span odd_back(pages + 20'483, 1024);
    CHECK(one_by_one(BlockIoKind::Read, 512, odd_back) == Results{0, 0});
    CHECK(odd_back[0] == std::byte{3});
    CHECK(odd_back[1023] == std::byte{1});
    std::free(pages);
}

TEST_CASE("more requests than were announced are done all the same", "[disk]") {
    const TempDisk file(MiB(1));
    file.fill(std::byte{7}, 0, MiB(1));
    DiskRunner runner(open_or_fail({.path = file.path, .in_flight_max = 2}), How::AllByRing);
    std::vector<std::byte> in(16 * 4096);
    for (u32 n = 0; n < 16; ++n)
        runner.add(BlockIoKind::Read, n * 4096, std::span(in).subspan(n * 4096, 4096));
    CHECK(runner.run() == Results(16, 0));
    CHECK(in == std::vector<std::byte>(in.size(), std::byte{7}));
    CHECK(runner.disk->counts().by_ring == 2);
    CHECK(runner.disk->counts().direct == 14);
}

TEST_CASE("cancelling ends requests in flight and spares later ones", "[disk]") {
    const TempDisk file(MiB(64));
    DiskRunner runner(open_or_fail({.path = file.path}), How::AllByRing);
    auto small_parts = pattern(2'000 * 512);  // more than one system call takes: it is not continued
    auto large = pattern(MiB(4));
    runner.add(BlockIoKind::Write, 0, small_parts, 512);
    for (u32 n = 1; n < 8; ++n) runner.add(BlockIoKind::Write, n * MiB(4), large);
    std::vector<std::byte> in(512);
    runner.add(BlockIoKind::Read, 0, in);
    runner.add(BlockIoKind::Flush, 0, 0);
    runner.before_start = [&](u32 n) {
        if (n != 8) return;
        std::thread other([&] { runner.disk->cancel_all(); });
        other.join();
    };
    const auto results = runner.run();
    CHECK(results[0] == -ECANCELED);
    // The kernel does not take a request back from one of its workers.
    for (u32 n = 1; n < 8; ++n) CHECK((results[n] == 0 || results[n] == -ECANCELED));
    CHECK(results[8] == 0);
    CHECK(results[9] == 0);
}

TEST_CASE("cancelling an idle disk is harmless", "[disk]") {
    const TempDisk file(4096);
    const auto disk = open_or_fail({.path = file.path});
    disk->cancel_all();
    auto loop = make_loop();
    REQUIRE(disk->attach(*loop).has_value());
    disk->cancel_all();
    loop.reset();
}

TEST_CASE("cached reads and writes need no worker thread of the kernel", "[disk]") {
    const TempDisk file(MiB(4), a_directory());
    file.fill(std::byte{7}, 0, MiB(4));
    DiskRunner runner(open_or_fail({.path = file.path, .in_flight_max = 64}), How::Attached);
    std::vector<std::byte> memory(4096);
    for (u32 n = 0; n < 1'000; ++n)
        runner.add(n % 2 == 0 ? BlockIoKind::Read : BlockIoKind::Write, n * 4096, memory);
    const int threads_before = count_threads();
    CHECK(runner.run() == Results(1'000, 0));
    CHECK(count_threads() <= threads_before);
    CHECK(runner.disk->counts().direct + runner.disk->counts().by_ring == 1'000);
    CHECK(runner.disk->counts().direct >= 500);
    CHECK(runner.disk->counts().by_worker == 0);
}

TEST_CASE("data outside the page cache is read through the ring", "[disk]") {
    const TempDisk file(MiB(8));
    file.fill(std::byte{7}, 0, MiB(8));
    REQUIRE(::fsync(file.fd().get()) == 0);
    REQUIRE(::posix_fadvise(file.fd().get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
    DiskRunner runner(open_or_fail({.path = file.path}), How::Attached);
    std::vector<std::byte> in(8 * 4096);
    for (u32 n = 0; n < 8; ++n)
        runner.add(BlockIoKind::Read, n * MiB(1), std::span(in).subspan(n * 4096, 4096));
    CHECK(runner.run() == Results(8, 0));
    CHECK(in == std::vector<std::byte>(in.size(), std::byte{7}));
    const DiskCounts counts = runner.disk->counts();
    CHECK(counts.direct + counts.by_ring + counts.by_worker >= 8);
}
