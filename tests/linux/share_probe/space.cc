// SPDX-License-Identifier: Apache-2.0
// The space of a file: holes, allocation, and the file system's statistics.
#include <cerrno>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/statvfs.h>

#include "probe.h"

namespace probe {
namespace {

constexpr off_t kBlock = 65536;

void allocated(const std::string&) {
    const Fd file = open_file("file", O_RDWR | O_CREAT);
    done(::fallocate(file.get(), 0, 0, 4 * kBlock), "fallocate");
    need(stat_of("file").st_size == 4 * kBlock, "the size");
    need(stat_of("file").st_blocks >= 4 * kBlock / 512, "blocks");
    need(read_file("file") == std::string(4 * kBlock, '\0'), "contents");
    done(::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 4 * kBlock, 4 * kBlock), "fallocate, its size kept");
    need(stat_of("file").st_size == 4 * kBlock && stat_of("file").st_blocks >= 8 * kBlock / 512,
         "its size kept");
    refused(::fallocate(open_file("file", O_RDONLY).get(), 0, 0, 1), EBADF, "fallocate of what is only read");
}

void punched(const std::string&) {
    write_file("file", pattern(8 * kBlock));
    const Fd file = open_file("file", O_RDWR);
    done(::fsync(file.get()), "fsync");
    const blkcnt_t before = stat_of("file").st_blocks;
    done(::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * kBlock, 3 * kBlock),
         "a hole");
    std::string expected = pattern(8 * kBlock);
    expected.replace(2 * kBlock, 3 * kBlock, 3 * kBlock, '\0');
    need(read_file("file") == expected, "contents");
    need(before - stat_of("file").st_blocks == 3 * kBlock / 512, "blocks");
}

void zeroed(const std::string&) {
    write_file("file", pattern(4 * kBlock));
    const Fd file = open_file("file", O_RDWR);
    done(::fallocate(file.get(), FALLOC_FL_ZERO_RANGE, 1000, 5000), "fallocate");
    std::string expected = pattern(4 * kBlock);
    expected.replace(1000, 5000, 5000, '\0');
    need(read_file("file") == expected, "contents");
}

void sparse(const std::string&) {
    const Fd file = open_file("file", O_RDWR | O_CREAT);
    write_fd(file.get(), pattern(kBlock), 4 * kBlock);
    done(::ftruncate(file.get(), 10 * kBlock), "ftruncate");
    done(::fsync(file.get()), "fsync");
    need(done(::lseek(file.get(), 0, SEEK_DATA), "SEEK_DATA") == 4 * kBlock, "where data begin");
    need(done(::lseek(file.get(), 4 * kBlock + 1, SEEK_HOLE), "SEEK_HOLE") == 5 * kBlock,
         "where a hole begins");
    need(done(::lseek(file.get(), 100, SEEK_HOLE), "SEEK_HOLE") == 100, "in a hole");
    refused(::lseek(file.get(), 6 * kBlock, SEEK_DATA), ENXIO, "data behind the last");
    refused(::lseek(file.get(), 11 * kBlock, SEEK_HOLE), ENXIO, "a hole behind the end");
    need(::lseek(file.get(), -5, SEEK_END) == 10 * kBlock - 5, "SEEK_END");
}

void statistics(const std::string& directory) {
    struct statvfs about {};
    done(::statvfs(directory.c_str(), &about), "statvfs");
    need(about.f_namemax == 255, "the longest name");
    need(about.f_bsize >= 512 && about.f_blocks > 0 && about.f_bfree > 0 && about.f_bfree <= about.f_blocks,
         "blocks");
    need(about.f_files > 0 && about.f_ffree > 0, "files");
}

}  // namespace

std::vector<Entry> space_cases() {
    return {{"allocated", allocated},
            {"punched", punched},
            {"zeroed", zeroed},
            {"sparse", sparse},
            {"statistics", statistics}};
}

}  // namespace probe
