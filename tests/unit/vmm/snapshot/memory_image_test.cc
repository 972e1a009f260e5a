// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/memory_image.h"

#include <cstring>
#include <map>
#include <random>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace mayfly {

namespace {

constexpr u64 kMiB = 1U << 20;
constexpr Gpa kHole{GiB(3)};

UniqueFd new_file() {
    UniqueFd file = UniqueFd::adopt(::memfd_create("memory", MFD_CLOEXEC));
    REQUIRE(file.valid());
    return file;
}

GuestRam new_ram(u64 bytes, Gpa hole = kHole) {
    Result<GuestRam> ram = GuestRam::create({.size_bytes = bytes, .hole_base = hole});
    REQUIRE(ram.has_value());
    return std::move(*ram);
}

struct stat about(const UniqueFd& file) {
    struct stat found {};
    REQUIRE(::fstat(file.get(), &found) == 0);
    return found;
}

MemoryRecord written(const UniqueFd& file, const GuestRam& ram) {
    const Result<MemoryRecord> record = write_memory(file, ram, {});
    REQUIRE(record.has_value());
    return *record;
}

bool is_equal(const GuestRam& a, const GuestRam& b) {
    return a.bytes().size() == b.bytes().size() &&
           std::memcmp(a.bytes().data(), b.bytes().data(), a.bytes().size()) == 0;
}

std::string refusal_of(const UniqueFd& file, const MemoryRecord& record) {
    const Result<GuestRam> ram = map_memory(file, record, kHole);
    REQUIRE_FALSE(ram.has_value());
    return ram.error().message();
}

}  // namespace

TEST_CASE("memory that nobody has touched is a file of holes", "[snapshot]") {
    const UniqueFd file = new_file();
    const MemoryRecord record = written(file, new_ram(5 * kMiB));
    CHECK(record.ram_bytes == 5 * kMiB);
    CHECK(record.data_bytes == 0);
    CHECK(record.blocks == std::vector<u8>{0});
    CHECK(about(file).st_size == static_cast<off_t>(5 * kMiB));
    CHECK(about(file).st_blocks == 0);
}

TEST_CASE("pages come back where they were, and zeros take no room", "[snapshot]") {
    GuestRam ram = new_ram(64 * kMiB + 3 * kPageBytes);
    std::mt19937_64 random(1);
    for (unsigned n = 0; n < 400; ++n) {
        const u64 at = random() % (ram.bytes().size() / 2);
        ram.bytes()[at] = static_cast<std::byte>(random() | 1);
    }
    ram.bytes().back() = std::byte{7};
    // Touched, and zero again.
    std::memset(ram.bytes().data() + 40 * kMiB, 1, kMiB);
    std::memset(ram.bytes().data() + 40 * kMiB, 0, kMiB);
    const UniqueFd file = new_file();
    const MemoryRecord record = written(file, ram);
    CHECK(record.data_bytes <= 401 * kPageBytes);
    CHECK(about(file).st_blocks * 512 == static_cast<blkcnt_t>(record.data_bytes));
    CHECK_FALSE(record.has_block(20));
    CHECK(record.has_block(32));
    const Result<GuestRam> again = map_memory(file, record, kHole);
    REQUIRE(again.has_value());
    CHECK(is_equal(*again, ram));
}

TEST_CASE("memory above the hole comes back there", "[snapshot]") {
    const Gpa hole{3 * kMiB};
    GuestRam ram = new_ram(8 * kMiB, hole);
    std::memset(ram.bytes().data() + 2 * kMiB, 5, 3 * kMiB);
    REQUIRE(ram.memory().write_object(GuestRam::kAboveHole, u64{0x1234}) == MemStatus::Ok);
    const UniqueFd file = new_file();
    const MemoryRecord record = written(file, ram);
    const Result<GuestRam> again = map_memory(file, record, hole);
    REQUIRE(again.has_value());
    CHECK(is_equal(*again, ram));
    CHECK(again->memory().read_object<u64>(GuestRam::kAboveHole) == 0x1234);
    CHECK(again->address_of(3 * kMiB - 1).value == 3 * kMiB - 1);
    CHECK(again->address_of(3 * kMiB) == GuestRam::kAboveHole);
}

