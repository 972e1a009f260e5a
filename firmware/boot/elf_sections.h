// SPDX-License-Identifier: Apache-2.0
// ElfSections: the section headers of an ELF64, for facts that only sections tell.
//
// Loading goes by segments. Sections are hints: they may be missing or wrong, so callers check their values
// against the segments or the file, and work without them.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <elf.h>

#include "firmware/boot/header_window.h"

namespace mayfly {

class ElfSections {
  public:
    /// Empty where the image is not an ELF64, or lacks readable section headers.
    static std::optional<ElfSections> read(const HeaderWindow& window);

    [[nodiscard]] std::span<const Elf64_Shdr> headers() const { return headers_; }
    /// The first section of that name and type SHT_PROGBITS, or null.
    [[nodiscard]] const Elf64_Shdr* find(std::string_view name) const;

  private:
    std::vector<Elf64_Shdr> headers_;
    std::string names_;
};

}  // namespace mayfly
