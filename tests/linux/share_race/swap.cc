// SPDX-License-Identifier: Apache-2.0
// share_swap: a hostile host beside a guest that works in a shared directory. As fast as it can it swaps
// directories and files with links that lead out of it, with pipes, and with each other. It uses descriptors
// of the real directories only, so that it never acts outside itself. Single thread.
//
//   share_swap DIRECTORY OUTSIDE SECONDS   DIRECTORY has a/b/c and files `file` and `plain` in each
//
// The directory outside has the same shape, so that a server that follows a link finds the file that it looks
// for. Prints its count.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

struct Pair {
    int directory;
    std::string name;
    std::string other;
};

void must(long result, const char* what) {
    if (result < 0) {
        std::perror(what);
        std::exit(1);
    }
}

/// The pairs of one directory: what it has by `name`, and beside that what takes its place.
void add_pairs(std::vector<Pair>& pairs, int at, const std::string& below, const std::string& outside) {
    const auto with_link = [&](const std::string& name) {
        const std::string link = name + ".link";
        must(::symlinkat((outside + "/" + name).c_str(), at, link.c_str()), "symlinkat");
        pairs.push_back({at, name, link});
    };
    if (!below.empty()) {
        with_link(below);
        must(::mkdirat(at, "empty", 0755), "mkdirat");
        pairs.push_back({at, below, "empty"});
    }
    with_link("file");
    must(::mkfifoat(at, "pipe", 0666), "mkfifoat");
    pairs.push_back({at, "file", "pipe"});
    pairs.push_back({at, "file", "plain"});
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) {
        std::fprintf(stderr, "usage: share_swap DIRECTORY OUTSIDE SECONDS\n");
        return 2;
    }
    std::vector<Pair> pairs;
    std::string inside = arguments[1], outside = arguments[2];
    for (const char* below : {"a", "b", "c", ""}) {
        const int at = ::open(inside.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        must(at, inside.c_str());
        add_pairs(pairs, at, below, outside);
        inside += std::string("/") + below;
        outside += std::string("/") + below;
    }
    const time_t end = ::time(nullptr) + std::atol(arguments[3]);
    unsigned state = 1;
    unsigned long done = 0;
    while (::time(nullptr) < end) {
        // In bursts: where both have one processor, the other side needs it too.
        ::usleep(100);
        for (unsigned i = 0; i <= (state >> 20U) % 64; ++i) {
            state = state * 1664525U + 1013904223U;
            const Pair& pair = pairs[(state >> 8U) % pairs.size()];
            // A name may be the guest's to remove: then there is nothing to swap.
            if (::renameat2(pair.directory, pair.name.c_str(), pair.directory, pair.other.c_str(),
                            RENAME_EXCHANGE) == 0) {
                ++done;
            }
        }
    }
    std::printf("swaps %lu\n", done);
    return 0;
}
