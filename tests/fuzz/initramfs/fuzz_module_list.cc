// SPDX-License-Identifier: Apache-2.0
// Fuzzes the resolution of kernel modules with texts that no depmod wrote.
//
// The input is five texts, each ended by a NUL: the wanted names (one a line), modules.dep, modules.builtin,
// modules.softdep and modules.alias.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <set>
#include <string>

#include "vmm/error/ints.h"
#include "vmm/initramfs/module_list.h"

namespace {

using namespace mayfly;

std::string take_text(std::string_view& input) {
    const std::string_view text = input.substr(0, input.find('\0'));
    input.remove_prefix(std::min(text.size() + 1, input.size()));
    return std::string(text);
}

void require(bool is_true) {
    if (!is_true) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::string names = take_text(input);
    const ModuleTexts texts{take_text(input), take_text(input), take_text(input), take_text(input)};
    std::vector<std::string_view> wanted;
    for (std::string_view rest = names; !rest.empty() && wanted.size() < 16;) {
        wanted.push_back(rest.substr(0, rest.find('\n')));
        rest.remove_prefix(std::min(wanted.back().size() + 1, rest.size()));
    }
    const ModuleList list(texts);
    const auto modules = list.resolve(wanted);
    if (!modules) return 0;
    std::set<std::string_view> seen;
    for (const ModuleToLoad& one : *modules) {
        require(seen.insert(one.path).second);
        require(!one.path.empty() && one.path.front() != '/');
        require(one.path != ".." && one.path.substr(0, 3) != "../");
        require(one.path.find("/../") == std::string_view::npos);
        // A file packed under its name stays in its directory.
        require(one.name.find('/') == std::string_view::npos);
    }
    return 0;
}
