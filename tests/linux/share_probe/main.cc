// SPDX-License-Identifier: Apache-2.0
// share_probe: asks of a file system what Linux's own give, a case at a time. It runs in a guest, as root, on
// a shared directory; on a host's own file system it says what a case is worth.
//
//   share_probe DIRECTORY [CASE...]   each in a directory of its own name, which must not be there; it stays
//   share_probe --list
//
// A line for each: "NAME: ok", "NAME: no: WHAT WAS FOUND", "NAME: unsupported: CALL". Ends with 1 if one is
// not ok.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

#include "probe.h"

namespace {

std::vector<probe::Entry> all_cases() {
    std::vector<probe::Entry> all;
    for (const auto& part :
         {probe::file_cases(), probe::space_cases(), probe::name_cases(), probe::node_cases(),
          probe::owner_cases(), probe::attribute_cases(), probe::lock_cases()}) {
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

/// In a child, so that what one case changes of the process is gone for the next.
bool passes(const probe::Entry& entry, const std::string& top) {
    const std::string directory = top + "/" + entry.name;
    try {
        probe::in_child([&] {
            ::umask(022);
            probe::done(::mkdir(directory.c_str(), 0755), "mkdir");
            probe::done(::chdir(directory.c_str()), "chdir");
            entry.run(directory);
        });
        std::printf("%s: ok\n", entry.name);
        return true;
    } catch (const probe::Unsupported& unsupported) {
        std::printf("%s: unsupported: %s\n", entry.name, unsupported.what());
    } catch (const std::exception& failure) {
        std::printf("%s: no: %s\n", entry.name, failure.what());
    }
    return false;
}

}  // namespace

int main(int count, char** arguments) {
    const std::vector<std::string> words(arguments + 1, arguments + count);
    if (words.empty()) {
        std::fprintf(stderr, "usage: share_probe DIRECTORY [CASE...] | --list\n");
        return 2;
    }
    bool is_all_well = true;
    size_t run = 0;
    for (const auto& entry : all_cases()) {
        if (words[0] == "--list") {
            std::printf("%s\n", entry.name);
        } else if (words.size() == 1 ||
                   std::find(words.begin() + 1, words.end(), entry.name) != words.end()) {
            is_all_well = passes(entry, words[0]) && is_all_well;
            ++run;
        }
        std::fflush(stdout);
    }
    if (words.size() > 1 && run != words.size() - 1) {
        std::fprintf(stderr, "share_probe: no case has that name\n");
        return 2;
    }
    return is_all_well ? 0 : 1;
}
