// SPDX-License-Identifier: Apache-2.0
// How other monitors call what `mayfly boot` has: for those whose fingers know QEMU, Firecracker, Cloud
// Hypervisor, crosvm or kvmtool.
#pragma once

#include <span>

#include "vmm/command/table/option_table.h"

namespace mayfly {

[[nodiscard]] std::span<const option_table::ForeignWord> foreign_boot_options();
[[nodiscard]] std::span<const option_table::ForeignWord> foreign_bench_options();

}  // namespace mayfly
