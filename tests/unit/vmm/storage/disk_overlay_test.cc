// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/disk_overlay.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include "tests/support/file_size_limit.h"
#include "tests/unit/vmm/storage/disk_fixture.h"

using namespace mayfly;

namespace {

using Results = std::vector<i32>;
using Bytes = std::vector<std::byte>;
using Runner = DiskRunnerOn<DiskOverlay>;

std::unique_ptr<DiskOverlay> open_overlay(const DiskOptions& options) {
    auto disk = DiskOverlay::open(options);
    if (!disk) FAIL(disk.error().message());
    return std::move(*disk);
}

/// A file full of 1, 2, 3... by sector, which must be unchanged at the end.
class BaseFile {
  public:
    explicit BaseFile(u64 size_bytes, const std::string& directory = "/tmp") : file(size_bytes, directory) {
        content.resize(size_bytes);
        for (u64 n = 0; n < size_bytes; ++n) content[n] = static_cast<std::byte>(n / 512 % 251 + 1);
        REQUIRE(::pwrite(file.fd().get(), content.data(), content.size(), 0) ==
                static_cast<ssize_t>(content.size()));
    }
    BaseFile(const BaseFile&) = delete;
    BaseFile& operator=(const BaseFile&) = delete;
    ~BaseFile() { CHECK((file.bytes(0, content.size()) == content)); }

    TempDisk file;
    Bytes content;
};

/// Of the latest layer: the memory file's pages.
u64 layer_bytes() {
    u64 found = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code ignored;
        const auto target = std::filesystem::read_symlink(entry.path(), ignored).string();
        struct stat status {};
        if (target.starts_with("/memfd:disk") && ::stat(entry.path().c_str(), &status) == 0)
            found = static_cast<u64>(status.st_blocks) * 512;
    }
    return found;
}

}  // namespace

