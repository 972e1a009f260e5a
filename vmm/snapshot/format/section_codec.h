// SPDX-License-Identifier: Apache-2.0
// A section from a value, and a value from a section.
//
// For a value whose fields() both coders know. Thread: any.
#pragma once

#include <optional>
#include <span>
#include <utility>

#include "vmm/snapshot/format/decoder.h"
#include "vmm/snapshot/format/encoder.h"
#include "vmm/snapshot/format/state_file.h"

namespace mayfly {

template <typename T>
[[nodiscard]] Section to_section(u32 tag, const T& value) {
    Encoder encoder;
    encoder(value);
    return {.tag = tag, .payload = encoder.bytes()};
}

[[nodiscard]] const SectionView* find_section(std::span<const SectionView> sections, u32 tag);
[[nodiscard]] Error lacks_section(u32 tag);
[[nodiscard]] Error newer_section(const SectionView& section);
[[nodiscard]] Error damaged_section(const SectionView& section, std::size_t position);

/// Nothing where it is missing. Errors: Invalid where it is newer or damaged.
template <typename T>
Result<std::optional<T>> from_section_if_there(std::span<const SectionView> sections, u32 tag) {
    const SectionView* const section = find_section(sections, tag);
    if (section == nullptr) return std::optional<T>();
    if (section->version != Section{}.version) return fail(newer_section(*section));
    std::optional<T> value(std::in_place);
    Decoder decoder(section->payload);
    decoder(*value);
    if (!decoder.is_complete()) return fail(damaged_section(*section, decoder.position()));
    return value;
}

/// Errors: those of from_section_if_there(); Invalid where it is missing.
template <typename T>
Result<T> from_section(std::span<const SectionView> sections, u32 tag) {
    std::optional<T> value = TRY(from_section_if_there<T>(sections, tag));
    if (!value) return fail(lacks_section(tag));
    return std::move(*value);
}

}  // namespace mayfly
