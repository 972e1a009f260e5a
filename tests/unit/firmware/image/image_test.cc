// SPDX-License-Identifier: Apache-2.0
#include "firmware/image/image.h"

#include <atomic>
#include <cstdlib>
#include <fstream>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

/// A file in a fresh directory, removed at the end.
class ScratchFile {
  public:
    ScratchFile() {
        char name[] = "/tmp/mayfly-image-XXXXXX";
        directory_ = ::mkdtemp(name);
        path_ = directory_ + "/file";
    }
    ~ScratchFile() {
        ::unlink(path_.c_str());
        ::rmdir(directory_.c_str());
    }
    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;

    void write(const Bytes& bytes) const {
        std::ofstream out(path_, std::ios::binary);
        out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    void truncate(u64 size_bytes) const {
        REQUIRE(::truncate(path_.c_str(), static_cast<off_t>(size_bytes)) == 0);
    }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] const std::string& directory() const { return directory_; }

  private:
    std::string directory_;
    std::string path_;
};

/// Each 4-byte word holds its own index, so that every misplacement shows.
Bytes counting(std::size_t size_bytes) {
    Bytes bytes(size_bytes);
    for (std::size_t at = 0; at + 4 <= size_bytes; at += 4) put<u32>(bytes, at, static_cast<u32>(at / 4 + 1));
    return bytes;
}

Bytes slice(const Bytes& bytes, std::size_t at, std::size_t size) {
    return {bytes.begin() + static_cast<std::ptrdiff_t>(at),
            bytes.begin() + static_cast<std::ptrdiff_t>(at + size)};
}

Image unpacked(const Bytes& bytes) {
    Mapping mapping = Mapping::anonymous(bytes.size()).value();
    std::memcpy(mapping.data(), bytes.data(), bytes.size());
    return Image::from_mapping("unpacked", std::move(mapping), bytes.size());
}

/// Characters that this process has read, or nothing where the kernel does not count them.
std::optional<u64> characters_read() {
    std::ifstream io("/proc/self/io");
    std::string key;
    u64 value = 0;
    while (io >> key >> value)
        if (key == "rchar:") return value;
    return std::nullopt;
}

u64 page_faults() {
    struct rusage usage {};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<u64>(usage.ru_minflt + usage.ru_majflt);
}

}  // namespace

TEST_CASE("a file that does not exist is NotFound, with its path", "[image]") {
    const Result<Image> image = Image::open("/nonexistent/vmlinux");
    REQUIRE_FALSE(image);
    CHECK(image.error().kind() == ErrorKind::NotFound);
    CHECK(image.error().message() == "/nonexistent/vmlinux: no such file");
}

TEST_CASE("directories, devices, pipes and empty files are refused without waiting", "[image]") {
    const ScratchFile file;
    CHECK(Image::open(file.directory()).error().message() ==
          file.directory() + ": is a directory, not a file");
    CHECK(Image::open("/dev/null").error().message() == "/dev/null: is a device, not a file");
    REQUIRE(::mkfifo(file.path().c_str(), 0600) == 0);
    CHECK(Image::open(file.path()).error().message() == file.path() + ": is a pipe, not a file");
    REQUIRE(::unlink(file.path().c_str()) == 0);
    file.write({});
    CHECK(Image::open(file.path()).error().message() == file.path() + ": the file is empty");
}

TEST_CASE("reads beyond the end are refused for every kind of image", "[image]") {
    const ScratchFile file;
    const Bytes bytes = counting(6000);
    file.write(bytes);
    const Image from_file = Image::open(file.path()).value();
    const Image from_bytes = Image::from_bytes("b", bytes);
    const Image from_mapping = unpacked(bytes);
    for (const Image* image : {&from_file, &from_bytes, &from_mapping}) {
        Bytes out(8);
        CHECK(image->size_bytes() == 6000);
        REQUIRE(image->read(5992, out));
        CHECK(out == slice(bytes, 5992, 8));
        CHECK(image->read(5993, out).error().message() ==
              "truncated: 8 bytes at byte 5993 are needed, the file has 6000");
        CHECK_FALSE(image->read(~u64{0}, out));
        CHECK_FALSE(image->bytes(5999, 2));
        const auto held = image->bytes(4, 100).value();
        CHECK(Bytes(held.bytes.begin(), held.bytes.end()) == slice(bytes, 4, 100));
    }
}

TEST_CASE("a file that shrinks after it was opened is an error, not a signal", "[image]") {
    const ScratchFile file;
    file.write(counting(8192));
    const Image image = Image::open(file.path()).value();
    file.truncate(4096);
    Bytes out(16);
    CHECK(image.read(4096, out).error().message() ==
          "the file shrank while it was read: nothing at byte 4096");
    CHECK_FALSE(image.bytes(0, 8192));
}

