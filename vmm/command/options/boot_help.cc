// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/boot_help.h"

#include "vmm/command/options/restore_option_table.h"

namespace mayfly {

std::string boot_help(std::size_t columns) {
    return print_page(kBootPage, texts_of<BootArguments>(boot_option_table::kOptions), columns);
}

std::string restore_help(std::size_t columns) {
    return print_page(kRestorePage, texts_of<BootArguments>(restore_option_table::kOptions), columns);
}

}  // namespace mayfly
