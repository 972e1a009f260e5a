// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/bench/bench_help.h"

#include "vmm/command/bench/bench_option_table.h"
#include "vmm/command/bench/merge_option_table.h"

namespace mayfly {

std::string bench_help(std::size_t columns) {
    return print_page(kBenchPage, texts_of<BenchArguments>(bench_option_table::kOptions), columns);
}

std::string merge_help(std::size_t columns) {
    return print_page(kMergePage, texts_of<MergeArguments>(merge_option_table::kOptions), columns);
}

}  // namespace mayfly
