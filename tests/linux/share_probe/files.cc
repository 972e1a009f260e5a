// SPDX-License-Identifier: Apache-2.0
// Contents of files: what is written is what is read, by every way that Linux has.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "probe.h"

namespace probe {
namespace {

constexpr size_t kPage = 4096;

void sizes(const std::string&) {
    for (const size_t size : {size_t{0}, size_t{1}, kPage - 1, kPage, kPage + 1, size_t{(1U << 20U) + 3}}) {
        const std::string name = std::to_string(size);
        write_file(name, pattern(size));
        need(read_file(name) == pattern(size), "reading " + name);
        need(stat_of(name).st_size == static_cast<off_t>(size), "the size of " + name);
    }
    write_file("1048579", "short");
    need(read_file("1048579") == "short", "what was cut short");
    const Fd file = open_file("4096", O_RDWR);
    write_fd(file.get(), "middle", 1000);
    std::string expected = pattern(kPage);
    expected.replace(1000, 6, "middle");
    need(read_fd(file.get(), kPage * 2, 0) == expected, "what was written over");
    need(read_fd(file.get(), 10, 5000).empty(), "behind the end");
}

void vectors(const std::string&) {
    const Fd file = open_file("file", O_RDWR | O_CREAT);
    std::string first = pattern(5000, 1), second = pattern(70'000, 2), third = pattern(1, 3);
    iovec parts[] = {
        {first.data(), first.size()}, {second.data(), second.size()}, {third.data(), third.size()}};
    const auto all = static_cast<long>(first.size() + second.size() + third.size());
    need(done(::writev(file.get(), parts, 3), "writev") == all, "writev is short");
    need(read_file("file") == first + second + third, "contents");
}

void truncation(const std::string&) {
    write_file("file", pattern(10'000));
    done(::truncate("file", 3000), "truncate");
    need(read_file("file") == pattern(10'000).substr(0, 3000), "shorter");
    const Fd file = open_file("file", O_RDWR);
    done(::ftruncate(file.get(), 9000), "ftruncate");
    need(read_file("file") == pattern(10'000).substr(0, 3000) + std::string(6000, '\0'), "longer");
    refused(::ftruncate(open_file("file", O_RDONLY).get(), 1), EINVAL,
            "ftruncate of what is not to be written");
    open_file("file", O_WRONLY | O_TRUNC).close();
    need(stat_of("file").st_size == 0, "O_TRUNC");
    need(stat_of(file.get()).st_size == 0, "the size by what was open");
}

void appending(const std::string&) {
    constexpr int kLines = 200;
    std::vector<pid_t> children;
    for (char who = 'a'; who < 'e'; ++who) {
        const pid_t child = ::fork();
        if (child == 0) {
            const int fd = ::open("log", O_WRONLY | O_APPEND | O_CREAT, 0644);
            const std::string line(99, who);
            for (int i = 0; i < kLines; ++i) {
                if (::write(fd, (line + "\n").data(), 100) != 100) {
                    ::_exit(1);
                }
            }
            ::_exit(0);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        ::waitpid(child, &status, 0);
        need(status == 0, "a writer failed");
    }
    const std::string all = read_file("log");
    need(all.size() == 4 * kLines * 100, "lines are lost");
    for (size_t at = 0; at < all.size(); at += 100) {
        need(all.substr(at, 100) == std::string(99, all[at]) + "\n", "lines are mixed");
    }
}

void direct(const std::string&) {
    void* memory = nullptr;
    need(::posix_memalign(&memory, kPage, 16 * kPage) == 0, "posix_memalign");
    const std::string content = pattern(16 * kPage);
    std::memcpy(memory, content.data(), content.size());
    const Fd file = open_file("file", O_RDWR | O_CREAT | O_DIRECT);
    need(done(::pwrite(file.get(), memory, content.size(), 0), "pwrite") == 16 * kPage, "written");
    need(read_file("file") == content, "read by the cache");
    {
        const Fd cached = open_file("file", O_WRONLY);
        write_fd(cached.get(), pattern(kPage, 9), kPage);
    }
    std::memset(memory, 0, content.size());
    need(done(::pread(file.get(), memory, 2 * kPage, 0), "pread") == 2 * kPage, "read");
    need(std::string_view(static_cast<char*>(memory), 2 * kPage) ==
             content.substr(0, kPage) + pattern(kPage, 9),
         "what the cache has written");
    ::free(memory);
}

void mapped(const std::string&) {
    write_file("file", pattern(3 * kPage + 100));
    const Fd file = open_file("file", O_RDWR);
    void* at = ::mmap(nullptr, 4 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    need(at != MAP_FAILED, "mmap");
    auto* bytes = static_cast<char*>(at);
    std::string expected = pattern(3 * kPage + 100);
    need(std::string_view(bytes, expected.size()) == expected, "read by the mapping");
    need(std::string_view(bytes + expected.size(), 50) == std::string(50, '\0'), "behind the end");
    expected.replace(2 * kPage - 3, 6, "across");
    std::copy_n(expected.data() + 2 * kPage - 3, 6, bytes + 2 * kPage - 3);
    need(read_file("file") == expected, "before msync");
    done(::msync(at, 4 * kPage, MS_SYNC), "msync");
    write_fd(file.get(), "written", 7);
    need(std::string_view(bytes + 7, 7) == "written", "write() is not in the mapping");
    in_child([&] { bytes[0] = 'C'; });
    need(bytes[0] == 'C' && read_file("file")[0] == 'C', "what a child has written");
    done(::munmap(at, 4 * kPage), "munmap");
    expected.replace(7, 7, "written");
    expected[0] = 'C';
    done(::fsync(file.get()), "fsync");
    need(read_file("file") == expected, "at the end");
    void* own = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.get(), 0);
    need(own != MAP_FAILED, "mmap, private");
    static_cast<char*>(own)[0] = 'P';
    need(read_file("file")[0] == 'C', "what is private is not");
}

void synced(const std::string&) {
    const Fd file = open_file("file", O_RDWR | O_CREAT | O_DSYNC);
    write_fd(file.get(), pattern(100'000), 0);
    done(::fsync(file.get()), "fsync");
    done(::fdatasync(file.get()), "fdatasync");
    done(::syncfs(file.get()), "syncfs");
    done(::sync_file_range(file.get(), 0, 4096, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER),
         "a range");
    const Fd directory = open_file(".", O_RDONLY | O_DIRECTORY);
    done(::fsync(directory.get()), "fsync of a directory");
    done(::fdatasync(directory.get()), "fdatasync of a directory");
}

void large(const std::string&) {
    const Fd file = open_file("file", O_RDWR | O_CREAT);
    constexpr off_t kFar = (5LL << 30) - 3;
    write_fd(file.get(), "far away", kFar);
    need(stat_of("file").st_size == kFar + 8, "the size");
    need(stat_of("file").st_blocks < 1000, "blocks for a hole");
    need(read_fd(file.get(), 100, kFar) == "far away", "contents");
    need(read_fd(file.get(), 100, (4LL << 30) - 50) == std::string(100, '\0'), "between");
}

void copied(const std::string&) {
    write_file("from", pattern(200'000));
    const Fd from = open_file("from", O_RDONLY), to = open_file("to", O_RDWR | O_CREAT);
    off64_t begin = 1000, end = 10;
    long left = 150'000;
    while (left > 0) {
        const long count =
            done(::copy_file_range(from.get(), &begin, to.get(), &end, static_cast<size_t>(left), 0),
                 "copy_file_range");
        need(count > 0, "copy_file_range is short");
        left -= count;
    }
    need(begin == 151'000 && end == 150'010, "places");
    need(read_file("to") == std::string(10, '\0') + pattern(200'000).substr(1000, 150'000), "contents");
}

void sent(const std::string&) {
    write_file("from", pattern(60'000));
    int ends[2];
    done(::pipe(ends), "pipe");
    const Fd from = open_file("from", O_RDONLY), to = open_file("to", O_RDWR | O_CREAT);
    off_t place = 100;
    need(done(::sendfile(ends[1], from.get(), &place, 5000), "sendfile") == 5000, "sendfile is short");
    need(done(::splice(ends[0], nullptr, to.get(), nullptr, 5000, 0), "splice into a file") > 0, "splice");
    const std::string have = read_file("to");
    need(have == pattern(60'000).substr(100, have.size()), "contents");
    done(::fcntl(ends[1], F_SETPIPE_SZ, 1 << 17), "F_SETPIPE_SZ");
    off64_t begin = 4096;
    const long count = done(::splice(from.get(), &begin, ends[1], nullptr, 8192, 0), "splice out of a file");
    need(count > 0, "nothing was spliced");
}

void running(const std::string&) {
    const std::string self = read_file("/proc/self/exe");
    {
        const Fd file = open_file("program", O_WRONLY | O_CREAT, 0755);
        write_fd(file.get(), self, 0);
    }
    const pid_t child = ::fork();
    if (child == 0) {
        const int null = ::open("/dev/null", O_WRONLY);
        ::dup2(null, 1);
        ::execl("./program", "program", "--list", nullptr);
        ::_exit(errno);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    need(status == 0, "the program: " + std::to_string(status));
    // A running program is not written.
    const int sleeper = ::fork();
    if (sleeper == 0) {
        const Fd busy(::open("program", O_WRONLY));
        ::execl("./program", "program", "--list", nullptr);
        ::_exit(errno == ETXTBSY ? 0 : 1);
    }
    ::waitpid(sleeper, &status, 0);
    need(status == 0, "a program that is open for writing was run");
}

void unlinked(const std::string& directory) {
    std::vector<Fd> files;
    for (unsigned i = 0; i < 64; ++i) {
        const std::string name = "file-" + std::to_string(i);
        files.push_back(open_file(name, O_RDWR | O_CREAT | O_EXCL));
        write_fd(files.back().get(), pattern(5000, i), 0);
        done(::unlink(name.c_str()), "unlink");
    }
    need(names_in(".").empty(), "names are left");
    for (unsigned i = 0; i < 64; ++i) {
        const int fd = files[i].get();
        need(stat_of(fd).st_nlink == 0, "links of an unlinked file");
        need(read_fd(fd, 9000, 0) == pattern(5000, i), "contents of an unlinked file");
        write_fd(fd, "more", 5000);
        done(::ftruncate(fd, 5002), "ftruncate");
        done(::fchmod(fd, 0600), "fchmod");
        need((stat_of(fd).st_mode & 07777) == 0600 && stat_of(fd).st_size == 5002, "fstat");
        const Fd again = open_file("/proc/self/fd/" + std::to_string(fd), O_RDONLY);
        need(read_fd(again.get(), 10, 4998) == pattern(5000, i).substr(4998) + "mo", "opened again");
    }
    // A file of the same name is another.
    write_file("file-0", "new");
    need(read_fd(files[0].get(), 4, 0) == pattern(4, 0) && read_file("file-0") == "new",
         "an old one and a new one");
    done(::mkdir("gone", 0755), "mkdir");
    const Fd gone = open_file("gone", O_RDONLY | O_DIRECTORY);
    done(::rmdir("gone"), "rmdir");
    need(stat_of(gone.get()).st_nlink == 0, "links of a directory that was removed");
    refused(::openat(gone.get(), "file", O_WRONLY | O_CREAT, 0644), ENOENT, "making a file there");
    need(stat_of(directory).st_nlink == 2, "links of the directory");
}

void temporary(const std::string&) {
    const Fd file = open_file(".", O_TMPFILE | O_RDWR, 0640);
    write_fd(file.get(), "no name", 0);
    need(stat_of(file.get()).st_nlink == 0 && names_in(".").empty(), "it has a name");
    const std::string path = "/proc/self/fd/" + std::to_string(file.get());
    done(::linkat(AT_FDCWD, path.c_str(), AT_FDCWD, "named", AT_SYMLINK_FOLLOW), "linkat");
    need(read_file("named") == "no name" && stat_of("named").st_nlink == 1, "the named one");
    need((stat_of("named").st_mode & 07777) == 0640, "its mode");
    const Fd exclusive = open_file(".", O_TMPFILE | O_RDWR | O_EXCL, 0640);
    const std::string other = "/proc/self/fd/" + std::to_string(exclusive.get());
    refused(::linkat(AT_FDCWD, other.c_str(), AT_FDCWD, "second", AT_SYMLINK_FOLLOW), ENOENT,
            "O_EXCL's linkat");
}

void many_open(const std::string&) {
    constexpr unsigned kFiles = 1300;
    rlimit limit{kFiles + 100, kFiles + 100};
    done(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
    std::vector<Fd> files;
    for (unsigned i = 0; i < kFiles; ++i) {
        files.push_back(open_file(std::to_string(i), O_RDWR | O_CREAT));
        write_fd(files.back().get(), std::to_string(i), 0);
    }
    for (unsigned i = 0; i < kFiles; i += 7) {
        need(read_fd(files[i].get(), 10, 0) == std::to_string(i), "the contents of one of many");
    }
}

}  // namespace

std::vector<Entry> file_cases() {
    return {{"sizes", sizes},         {"vectors", vectors},    {"truncation", truncation},
            {"appending", appending}, {"direct", direct},      {"mapped", mapped},
            {"synced", synced},       {"large", large},        {"copied", copied},
            {"sent", sent},           {"running", running},    {"unlinked", unlinked},
            {"temporary", temporary}, {"many_open", many_open}};
}

}  // namespace probe