TEST_CASE("an overlay reads as its file until it is written, and then as written", "[disk]") {
    BaseFile base(MiB(1), a_directory());
    Runner runner(open_overlay({.path = base.file.path}), a_way());
    Bytes before(8192);
    Bytes out(1024, std::byte{0xee});
    Bytes after(8192);
    runner.add(BlockIoKind::Read, 4096, before, 512);
    runner.add(BlockIoKind::Flush, 0, 0);
    CHECK(runner.disk->geometry().size_bytes == MiB(1));
    CHECK_FALSE(runner.disk->geometry().is_read_only);
    CHECK(runner.disk->geometry().can_discard);
    CHECK(runner.disk->geometry().can_write_zeroes);
    CHECK(runner.run() == Results{0, 0});
    CHECK((before == Bytes(base.content.begin() + 4096, base.content.begin() + 12'288)));
}

/// One operation after another: each begins when the one before it is done.
TEST_CASE("an overlay behaves like a disk for requests in any order and pieces", "[disk]") {
    const How how = a_way();
    const bool is_direct = GENERATE(false, true);
    constexpr u64 kSectors = 256;
    constexpr u64 kBytes = kSectors * 512;
    BaseFile base(kBytes);
    auto opened = DiskOverlay::open({.path = base.file.path, .is_direct = is_direct, .in_flight_max = 4});
    if (!opened && is_direct) return;  // its file system has no O_DIRECT
    REQUIRE(opened.has_value());
    std::shared_ptr<DiskOverlay> disk = std::move(*opened);

    struct Client final : BlockIoClient {
        void on_block_io_done(BlockIo& /*io*/, i32 result) override {
            last = result;
            next();
        }
        std::function<void()> next;
        i32 last = 0;
    } client;

    Bytes model = base.content;
    std::mt19937 lot(7);
    Bytes memory(kBytes);
    std::vector<iovec> parts;
    BlockIo io;
    io.client = &client;
    u32 count = 0;
    u32 wrong = 0;
    const auto begin_one = [&] {
        constexpr BlockIoKind kKinds[] = {BlockIoKind::Read,    BlockIoKind::Write,       BlockIoKind::Read,
                                          BlockIoKind::Discard, BlockIoKind::WriteZeroes, BlockIoKind::Flush,
                                          BlockIoKind::Write};
        io.kind = kKinds[lot() % std::size(kKinds)];
        const u64 first = lot() % kSectors;
        const u64 size = 1 + lot() % std::min<u64>(lot() % 4 == 0 ? kSectors : 12, kSectors - first);
        io.offset_bytes = first * 512;
        io.size_bytes = io.kind == BlockIoKind::Flush ? 0 : size * 512;
        io.is_write_through = io.kind == BlockIoKind::Write && lot() % 4 == 0;
        io.may_unmap = lot() % 2 == 0;
        parts.clear();
        const bool is_transfer = io.kind == BlockIoKind::Read || io.kind == BlockIoKind::Write;
        for (u64 at = 0; is_transfer && at < io.size_bytes;) {
            const u64 part = std::min<u64>(1 + lot() % 3'000, io.size_bytes - at);
            parts.push_back({memory.data() + at, part});
            at += part;
        }
        io.parts = parts;
        const bool is_read = io.kind == BlockIoKind::Read;
        for (std::byte& byte : memory) byte = static_cast<std::byte>(is_read ? 0 : lot());
    };
    const auto check_one = [&](i32 result) {
        if (result != 0) ++wrong;
        const auto at = model.begin() + static_cast<std::ptrdiff_t>(io.offset_bytes);
        const auto size = static_cast<std::ptrdiff_t>(io.size_bytes);
        if (io.kind == BlockIoKind::Write) std::copy_n(memory.begin(), size, at);
        if (io.kind == BlockIoKind::WriteZeroes) std::fill_n(at, size, std::byte{0});
        if (io.kind == BlockIoKind::Discard)
            std::copy_n(base.content.begin() + (at - model.begin()), size, at);
        if (io.kind == BlockIoKind::Read && !std::equal(at, at + size, memory.begin())) ++wrong;
    };

    constexpr u32 kOperations = 1'500;
    if (how == How::Inline) {
        for (; count < kOperations; ++count) {
            begin_one();
            check_one(disk->start(io).value());
        }
        CHECK(wrong == 0);
        return;
    }
    auto loop = make_loop();
    if (how == How::AllByRing) disk->give_all_to_ring();
    REQUIRE(disk->attach(*loop).has_value());
    const auto go = [&] {
        for (; count < kOperations; ++count) {
            begin_one();
            const auto result = disk->start(io);
            if (!result) return;
            check_one(*result);
        }
        loop->stop();
    };
    client.next = [&] {
        check_one(client.last);
        ++count;
        go();
    };
    CallTask begin(go);
    loop->post(begin);
    NoPoller poller;
    loop->run(poller);
    loop.reset();
    CHECK(count == kOperations);
    CHECK(wrong == 0);
}

TEST_CASE("a read alternates where every other sector was written, and others come in between", "[disk]") {
    const How how = a_way();
    constexpr u64 kBytes = MiB(1);
    BaseFile base(kBytes);
    Runner runner(open_overlay({.path = base.file.path}), How::Inline);
    Bytes expected = base.content;
    Bytes out(512, std::byte{0xee});
    for (u64 at = 0; at < kBytes; at += 1024) {
        runner.add(BlockIoKind::Write, at, out);
        std::copy(out.begin(), out.end(), expected.begin() + static_cast<std::ptrdiff_t>(at));
    }
    CHECK(runner.run() == Results(kBytes / 1024, 0));
    Bytes in(kBytes);
    Runner reader(std::move(runner.disk), how);
    reader.add(BlockIoKind::Read, 0, in, 3'000);
    CHECK(reader.run() == Results{0});
    if (how != How::Inline) CHECK(reader.loop->counts().turns >= kBytes / 512 / 128);
    CHECK((in == expected));
}

TEST_CASE("an overlay's memory is that of the pages written, and a discard gives it back", "[disk]") {
    BaseFile base(MiB(8));
    Runner runner(open_overlay({.path = base.file.path}), How::Inline);
    Bytes out(MiB(1), std::byte{0xee});
    Bytes in(MiB(8));
    runner.add(BlockIoKind::Read, 0, in);
    runner.add(BlockIoKind::WriteZeroes, MiB(4), MiB(1));
    CHECK(runner.run() == Results{0, 0});
    CHECK(layer_bytes() == 0);
    CHECK((Bytes(in.begin() + MiB(4), in.begin() + MiB(5)) ==
           Bytes(base.content.begin() + MiB(4), base.content.begin() + MiB(5))));
    Runner writer(std::move(runner.disk), How::Inline);
    for (u64 n = 0; n < 16; ++n) writer.add(BlockIoKind::Write, n * KiB(64), std::span(out).first(512));
    writer.add(BlockIoKind::Write, MiB(2), out);
    CHECK(writer.run() == Results(17, 0));
    CHECK(layer_bytes() == 16 * 4096 + MiB(1));
    Runner discarder(std::move(writer.disk), How::Inline);
    discarder.add(BlockIoKind::Discard, 0, MiB(8));
    discarder.add(BlockIoKind::Read, 0, in);
    CHECK(discarder.run() == Results{0, 0});
    CHECK(layer_bytes() == 0);
    CHECK((in == base.content));
}

TEST_CASE("a layer without room is an error, and the sector unchanged", "[disk]") {
    BaseFile base(MiB(1));
    const How how = a_way();
    Bytes out(8192, std::byte{0xee});
    Bytes in(8192);
    Runner runner(open_overlay({.path = base.file.path}), how);
    runner.add(BlockIoKind::Write, 0, out);
    runner.add(BlockIoKind::Write, 12'288, out);  // half of it is beyond
    std::signal(SIGXFSZ, SIG_IGN);
    const auto results = [&] {
        const FileSizeLimit limit(16'384);
        return runner.run();
    }();
    CHECK(results == Results{0, -EFBIG});
    if (how != How::Inline) return;
    Runner reader(std::move(runner.disk), how);
    reader.add(BlockIoKind::Read, 12'288, in);
    CHECK(reader.run() == Results{0});
    CHECK((in == Bytes(base.content.begin() + 12'288, base.content.begin() + 20'480)));
}

TEST_CASE("a file cut short is an I/O error where its overlay was not written", "[disk]") {
    const TempDisk file(MiB(1));
    Runner writer(open_overlay({.path = file.path}), How::Inline);
    Bytes out(8192, std::byte{0xee});
    Bytes in(8192);
    Bytes more(16'384);
    writer.add(BlockIoKind::Write, 8192, out).is_write_through = true;
    CHECK(writer.run() == Results{0});
    REQUIRE(::ftruncate(file.fd().get(), 4096) == 0);
    Runner reader(std::move(writer.disk), a_way());
    reader.add(BlockIoKind::Read, 8192, in);
    reader.add(BlockIoKind::Read, KiB(512), more);
    reader.add(BlockIoKind::Read, 8192, more, 4096);
    CHECK(reader.run() == Results{0, -EIO, -EIO});
    CHECK((in == out));
}

TEST_CASE("an overlay shares its file with other readers", "[disk]") {
    BaseFile base(4096);
    const auto one = open_overlay({.path = base.file.path});
    const auto two = open_overlay({.path = base.file.path});
    const auto three = open_or_fail({.path = base.file.path, .is_read_only = true});
    const auto writer = DiskFile::open({.path = base.file.path});
    REQUIRE_FALSE(writer.has_value());
    CHECK(writer.error().message().find("only disks that are ,ro or ,overlay") != std::string::npos);
}

TEST_CASE("cancelling an overlay ends requests in flight, and later ones are done", "[disk]") {
    BaseFile base(MiB(8));
    Runner runner(open_overlay({.path = base.file.path}), How::AllByRing);
    Bytes out(MiB(4), std::byte{0xee});
    Bytes in(512);
    runner.add(BlockIoKind::Write, 0, out);
    runner.add(BlockIoKind::Write, MiB(4), out);
    runner.add(BlockIoKind::Read, 512, in);
    runner.before_start = [&](u32 n) {
        if (n == 2) std::thread([&] { runner.disk->cancel_all(); }).join();
    };
    const auto results = runner.run();
    for (u32 n = 0; n < 2; ++n) CHECK((results[n] == 0 || results[n] == -ECANCELED));
    CHECK(results[2] == 0);
}
