// SPDX-License-Identifier: Apache-2.0
// Prints the tables of options as JSON, for man pages and completions. Run by the build, and not installed.
#include <cstdio>

#include <nlohmann/json.hpp>

#include "firmware/guests/builtin.h"
#include "vmm/command/bench/bench_option_table.h"
#include "vmm/command/bench/merge_option_table.h"
#include "vmm/command/options/restore_option_table.h"
#include "vmm/command/simple_options.h"

namespace {

using namespace mayfly;
using Json = nlohmann::ordered_json;

Json text_or_null(const char* text) { return text == nullptr ? Json() : Json(text); }

template <typename Arguments>
Json options_json(std::span<const Option<Arguments>> options) {
    Json list = Json::array();
    for (const Option<Arguments>& option : options) {
        const std::string letter(option.letter == '\0' ? 0 : 1, option.letter);
        const bool is_repeatable = option.list != nullptr ||
                                   std::string_view(option.help).find("repeatable") != std::string_view::npos;
        list.push_back({{"section", text_or_null(option.section)},
                        {"name", option.name},
                        {"letter", letter},
                        {"value", text_or_null(option.value)},
                        {"completion", option.completion},
                        {"is_repeatable", is_repeatable},
                        {"help", option.help}});
    }
    return list;
}

template <typename Arguments>
Json command_json(const CommandPage& page, std::span<const Option<Arguments>> options) {
    return {{"command", page.command}, {"summary", page.summary}, {"operands", page.operands},
            {"text", page.text},       {"status", page.status},   {"options", options_json(options)}};
}

}  // namespace

int main() {
    Json root{{"version", MAYFLY_VERSION}};
    root["commands"] = {command_json<BootArguments>(kBootPage, boot_option_table::kOptions),
                        command_json<BootArguments>(kRestorePage, restore_option_table::kOptions),
                        command_json<BenchArguments>(kBenchPage, bench_option_table::kOptions),
                        command_json<MergeArguments>(kMergePage, merge_option_table::kOptions),
                        command_json<SimpleArguments>(kDoctorPage, simple_option_table::kOptions),
                        command_json<SimpleArguments>(kVersionPage, simple_option_table::kOptions)};
    root["guests"] = Json::array();
    for (const BuiltinGuest& guest : builtin_guests())
        root["guests"].push_back(
            {{"name", std::string(guest.name)}, {"description", std::string(guest.description)}});
    return std::puts(root.dump(1).c_str()) < 0 || std::fflush(stdout) != 0 ? 1 : 0;
}