TEST_CASE("placed bytes are the same, however they are aligned, and nothing beside them is touched",
          "[image]") {
    const ScratchFile file;
    const Bytes bytes = counting(300 * 1024 + 100);
    file.write(bytes);
    struct Case {
        u64 offset, gpa, size;
    };
    const Case cases[] = {
        {0, 0x100000, 300 * 1024 + 100},  // whole file, last page partial
        {0x1234, 0x101234, 200 * 1024},   // congruent, both edges partial
        {0x1234, 0x101000, 200 * 1024},   // not congruent: copied
        {0x1000, 0x102000, 17},           // small: copied
        {0x1000, 0x102000, 64 * 1024},    // pages only
    };
    for (const Case& c : cases) {
        const Image from_file = Image::open(file.path()).value();
        const Image from_bytes = Image::from_bytes("b", bytes);
        const Image from_mapping = unpacked(bytes);
        for (const Image* image : {&from_file, &from_bytes, &from_mapping}) {
            Guest guest;
            REQUIRE(image->place(guest.ram, Gpa{c.gpa}, c.offset, c.size));
            CHECK(guest.at(c.gpa, c.size) == slice(bytes, c.offset, c.size));
            CHECK(guest.at(c.gpa - 64, 64) == Bytes(64));
            CHECK(guest.at(c.gpa + c.size, 4096) == Bytes(4096));
        }
    }
}

TEST_CASE("a guest's writes into placed pages do not reach the file", "[image]") {
    const ScratchFile file;
    const Bytes bytes = counting(128 * 1024);
    file.write(bytes);
    const Image image = Image::open(file.path()).value();
    Guest guest;
    REQUIRE(image.place(guest.ram, Gpa{0x100000}, 0, bytes.size()));
    REQUIRE(guest.ram.memory().fill(Gpa{0x100000}, bytes.size(), std::byte{0xee}) == MemStatus::Ok);
    Bytes out(bytes.size());
    REQUIRE(image.read(0, out));
    CHECK(out == bytes);
}

TEST_CASE("moved pages can be used once; the second use is refused", "[image]") {
    const Image image = unpacked(counting(256 * 1024));
    Guest guest;
    REQUIRE(image.place(guest.ram, Gpa{0x100000}, 0, 128 * 1024));
    CHECK(image.place(guest.ram, Gpa{0x140000}, 64 * 1024, 128 * 1024).error().message() ==
          "131072 bytes at byte 65536 of the unpacked kernel are used twice");
    Bytes out(4);
    CHECK_FALSE(image.read(0, out));
    REQUIRE(image.read(128 * 1024, out));
    CHECK(image.place(guest.ram, Gpa{0x160000}, 128 * 1024, 128 * 1024));
}

TEST_CASE("a 64 MiB ELF is loaded without reading it", "[image]") {
    const ScratchFile file;
    Bytes head = elf64(0x1000000, {{kLoad, 0x1000, 0x1000000, 0x1000000, MiB(64), MiB(65), 0x1000}});
    file.write(head);
    file.truncate(0x1000 + MiB(64));
    const int fd = ::open(file.path().c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(::pwrite(fd, "last", 4, 0x1000 + static_cast<off_t>(MiB(64)) - 4) == 4);
    ::close(fd);

    Guest guest(MiB(256));
    const std::optional<u64> read_before = characters_read();
    const u64 faults_before = page_faults();
    {
        const Image image = Image::open(file.path()).value();
        REQUIRE(guest.boot(image));
    }
    const u64 faults = page_faults() - faults_before;
    const std::optional<u64> read_after = characters_read();
    CHECK(faults < 256);  // 64 MiB are 16384 pages
    if (read_before && read_after) CHECK(*read_after - *read_before < 64 * 1024);
    CHECK(guest.text_at(0x1000000 + MiB(64) - 4) == "last");
}

TEST_CASE("a file is read no further once there is a stop", "[image]") {
    const ScratchFile file;
    file.write(Bytes(10000));
    std::atomic<bool> is_wanted = false;
    const Image image = Image::open(file.path(), StopToken(is_wanted)).value();
    Bytes out(100);
    CHECK(image.read(0, out).has_value());
    CHECK(image.bytes(0, 10000).has_value());
    is_wanted = true;
    CHECK(image.read(0, out).error().kind() == ErrorKind::Stopped);
    CHECK(image.bytes(0, 10000).error().kind() == ErrorKind::Stopped);
    GuestRam ram = GuestRam::create({.size_bytes = MiB(2), .hole_base = Gpa{GiB(3)}}).value();
    CHECK(image.place(ram, Gpa{4096}, 0, 10000).error().kind() == ErrorKind::Stopped);
    Mapping mapping = Mapping::anonymous(MiB(1), 4096).value();
    const Image unpacked = Image::from_mapping("unpacked", std::move(mapping), 10000, StopToken(is_wanted));
    CHECK(unpacked.place(ram, Gpa{8192}, 1, 9000).error().kind() == ErrorKind::Stopped);
}
