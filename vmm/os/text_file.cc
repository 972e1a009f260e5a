// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/text_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "vmm/os/unique_fd.h"

namespace mayfly {

std::string read_text_file(const char* path, std::size_t bytes_max) {
    const UniqueFd fd = UniqueFd::adopt(::open(path, O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return {};
    std::string text(bytes_max, '\0');
    std::size_t used = 0;
    while (used < text.size()) {
        const ssize_t got = ::read(fd.get(), text.data() + used, text.size() - used);
        if (got <= 0) break;
        used += static_cast<std::size_t>(got);
    }
    text.resize(used);
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

bool path_exists(const char* path) { return ::access(path, F_OK) == 0; }

}  // namespace mayfly
