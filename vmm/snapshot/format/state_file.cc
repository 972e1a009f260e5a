// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/format/state_file.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>
#include <zlib.h>

#include "vmm/snapshot/format/decoder.h"
#include "vmm/snapshot/format/encoder.h"

namespace mayfly {

namespace {

constexpr std::string_view kMagic = "mayflySS";
constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kEntryBytes = 32;
constexpr std::size_t kSumAt = 32;
constexpr std::size_t kSumBytes = 4;
constexpr u16 kFlagCritical = 1;

struct Header {
    u16 major = kStateMajor;
    u16 minor = kStateMinor;
    u32 header_bytes = kHeaderBytes;
    u64 file_bytes = 0;
    u32 sections = 0;
    u32 zero = 0;
    u32 sum = 0;
    std::array<u32, 7> zeros{};
};

struct Entry {
    u32 tag = 0;
    u16 version = 0;
    u16 flags = 0;
    u64 offset = 0;
    u64 bytes = 0;
    u64 zero = 0;
};

template <typename Coder>
void fields(Coder& coder, coded::As<Header> auto& header) {
    coder(header.major, header.minor, header.header_bytes, header.file_bytes, header.sections, header.zero,
          header.sum);
    for (auto& zero : header.zeros) coder(zero);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Entry> auto& entry) {
    auto& [tag, version, flags, offset, bytes, zero] = entry;
    coder(tag, version, flags, offset, bytes, zero);
}

/// With zeros in the place of the sum.
u32 sum_of(std::span<const std::byte> file) {
    constexpr std::array<Bytef, kSumBytes> kZeros{};
    const auto* const bytes = reinterpret_cast<const Bytef*>(file.data());
    uLong sum = ::crc32_z(0, bytes, kSumAt);
    sum = ::crc32_z(sum, kZeros.data(), kZeros.size());
    sum = ::crc32_z(sum, bytes + kSumAt + kSumBytes, file.size() - kSumAt - kSumBytes);
    return static_cast<u32>(sum);
}

Error damaged(std::string_view how) {
    return Error::invalid(fmt::format("the snapshot is damaged: {}", how));
}

Result<Header> read_header(std::span<const std::byte> file) {
    const auto is_magic = [](std::byte b, char c) { return b == static_cast<std::byte>(c); };
    if (file.size() < kMagic.size() || !std::equal(kMagic.begin(), kMagic.end(), file.begin(),
                                                   [&](char c, std::byte b) { return is_magic(b, c); }))
        return fail(Error::invalid("it is not a snapshot of mayfly: it does not begin with mayflySS"));
    if (file.size() < kHeaderBytes)
        return fail(damaged(fmt::format("it has {} bytes, and its header {}", file.size(), kHeaderBytes)));
    Header header;
    Decoder decoder(file.subspan(kMagic.size(), kHeaderBytes - kMagic.size()));
    decoder(header);
    if (header.major != kStateMajor)
        return fail(Error::invalid(fmt::format("its format is {}.{}, and this mayfly reads {}.x",
                                               header.major, header.minor, kStateMajor))
                        .hint(header.major > kStateMajor ? "a newer mayfly has written it"
                                                         : "an older mayfly has written it"));
    if (header.file_bytes != file.size())
        return fail(
            damaged(fmt::format("it has {} bytes, and should have {}", file.size(), header.file_bytes)));
    if (file.size() > kStateBytesMax)
        return fail(damaged(fmt::format("it has {} bytes, the limit is {}", file.size(), kStateBytesMax)));
    if (header.header_bytes != kHeaderBytes || header.zero != 0 || header.zeros != decltype(header.zeros){})
        return fail(damaged("its header"));
    if (header.sum != sum_of(file)) return fail(damaged("its checksum"));
    if (header.sections > kStateSectionsMax || header.sections * kEntryBytes > file.size() - kHeaderBytes)
        return fail(damaged(fmt::format("it lists {} sections", header.sections)));
    return header;
}

}  // namespace

std::string print_tag(u32 tag) {
    std::string text;
    for (unsigned i = 0; i < 4; ++i) {
        const char c = static_cast<char>(tag >> 8 * i);
        const bool is_plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        text += is_plain ? c : '?';
    }
    return text;
}

std::vector<std::byte> write_state_file(std::span<const Section> sections) {
    u64 offset = kHeaderBytes + sections.size() * kEntryBytes;
    Encoder encoder;
    for (const char letter : kMagic) encoder(static_cast<u8>(letter));
    Header header;
    header.sections = static_cast<u32>(sections.size());
    header.file_bytes = offset;
    for (const Section& section : sections) header.file_bytes += section.payload.size();
    encoder(header);
    for (const Section& section : sections) {
        encoder(Entry{.tag = section.tag,
                      .version = section.version,
                      .flags = section.is_critical ? kFlagCritical : u16{0},
                      .offset = offset,
                      .bytes = section.payload.size()});
        offset += section.payload.size();
    }
    std::vector<std::byte> file = encoder.bytes();
    for (const Section& section : sections)
        file.insert(file.end(), section.payload.begin(), section.payload.end());
    Encoder sum;
    sum(sum_of(file));
    std::copy(sum.bytes().begin(), sum.bytes().end(), file.begin() + kSumAt);
    return file;
}

Result<std::vector<SectionView>> read_state_file(std::span<const std::byte> file) {
    const Header header = TRY(read_header(file));
    std::vector<SectionView> sections;
    u64 offset = kHeaderBytes + header.sections * kEntryBytes;
    Decoder decoder(file.subspan(kHeaderBytes, header.sections * kEntryBytes));
    for (u32 i = 0; i < header.sections; ++i) {
        Entry entry;
        decoder(entry);
        const std::string name = print_tag(entry.tag);
        if (entry.offset != offset || entry.bytes > file.size() - offset || entry.flags > kFlagCritical ||
            entry.zero != 0)
            return fail(damaged(fmt::format("the place of its section {}", name)));
        const bool is_double = std::any_of(sections.begin(), sections.end(),
                                           [&](const SectionView& other) { return other.tag == entry.tag; });
        if (is_double) return fail(damaged(fmt::format("it has two sections {}", name)));
        sections.push_back({.tag = entry.tag,
                            .version = entry.version,
                            .is_critical = (entry.flags & kFlagCritical) != 0,
                            .payload = file.subspan(offset, entry.bytes)});
        offset += entry.bytes;
    }
    if (offset != file.size())
        return fail(damaged(fmt::format("{} bytes are in no section", file.size() - offset)));
    return sections;
}

}  // namespace mayfly
