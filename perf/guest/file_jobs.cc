// SPDX-License-Identifier: Apache-2.0
// file_jobs: work with files in a guest of linux_share.py for which busybox has no tool. It reports a failure
// and then ends with 1. Single thread.
//
//   file_jobs read FILE COUNT         COUNT reads of 4 KiB, each of a page of its own, in a scattered order
//   file_jobs create DIRECTORY COUNT  makes COUNT empty files, and removes them
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr off_t kPageBytes = 4096;
/// Coprime to any number of pages that is a power of two; no read ahead finds a pattern in it.
constexpr long kStride = 40'503;

char page[kPageBytes];

int failed(const char* what) {
    std::perror(what);
    return 1;
}

int read_pages(const char* path, long count) {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    struct stat about {};
    if (fd < 0 || ::fstat(fd, &about) != 0 || ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) != 0) {
        return failed(path);
    }
    const long pages = about.st_size / kPageBytes;
    if (pages < count) {
        std::fprintf(stderr, "file_jobs: %s has %ld pages\n", path, pages);
        return 1;
    }
    for (long i = 0; i < count; ++i) {
        if (::pread(fd, page, sizeof page, i * kStride % pages * kPageBytes) != kPageBytes) {
            return failed("pread");
        }
    }
    return 0;
}

int create_files(const std::string& directory, long count) {
    for (long i = 0; i < count; ++i) {
        const int fd = ::open((directory + "/" + std::to_string(i)).c_str(),
                              O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 || ::close(fd) != 0) {
            return failed("open");
        }
    }
    for (long i = 0; i < count; ++i) {
        if (::unlink((directory + "/" + std::to_string(i)).c_str()) != 0) {
            return failed("unlink");
        }
    }
    return 0;
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view job = count == 4 ? arguments[1] : "";
    if (job == "read") {
        return read_pages(arguments[2], std::atol(arguments[3]));
    }
    if (job == "create") {
        return create_files(arguments[2], std::atol(arguments[3]));
    }
    std::fprintf(stderr, "usage: file_jobs read FILE COUNT | create DIRECTORY COUNT\n");
    return 2;
}
