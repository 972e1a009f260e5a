// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/table/command_page.h"

#include <set>

#include <catch2/catch.hpp>

#include "vmm/command/options/boot_help.h"
#include "vmm/command/options/boot_option_table.h"
#include "vmm/text/layout.h"

using namespace mayfly;

namespace {

std::size_t longest_line(std::string_view text) {
    std::size_t longest = 0;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        longest = std::max(longest, text_width(line));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
    }
    return longest;
}

}  // namespace

TEST_CASE("help has every option, with its value, and fits", "[command_page]") {
    for (const std::size_t columns : {80u, 60u, 40u}) {
        const std::string help = boot_help(columns);
        for (const Option<BootArguments>& option : boot_option_table::kOptions) {
            std::string synopsis = std::string("--") + option.name;
            if (option.value != nullptr) synopsis += std::string(" ") + option.value;
            INFO(columns << " " << synopsis);
            CHECK(help.find(synopsis) != std::string::npos);
        }
        CHECK(longest_line(help) <= columns);
    }
}

TEST_CASE("every option has a text, one destination and a name of its own", "[command_page]") {
    std::set<std::string> names;
    CHECK(boot_option_table::kOptions.front().section != nullptr);
    for (const Option<BootArguments>& option : boot_option_table::kOptions) {
        INFO(option.name);
        CHECK(names.insert(option.name).second);
        CHECK(std::string_view(option.help).size() > 10);
        CHECK((option.text != nullptr) + (option.list != nullptr) + (option.flag != nullptr) == 1);
        CHECK((option.flag == nullptr) == (option.value != nullptr));
        CHECK((option.value != nullptr || *option.completion == '\0'));
    }
}
