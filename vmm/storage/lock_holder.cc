// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/lock_holder.h"

#include <algorithm>
#include <cstdlib>

#include <sys/sysmacros.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/error/ints.h"
#include "vmm/os/text_file.h"

namespace mayfly {

namespace {

constexpr std::size_t kLocksBytesMax = MiB(1);

/// Takes the next word off `line`; empty at its end.
std::string_view next_word(std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const std::string_view word = line.substr(0, line.find(' '));
    line.remove_prefix(word.size());
    return word;
}

}  // namespace

pid_t find_lock_holder(std::string_view locks, const struct stat& file) {
    const std::string place =
        fmt::format("{:02x}:{:02x}:{}", major(file.st_dev), minor(file.st_dev), file.st_ino);
    while (!locks.empty()) {
        std::string_view line = locks.substr(0, locks.find('\n'));
        locks.remove_prefix(std::min(line.size() + 1, locks.size()));
        (void)next_word(line);                     // its number
        if (next_word(line) != "FLOCK") continue;  // "->" before it: waits for it only
        (void)next_word(line);                     // advisory
        (void)next_word(line);                     // read or write
        const std::string process(next_word(line));
        if (next_word(line) == place) return static_cast<pid_t>(std::strtol(process.c_str(), nullptr, 10));
    }
    return 0;
}

std::string lock_holder(const UniqueFd& fd) {
    struct stat file {};
    pid_t process = 0;
    if (::fstat(fd.get(), &file) == 0)
        process = find_lock_holder(read_text_file("/proc/locks", kLocksBytesMax), file);
    if (process <= 0) return "another process, or given twice";
    if (process == ::getpid()) return "this very mayfly: it is given twice";
    std::string name = read_text_file(fmt::format("/proc/{}/comm", process).c_str());
    // A process chooses its name, and could put escape sequences into it.
    for (char& c : name) {
        if (c < ' ' || c > '~') c = '?';
    }
    // Locks are inherited: the process that took it may be gone.
    if (name.empty()) return fmt::format("a process to which process {} has left it", process);
    return fmt::format("process {} ({})", process, name);
}

}  // namespace mayfly
