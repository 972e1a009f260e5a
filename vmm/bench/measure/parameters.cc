// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/measure/parameters.h"

#include <fmt/format.h>

namespace mayfly {

namespace {

constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";

}  // namespace

Result<Parameter> Parameter::parse(std::string_view text) {
    const std::size_t equals = text.find('=');
    const std::string_view name = text.substr(0, equals);
    if (equals == std::string_view::npos || name.empty() ||
        name.find_first_not_of(kNameCharacters) != std::string_view::npos)
        return fail(Error::invalid(fmt::format("--parameter '{}': expected NAME=VALUE,VALUE", text))
                        .hint("a name is letters, digits, '-', '_' and '.'"));
    Parameter parameter{std::string(name), {""}};
    for (std::size_t i = equals + 1; i < text.size(); ++i) {
        const bool is_doubled = text.substr(i, 2) == ",,";
        if (text[i] != ',' || is_doubled) {
            parameter.values.back() += text[i];
            i += is_doubled;
        } else {
            parameter.values.emplace_back();
        }
    }
    for (const std::string& value : parameter.values) {
        if (value.empty())
            return fail(Error::invalid(fmt::format("--parameter '{}': a value is empty", text))
                            .hint("a comma that belongs to a value is written twice"));
    }
    return parameter;
}

bool mentions(std::string_view text, std::string_view name) {
    return text.find(fmt::format("{{{}}}", name)) != std::string_view::npos;
}

std::string substitute(std::string_view text, std::span<const Setting> settings) {
    std::string result;
    while (!text.empty()) {
        std::size_t taken = 0;
        for (const Setting& setting : settings) {
            if (!text.starts_with(fmt::format("{{{}}}", setting.name))) continue;
            result += setting.value;
            taken = setting.name.size() + 2;
        }
        if (taken == 0) result += text[taken++];
        text.remove_prefix(taken);
    }
    return result;
}

Result<std::vector<std::vector<Setting>>> combinations(std::span<const Parameter> parameters,
                                                       std::size_t max) {
    std::vector<std::vector<Setting>> list(1);
    for (const Parameter& parameter : parameters) {
        if (parameter.values.size() > max / list.size())
            return fail(Error::invalid(fmt::format("--parameter {}: its {} values make more than {} columns",
                                                   parameter.name, parameter.values.size(), max)));
        std::vector<std::vector<Setting>> longer;
        for (const std::vector<Setting>& before : list) {
            for (const std::string& value : parameter.values) {
                longer.push_back(before);
                longer.back().push_back({parameter.name, value});
            }
        }
        list = std::move(longer);
    }
    return list;
}

}  // namespace mayfly