TEST_CASE("pages of a mapped file are content, touched or not, and so are those of a snapshot",
          "[snapshot]") {
    const UniqueFd kernel = new_file();
    const std::string text(3 * kPageBytes, 'k');
    REQUIRE(::write(kernel.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    GuestRam ram = new_ram(16 * kMiB);
    REQUIRE(ram.map_file(Gpa{4 * kMiB}, kernel, 0, text.size()).has_value());
    const UniqueFd file = new_file();
    const MemoryRecord record = written(file, ram);
    CHECK(record.data_bytes == text.size());
    Result<GuestRam> second = map_memory(file, record, kHole);
    REQUIRE(second.has_value());
    second->bytes()[0] = std::byte{1};
    const UniqueFd other = new_file();
    const MemoryRecord more = written(other, *second);
    CHECK(more.data_bytes == text.size() + kPageBytes);
    const Result<GuestRam> third = map_memory(other, more, kHole);
    REQUIRE(third.has_value());
    CHECK(is_equal(*third, *second));
}

TEST_CASE("a guest's writes do not reach the file", "[snapshot]") {
    GuestRam ram = new_ram(4 * kMiB);
    ram.bytes()[kPageBytes] = std::byte{1};
    const UniqueFd file = new_file();
    const MemoryRecord record = written(file, ram);
    {
        const Result<GuestRam> clone = map_memory(file, record, kHole);
        REQUIRE(clone.has_value());
        clone->bytes()[kPageBytes] = std::byte{2};
    }
    const Result<GuestRam> again = map_memory(file, record, kHole);
    REQUIRE(again.has_value());
    CHECK(again->bytes()[kPageBytes] == std::byte{1});
}

TEST_CASE("a list of memory that no file can have is refused", "[snapshot]") {
    GuestRam ram = new_ram(4 * kMiB);
    ram.bytes()[0] = std::byte{1};
    const UniqueFd file = new_file();
    const MemoryRecord good = written(file, ram);
    const std::map<std::string, MemoryRecord> bad{
        {"0 bytes of memory", {.ram_bytes = 0, .blocks = good.blocks, .data_bytes = 0}},
        {"100 bytes of memory", {.ram_bytes = 100, .blocks = good.blocks, .data_bytes = 0}},
        {"its length", {.ram_bytes = good.ram_bytes, .blocks = {}, .data_bytes = 0}},
        {"a block behind its end", {.ram_bytes = good.ram_bytes, .blocks = {0b100}, .data_bytes = 0}},
    };
    for (const auto& [what, record] : bad)
        CHECK(refusal_of(file, record) == "the snapshot is damaged: its list of memory: " + what);
    REQUIRE(::ftruncate(file.get(), 4096) == 0);
    CHECK(refusal_of(file, good) ==
          "it has 4096 bytes, and the snapshot's memory 4194304: it was truncated or replaced");
}

TEST_CASE("a full disk and a request to stop end the writing", "[snapshot]") {
    const GuestRam ram = new_ram(4 * kMiB);
    ram.bytes()[0] = std::byte{1};
    const UniqueFd sealed = UniqueFd::adopt(::memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    REQUIRE(::ftruncate(sealed.get(), static_cast<off_t>(ram.bytes().size())) == 0);
    REQUIRE(::fcntl(sealed.get(), F_ADD_SEALS, F_SEAL_WRITE) == 0);
    const Result<MemoryRecord> failed = write_memory(sealed, ram, {});
    REQUIRE_FALSE(failed.has_value());
    CHECK(failed.error().os_errno() == EPERM);
    const std::atomic<bool> is_wanted = true;
    const Result<MemoryRecord> stopped = write_memory(new_file(), ram, StopToken(is_wanted));
    REQUIRE_FALSE(stopped.has_value());
    CHECK(stopped.error().kind() == ErrorKind::Stopped);
}

}  // namespace mayfly
