// SPDX-License-Identifier: Apache-2.0
// Fuzzes the reading of .modinfo. The input is a module's file.
#include <cstddef>
#include <cstdlib>
#include <span>

#include "vmm/error/ints.h"
#include "vmm/initramfs/modinfo.h"

extern "C" int LLVMFuzzerTestOneInput(const mayfly::u8* data, std::size_t size) {
    const auto info = mayfly::read_modinfo(std::as_bytes(std::span(data, size)));
    if (!info) return 0;
    std::size_t total = info->release.size();
    for (const auto* list : {&info->needs, &info->soft_needs})
        for (const std::string& text : *list) total += text.size();
    // No byte of the file is in two strings.
    if (total > size) std::abort();
    return 0;
}
