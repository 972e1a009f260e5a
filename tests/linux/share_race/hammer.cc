// SPDX-License-Identifier: Apache-2.0
// share_hammer: in a guest, all that can be done by names below a shared directory while its host swaps what
// they mean (swap.cc). What fails does not matter; what it sees must never be what lies outside. Single
// thread.
//
//   share_hammer DIRECTORY SECONDS
//
// Prints how often each kind of work succeeded, and "BREACH: WHAT" for what it must not see; ends with 1
// then.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace {

/// The first bytes of a file outside, and a name that only directories outside have.
constexpr char kSecret[] = "SECRET";
constexpr char kOutsideName[] = "only-outside";
constexpr off_t kSecretBytes = 31'337;

int breaches = 0;
struct {
    unsigned long reads, writes, made, lists, changes;
} counts;

void breach(const char* what, const std::string& path) {
    if (++breaches < 20) {
        std::printf("BREACH: %s: %s\n", what, path.c_str());
    }
}

/// Pipes are met too: nothing may wait.
constexpr int kFlags = O_NONBLOCK | O_CLOEXEC;

void read_one(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | kFlags);
    if (fd < 0) {
        return;
    }
    char buffer[8192];
    const ssize_t length = ::read(fd, buffer, sizeof buffer);
    struct stat about {};
    if (::fstat(fd, &about) == 0 && about.st_size == kSecretBytes) {
        breach("the size of a file", path);
    }
    if (length > 0 && ::memmem(buffer, static_cast<size_t>(length), kSecret, sizeof kSecret - 1) != nullptr) {
        breach("the contents of a file", path);
    }
    counts.reads += length > 0 ? 1 : 0;
    ::close(fd);
}

void write_one(const std::string& path, int flags) {
    const int fd = ::open(path.c_str(), O_WRONLY | flags | kFlags, 0644);
    if (fd < 0) {
        return;
    }
    counts.writes += ::write(fd, "by the guest\n", 13) == 13 ? 1 : 0;
    (void)!::ftruncate(fd, 4096);
    ::close(fd);
}

void list_one(const std::string& path) {
    DIR* stream = ::opendir(path.c_str());
    if (stream == nullptr) {
        return;
    }
    while (const dirent* entry = ::readdir(stream)) {
        if (std::strcmp(entry->d_name, kOutsideName) == 0) {
            breach("a name", path);
        }
    }
    ++counts.lists;
    ::closedir(stream);
}

void make_some(const std::string& directory, unsigned number) {
    const std::string made = directory + "/made-" + std::to_string(number % 8);
    int done = 0;
    write_one(made, O_CREAT);
    done += ::mkdir((made + ".d").c_str(), 0755) == 0;
    done += ::symlink("file", (made + ".l").c_str()) == 0;
    done += ::link((directory + "/plain").c_str(), (made + ".h").c_str()) == 0;
    done += ::mknod((made + ".n").c_str(), S_IFREG | 0600, 0) == 0;
    done += ::rename(made.c_str(), (made + ".r").c_str()) == 0;
    for (const char* end : {"", ".l", ".h", ".n", ".r"}) {
        done += ::unlink((made + end).c_str()) == 0;
    }
    done += ::rmdir((made + ".d").c_str()) == 0;
    counts.made += static_cast<unsigned long>(done);
}

void change_one(const std::string& path) {
    struct stat about {};
    if (::stat(path.c_str(), &about) == 0 && about.st_size == kSecretBytes) {
        breach("the size by stat", path);
    }
    char value[64];
    if (::getxattr(path.c_str(), "user.secret", value, sizeof value) > 0) {
        breach("an attribute", path);
    }
    int done = 0;
    done += ::chmod(path.c_str(), 0666) == 0;
    done += ::chown(path.c_str(), 0, 0) == 0;
    done += ::truncate(path.c_str(), 100) == 0;
    done += ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0;
    done += ::setxattr(path.c_str(), "user.guest", "g", 1, 0) == 0;
    counts.changes += static_cast<unsigned long>(done);
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) {
        std::fprintf(stderr, "usage: share_hammer DIRECTORY SECONDS\n");
        return 2;
    }
    const std::string top = arguments[1];
    const std::string directories[] = {top, top + "/a", top + "/a/b", top + "/a/b/c"};
    const time_t end = ::time(nullptr) + std::atol(arguments[2]);
    for (unsigned turn = 0; ::time(nullptr) < end; ++turn) {
        const std::string& directory = directories[turn % 4];
        const std::string file = directory + (turn % 3 == 0 ? "/plain" : "/file");
        read_one(file);
        write_one(file, turn % 5 == 0 ? O_TRUNC : 0);
        list_one(directory);
        make_some(directory, turn);
        change_one(file);
    }
    std::printf("reads %lu writes %lu made %lu lists %lu changes %lu breaches %d\n", counts.reads,
                counts.writes, counts.made, counts.lists, counts.changes, breaches);
    return breaches == 0 ? 0 : 1;
}
