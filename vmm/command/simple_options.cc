// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/simple_options.h"

namespace mayfly {

Result<option_table::Words> parse_simple_arguments(int argc, char** argv, SimpleArguments& arguments) {
    return parse_options<SimpleArguments, simple_option_table::kOptions>(argc, argv, arguments);
}

std::string simple_help(const CommandPage& page, std::size_t columns) {
    return print_page(page, texts_of<SimpleArguments>(simple_option_table::kOptions), columns);
}

}  // namespace mayfly
