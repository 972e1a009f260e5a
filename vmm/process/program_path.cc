// SPDX-License-Identifier: Apache-2.0
#include "vmm/process/program_path.h"

#include <cstdlib>
#include <string_view>

#include <sys/stat.h>
#include <unistd.h>

namespace mayfly {

namespace {

bool is_executable_file(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

Result<std::string> find_program(const std::string& word) {
    if (word.find('/') != std::string::npos) {
        if (is_executable_file(word)) return word;
        return fail(Error::invalid("'" + word + "' is not an executable file"));
    }
    const char* path = std::getenv("PATH");
    std::string_view rest = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
    while (!rest.empty()) {
        const std::size_t colon = rest.find(':');
        const std::string_view directory = rest.substr(0, colon);
        std::string candidate = std::string(directory.empty() ? "." : directory) + "/" + word;
        if (is_executable_file(candidate)) return candidate;
        rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
    }
    return fail(Error::invalid("the command '" + word + "' is not found along PATH"));
}

}  // namespace mayfly
