// SPDX-License-Identifier: Apache-2.0
// Options as a table over a struct of arguments, parsed by the C library's getopt_long.
//
// A C++ command-line library would cost a fifth of a boot and a quarter of the binary here, most of it for
// iostreams and locales; getopt_long is in the C library anyway. The table also prints the help. Thread: one
// thread; getopt_long keeps global state.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "vmm/error/result.h"

namespace mayfly {

/// One long option; exactly one of text, list and flag says where its value goes.
template <typename Arguments>
struct Option {
    const char* name;
    char letter = '\0';
    const char* value = nullptr;  ///< what the help calls the value; null: the option has none
    const char* help = "";
    std::string Arguments::*text = nullptr;
    std::vector<std::string> Arguments::*list = nullptr;
    bool Arguments::*flag = nullptr;
    /// A script's variable that was never set must not mean "no limit" or "no file".
    bool may_be_empty = false;
};

namespace option_table {

/// An option without its destination: what parsing and printing need to know.
struct Shape {
    const char* name;
    char letter;
    const char* value;
    const char* help;
    bool may_be_empty;
};

using Store = std::function<void(std::size_t index, const char* value)>;

/// The words of a command line that are not options.
struct Words {
    std::vector<std::string> plain;
    std::vector<std::string> behind;  ///< behind a "--", whatever they look like
};

/// Calls `store` for each option given. Names are not abbreviated: scripts would break when an option is
/// added.
Result<Words> parse(std::span<const Shape> shapes, int argc, char** argv, const Store& store);
[[nodiscard]] std::string print(std::span<const Shape> shapes);

}  // namespace option_table

template <typename Arguments>
[[nodiscard]] std::vector<option_table::Shape> shapes_of(std::span<const Option<Arguments>> options) {
    std::vector<option_table::Shape> shapes;
    shapes.reserve(options.size());
    for (const Option<Arguments>& option : options)
        shapes.push_back({option.name, option.letter, option.value, option.help, option.may_be_empty});
    return shapes;
}

template <typename Arguments>
void store_option(const Option<Arguments>& option, const char* value, Arguments& arguments) {
    if (option.flag != nullptr) arguments.*option.flag = true;
    if (option.text != nullptr) arguments.*option.text = value;
    if (option.list != nullptr) (arguments.*option.list).emplace_back(value);
}

template <typename Arguments>
Result<option_table::Words> parse_options(std::span<const Option<Arguments>> options, int argc, char** argv,
                                          Arguments& arguments) {
    const auto store = [&](std::size_t index, const char* value) {
        store_option(options[index], value, arguments);
    };
    return option_table::parse(shapes_of(options), argc, argv, store);
}

template <typename Arguments>
[[nodiscard]] std::string print_options(std::span<const Option<Arguments>> options) {
    return option_table::print(shapes_of(options));
}

}  // namespace mayfly
