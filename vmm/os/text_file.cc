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

std::string_view chosen_word(std::string_view text) {
    const std::size_t open = text.find('[');
    const std::size_t close = text.find(']');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open) return text;
    return text.substr(open + 1, close - open - 1);
}

bool path_exists(const char* path) { return ::access(path, F_OK) == 0; }

}  // namespace mayfly
