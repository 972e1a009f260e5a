// SPDX-License-Identifier: Apache-2.0
// Fuzzes the decoders of a snapshot's state. The first byte chooses: the whole file, with or without a right
// checksum, or the content of one section. What is accepted is encoded and decoded again, to the same bytes.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include <zlib.h>

#include "vmm/snapshot/machine_codec.h"

namespace {

using namespace mayfly;

using Bytes = std::vector<std::byte>;

constexpr std::size_t kSumAt = 32;
constexpr std::size_t kSumBytes = 4;
constexpr std::array kTags{section_tag("CPUS"), section_tag("VMST"), section_tag("INTR"), section_tag("CHIP"),
                           section_tag("VIRT"), section_tag("CONS"), section_tag("PROG")};

void require(bool is_true) {
    if (!is_true) std::abort();
}

void sign(Bytes& file) {
    if (file.size() < kSumAt + kSumBytes) return;
    std::memset(file.data() + kSumAt, 0, kSumBytes);
    const auto sum =
        static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(file.data()), file.size()));
    std::memcpy(file.data() + kSumAt, &sum, kSumBytes);
}

void check_file(const Bytes& file) {
    const auto sections = read_state_file(file);
    if (!sections) {
        require(!sections.error().message().empty());
        return;
    }
    const auto state = decode_machine_state(*sections);
    if (!state) {
        require(!state.error().message().empty());
        return;
    }
    const Bytes again = write_state_file(encode(*state));
    const auto sections_again = read_state_file(again);
    require(sections_again.has_value());
    const auto state_again = decode_machine_state(*sections_again);
    require(state_again.has_value());
    require(write_state_file(encode(*state_again)) == again);
}

/// The smallest machine, with another content of one section.
void check_section(std::uint32_t tag, std::span<const std::byte> content) {
    MachineState state;
    state.vcpus.resize(1);
    state.program.emplace();
    std::vector<Section> sections = encode(state);
    for (Section& section : sections)
        if (section.tag == tag) section.payload.assign(content.begin(), content.end());
    check_file(write_state_file(sections));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto* const bytes = reinterpret_cast<const std::byte*>(data);
    const std::span<const std::byte> content(bytes + 1, size - 1);
    const std::size_t choice = data[0] % (kTags.size() + 2);
    if (choice < kTags.size()) {
        check_section(kTags[choice], content);
        return 0;
    }
    Bytes file(content.begin(), content.end());
    if (choice == kTags.size()) sign(file);
    check_file(file);
    return 0;
}
