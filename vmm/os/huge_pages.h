// SPDX-License-Identifier: Apache-2.0
// Whether this host backs private memory with transparent huge pages.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

enum class HugePages : u8 {
    Never,     ///< or the host does not say
    OnAdvice,  ///< where madvise(2), MADV_HUGEPAGE, asks for them
    Always,
};

/// Of the size that the processor has above 4 KiB, 2 MiB.
constexpr u64 kHugePage = MiB(2);

/// The word that chosen_word() reads.
constexpr const char* kHugePagesSetting = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Three system calls. Spec: Documentation/admin-guide/mm/transhuge.rst "Global THP controls".
[[nodiscard]] HugePages host_huge_pages();

}  // namespace mayfly
