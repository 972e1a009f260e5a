// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/format/section_codec.h"

#include <algorithm>

#include <fmt/format.h>

namespace mayfly {

const SectionView* find_section(std::span<const SectionView> sections, u32 tag) {
    const auto found = std::find_if(sections.begin(), sections.end(),
                                    [tag](const SectionView& section) { return section.tag == tag; });
    return found == sections.end() ? nullptr : &*found;
}

Error lacks_section(u32 tag) {
    return Error::invalid(fmt::format("the snapshot is damaged: it lacks its section {}", print_tag(tag)));
}

Error newer_section(const SectionView& section) {
    return Error::invalid(
               fmt::format("the snapshot's section {} has version {}, and this mayfly reads version {}",
                           print_tag(section.tag), section.version, Section{}.version))
        .hint("another mayfly has written it");
}

Error damaged_section(const SectionView& section, std::size_t position) {
    return Error::invalid(fmt::format("the snapshot is damaged: its section {}, at byte {} of {}",
                                      print_tag(section.tag), position, section.payload.size()));
}

}  // namespace mayfly
