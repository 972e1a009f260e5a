// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/disk_open.h"

#include <cerrno>

#include <linux/loop.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "tests/unit/vmm/storage/disk_fixture.h"
#include "vmm/storage/lock_holder.h"

using namespace mayfly;

namespace {

std::string refusal(const DiskOptions& options) {
    const auto disk = DiskFile::open(options);
    return disk.has_value() ? "opened" : disk.error().message();
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a file that cannot be a disk is refused with its name and the reason", "[disk]") {
    CHECK(refusal({.path = "/nowhere/disk"}) == "/nowhere/disk: no such file (truncate -s 1G /nowhere/disk)");
    CHECK(refusal({.path = "/tmp"}) == "/tmp: is a directory, not a disk image");
    CHECK(refusal({.path = "/tmp", .is_read_only = true}) == "/tmp: is a directory, not a disk image");
    CHECK(contains(refusal({.path = "/dev/null"}), "/dev/null: is a character device"));
}

TEST_CASE("an image of another format is refused by name, with the command that converts it", "[disk]") {
    using namespace std::string_view_literals;
    struct Image {
        std::string_view bytes;
        u64 at;
        std::string_view name;
        std::string_view qemu_name;
    };
    constexpr u64 kBytes = KiB(8);
    const Image image = GENERATE(
        Image{"QFI\xfb\0\0\0\3"sv, 0, "qcow2", "qcow2"}, Image{"QFI\xfb\0\0\0\2"sv, 0, "qcow2", "qcow2"},
        Image{"QFI\xfb\0\0\0\1"sv, 0, "qcow", "qcow"}, Image{"KDMV\1\0\0\0"sv, 0, "VMDK", "vmdk"},
        Image{"COWD"sv, 0, "VMDK", "vmdk"}, Image{"# Disk DescriptorFile\nversion=1\n"sv, 0, "VMDK", "vmdk"},
        Image{"conectix"sv, 0, "VHD", "vpc"}, Image{"conectix"sv, kBytes - 512, "VHD", "vpc"},
        Image{"conectix"sv, kBytes - 511, "VHD", "vpc"}, Image{"vhdxfile"sv, 0, "VHDX", "vhdx"},
        Image{"\x7f\x10\xda\xbe"sv, 64, "VDI", "vdi"}, Image{"QED\0"sv, 0, "QED", "qed"},
        Image{"WithoutFreeSpace"sv, 0, "Parallels", "parallels"},
        Image{"WithouFreSpacExt"sv, 0, "Parallels", "parallels"},
        Image{"Bochs Virtual HD Image"sv, 0, "Bochs", "bochs"},
        Image{"koly\0\0\0\4"sv, kBytes - 512, "DMG", "dmg"});
    const TempDisk file(kBytes);
    REQUIRE(::pwrite(file.fd().get(), image.bytes.data(), image.bytes.size(), static_cast<off_t>(image.at)) >
            0);
    const std::string expected = file.path + ": is a " + std::string(image.name) +
                                 " image, and a disk is raw (qemu-img convert -f " +
                                 std::string(image.qemu_name) + " -O raw " + file.path + " " + file.path +
                                 ".raw; where a guest wrote on a raw disk what looks like one: add "
                                 ",format=raw)";
    CHECK(refusal({.path = file.path}) == expected);
    CHECK(refusal({.path = file.path, .is_read_only = true}) == expected);
    CHECK(refusal({.path = file.path, .is_surely_raw = true}) == "opened");
    // With one bit changed, or a byte further on, the magic is not recognised.
    const char other = static_cast<char>(image.bytes[0] ^ 1);
    REQUIRE(::pwrite(file.fd().get(), &other, 1, static_cast<off_t>(image.at)) == 1);
    CHECK(refusal({.path = file.path}) == "opened");
}

TEST_CASE("an image's format is reported before its size, which may be invalid", "[disk]") {
    const TempDisk text(333);
    REQUIRE(::pwrite(text.fd().get(), "# Disk DescriptorFile", 21, 0) == 21);
    CHECK(contains(refusal({.path = text.path}), "is a VMDK image"));
    const TempDisk old(KiB(8) + 511);
    REQUIRE(::pwrite(old.fd().get(), "conectix", 8, KiB(8)) == 8);
    CHECK(contains(refusal({.path = old.path}), "is a VHD image"));
}

TEST_CASE("a disk's own first bytes are not an image format: a boot sector, a file system, a key slot",
          "[disk]") {
    const TempDisk file(KiB(8));
    for (const char* start : {"\xeb\x3c\x90", "LUKS\xba\xbe", "XFSB", "QFI", "\x1f\x8b\x08", "conecti"}) {
        REQUIRE(::pwrite(file.fd().get(), start, std::strlen(start) + 1, 0) > 0);
        CHECK(refusal({.path = file.path}) == "opened");
    }
}

TEST_CASE("a pipe is refused, without waiting for somebody at its other end", "[disk]") {
    const TempDisk place(512);
    const std::string path = place.path + ".pipe";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    CHECK(refusal({.path = path, .is_read_only = true}) == path + ": is a pipe, not a disk image");
    CHECK(refusal({.path = path}) == path + ": is a pipe, not a disk image");
    ::unlink(path.c_str());
}

TEST_CASE("an empty file and one of an odd size are refused with the cure", "[disk]") {
    const TempDisk empty(0);
    CHECK(refusal({.path = empty.path}) == empty.path + ": is empty (truncate -s 1G " + empty.path + ")");
    const TempDisk odd(1'000);
    CHECK(refusal({.path = odd.path}) ==
          odd.path + ": its size of 1000 bytes is not a multiple of 512 (truncate -s %512 " + odd.path + ")");
}

TEST_CASE("a file that cannot be written is refused with a hint at ,ro", "[disk]") {
    // A running program: man open(2), ETXTBSY.
    CHECK(refusal({.path = "/proc/self/exe"}) ==
          "open for writing /proc/self/exe: Text file busy (a disk that is only read: add ,ro; "
          "whose changes are dropped: ,overlay)");
}

TEST_CASE("a writable disk has one user, a read-only one many", "[disk]") {
    const TempDisk file(4096);
    {
        const auto writer = open_or_fail({.path = file.path});
        CHECK(refusal({.path = file.path}) ==
              file.path +
                  ": is in use by this very mayfly: it is given twice (only disks "
                  "that are ,ro or ,overlay can be shared)");
        CHECK(refusal({.path = file.path, .is_read_only = true}) ==
              file.path +
                  ": is in use by this very mayfly: it is given twice (another process writes to it)");
    }
    const auto one = open_or_fail({.path = file.path, .is_read_only = true});
    const auto two = open_or_fail({.path = file.path, .is_read_only = true});
    CHECK(contains(refusal({.path = file.path}), "in use"));
}

TEST_CASE("the holder of a disk's lock is named", "[disk]") {
    const TempDisk file(4096);
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::prctl(PR_SET_NAME, "a\nb\x1b[31mX");
        const int fd = ::open(file.path.c_str(), O_RDWR);
        const char done = ::flock(fd, LOCK_EX | LOCK_NB) == 0 ? 'y' : 'n';
        (void)!::write(ready[1], &done, 1);
        ::pause();
        ::_exit(0);
    }
    char done = 0;
    REQUIRE(::read(ready[0], &done, 1) == 1);
    REQUIRE(done == 'y');
    const std::string expected =
        file.path + ": is in use by process " + std::to_string(child) + " (a?b?[31mX)";
    CHECK(refusal({.path = file.path}) == expected + " (only disks that are ,ro or ,overlay can be shared)");
    CHECK(refusal({.path = file.path, .is_read_only = true}) == expected + " (another process writes to it)");
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_CASE("locks of other kinds and files are not taken for the holder's", "[disk]") {
    struct stat file {};
    file.st_dev = makedev(0xfe, 3);
    file.st_ino = 42;
    CHECK(find_lock_holder("", file) == 0);
    CHECK(find_lock_holder("1: POSIX  ADVISORY  WRITE 11 fe:03:42 0 EOF\n"
                           "2: FLOCK  ADVISORY  WRITE 12 fe:03:421 0 EOF\n"
                           "3: FLOCK  ADVISORY  WRITE 13 fe:30:42 0 EOF\n"
                           "3: -> FLOCK  ADVISORY  WRITE 14 fe:03:42 0 EOF\n",
                           file) == 0);
    CHECK(find_lock_holder("9: FLOCK  ADVISORY  READ  15 fe:03:42 0 EOF\n", file) == 15);
    CHECK(find_lock_holder("9: FLOCK", file) == 0);
}

TEST_CASE("a disk is free as soon as its user on a loop is gone", "[disk]") {
    const TempDisk file(4096);
    std::vector<std::byte> memory(512);
    for (int n = 0; n < 3; ++n) {
        DiskRunner runner(open_or_fail({.path = file.path}), How::AllByRing);
        runner.add(BlockIoKind::Read, 0, memory);
        CHECK(runner.run() == std::vector<i32>{0});
    }
}

TEST_CASE("a file's geometry: its size, sectors of 512 bytes, blocks of 4096", "[disk]") {
    const TempDisk file(3 * 512);
    const BlockGeometry writable = open_or_fail({.path = file.path})->geometry();
    CHECK(writable.size_bytes == 1536);
    CHECK(writable.logical_block_bytes == 512);
    CHECK(writable.physical_block_bytes == 4096);
    CHECK_FALSE(writable.is_read_only);
    CHECK(writable.can_discard);
    CHECK(writable.can_write_zeroes);
    CHECK(writable.discard_alignment_bytes == 4096);
    const BlockGeometry read_only = open_or_fail({.path = file.path, .is_read_only = true})->geometry();
    CHECK(read_only.is_read_only);
    CHECK_FALSE(read_only.can_discard);
    CHECK_FALSE(read_only.can_write_zeroes);
}

TEST_CASE("a block device is a disk of its own size", "[disk]") {
    const TempDisk backing(MiB(1));
    const UniqueFd control = UniqueFd::adopt(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    const int number = control.valid() ? ::ioctl(control.get(), LOOP_CTL_GET_FREE) : -1;
    const std::string path = "/dev/loop" + std::to_string(number);
    UniqueFd device = UniqueFd::adopt(number < 0 ? -1 : ::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!device.valid() || ::ioctl(device.get(), LOOP_SET_FD, backing.fd().get()) != 0) {
        WARN("no loop device here: block devices are not tested");
        return;
    }
    std::vector<std::byte> out(8192, std::byte{0x5a});
    std::vector<std::byte> in(8192);
    {
        DiskRunner runner(open_or_fail({.path = path}), How::Inline);
        CHECK(runner.disk->geometry().size_bytes == MiB(1));
        CHECK(runner.disk->geometry().logical_block_bytes == 512);
        runner.add(BlockIoKind::Write, 4096, out);
        runner.add(BlockIoKind::Flush, 0, 0);
        runner.add(BlockIoKind::Read, 4096, in);
        CHECK(runner.run() == std::vector<i32>{0, 0, 0});
    }
    CHECK(in == out);
    CHECK(::ioctl(device.get(), LOOP_CLR_FD, 0) == 0);
}
