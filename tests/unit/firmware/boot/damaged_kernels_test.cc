// SPDX-License-Identifier: Apache-2.0
// A kernel of each protocol, cut at every byte of its headers and at each of its structures, and with each of
// its sizes and places wrong: booted, or refused by name, and never anything else.
#include <functional>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/image/packer.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

/// A size, a count, an offset or an address in a file.
struct Field {
    std::size_t at;
    std::size_t bytes;
};

struct Sample {
    const char* name;
    Protocol protocol;
    Bytes file;
    std::size_t header_bytes;             ///< cut at each of them
    std::vector<std::size_t> structures;  ///< and where these begin or end
    std::vector<Field> fields;
    /// Makes a damaged header's checksum right again, to test what the loader does with the header.
    std::function<void(Bytes&)> repair = [](Bytes&) {};
};

constexpr std::size_t kHeaderAt = 0x40;

void sum_multiboot1(Bytes& file) {
    u32 flags = 0;
    std::memcpy(&flags, file.data() + kHeaderAt + 4, sizeof flags);
    put<u32>(file, kHeaderAt + 8, 0u - 0x1badb002 - flags);
}

void sum_multiboot2(Bytes& file) {
    u32 length = 0;
    std::memcpy(&length, file.data() + kHeaderAt + 8, sizeof length);
    put<u32>(file, kHeaderAt + 12, 0u - 0xe85250d6 - length);
}

std::vector<Field> elf64_fields() {
    std::vector<Field> fields{{24, 8}, {32, 8}, {40, 8}, {52, 2}, {54, 2},
                              {56, 2}, {58, 2}, {60, 2}, {62, 2}};
    for (std::size_t header = 64; header < 64 + 2 * 56; header += 56)
        for (std::size_t field = 8; field < 56; field += 8) fields.push_back({header + field, 8});
    for (std::size_t field = 0; field < 12; field += 4) fields.push_back({0x400 + field, 4});  // a note's
    return fields;
}

std::vector<Field> elf32_fields() {
    std::vector<Field> fields{{24, 4}, {28, 4}, {32, 4}, {40, 2}, {42, 2},
                              {44, 2}, {46, 2}, {48, 2}, {50, 2}};
    for (std::size_t header = 52; header < 52 + 2 * 32; header += 32)
        for (std::size_t field = 4; field < 32; field += 4) fields.push_back({header + field, 4});
    for (std::size_t field = 0; field < 12; field += 4) fields.push_back({0x400 + field, 4});
    return fields;
}

const Bytes& linux_note() {
    static const Bytes bytes = note({"Linux\0", 6}, 0x100, Bytes(4), 4);
    return bytes;
}

/// The code at 0x100 of the file, and of memory from 1 MiB on.
Bytes flat_kernel() {
    Bytes file(0x100);
    put_text(file, 0x100, kCode);
    return file;
}

Sample multiboot1_sample() {
    Bytes file = flat_kernel();
    put<u32>(file, kHeaderAt, 0x1badb002);
    put<u32>(file, kHeaderAt + 4, 0x10003);
    const u32 end = 0x100000 + static_cast<u32>(file.size());
    const u32 addresses[] = {0x100000 + kHeaderAt, 0x100000, end, 0x102000, 0x100100};
    for (std::size_t i = 0; i < std::size(addresses); ++i)
        put<u32>(file, kHeaderAt + 12 + 4 * i, addresses[i]);
    sum_multiboot1(file);
    std::vector<Field> fields;
    for (std::size_t at = kHeaderAt + 4; at < kHeaderAt + 32; at += 4) fields.push_back({at, 4});
    return {"Multiboot 1", Protocol::Multiboot, file, file.size(), {}, fields, sum_multiboot1};
}

Sample multiboot2_sample() {
    Bytes file = flat_kernel();
    const u32 end = 0x100000 + static_cast<u32>(file.size());
    // Header; then the tags: address, entry address, relocation, information request, end.
    const u32 words[] = {0xe85250d6, 0,   0,        0,        2,      24,       0x100000 + kHeaderAt,
                         0x100000,   end, 0x102000, 3,        12,     0x100100, 0,
                         10,         24,  0x100000, 0x1fffff, 0x1000, 1,        1,
                         16,         6,   14,       0,        8};
    for (std::size_t i = 0; i < std::size(words); ++i) put<u32>(file, kHeaderAt + 4 * i, words[i]);
    put<u32>(file, kHeaderAt + 8, sizeof words);
    sum_multiboot2(file);
    std::vector<Field> fields;
    for (std::size_t at = kHeaderAt + 8; at < kHeaderAt + sizeof words; at += 4)
        if (at != kHeaderAt + 12) fields.push_back({at, 4});
    return {"Multiboot 2", Protocol::Multiboot2, file, file.size(), {}, fields, sum_multiboot2};
}

Sample multiboot_elf_sample() {
    Bytes file = kernel32(pvh_note());
    put<u32>(file, 0x200, 0x1badb002);
    put<u32>(file, 0x204, 3);
    put<u32>(file, 0x208, 0u - 0x1badb002 - 3);
    return {"Multiboot 1 in an ELF32", Protocol::Multiboot, file, 0x420, {kCodeOffset}, elf32_fields()};
}

Sample bzimage_sample(const char* name, const Bytes& payload, bool needs_all) {
    const Bytes file = bzimage(payload);
    const std::size_t body = 3 * 512;
    std::vector<std::size_t> structures{body, body + 0x200, body + 0x300};
    if (needs_all) structures.insert(structures.end(), {body + 0x304, body + 0x300 + payload.size() - 4});
    return {name,
            Protocol::Linux,
            file,
            0x270,
            structures,
            {{0x1f1, 1},
             {0x1f4, 4},
             {0x201, 1},
             {0x206, 2},
             {0x22c, 4},
             {0x230, 4},
             {0x236, 2},
             {0x238, 4},
             {0x248, 4},
             {0x24c, 4},
             {0x258, 8},
             {0x260, 4},
             {body + 0x300 + payload.size() - 4, 4}}};
}

std::vector<Sample> samples() {
    const Bytes kernel = kernel64(linux_note());
    return {
        bzimage_sample("bzImage, zstd", with_size(pack_zstd(kernel), static_cast<u32>(kernel.size())), true),
        bzimage_sample("bzImage, gzip", pack_gzip(kernel), true),
        bzimage_sample("bzImage without an ELF", Bytes(0x40), false),
        {"ELF64 that is Linux", Protocol::Linux, kernel, 0x420, {kCodeOffset}, elf64_fields()},
        {"ELF64 by PVH", Protocol::Pvh, kernel64(pvh_note()), 0x420, {kCodeOffset}, elf64_fields()},
        {"ELF32 by PVH", Protocol::Pvh, kernel32(pvh_note()), 0x420, {kCodeOffset}, elf32_fields()},
        multiboot1_sample(),
        multiboot2_sample(),
        multiboot_elf_sample(),
    };
}

/// Booted, with its entry in RAM, or refused with one line that begins with the file's name.
void check_outcome(Guest& guest, const Result<EntryState>& entry) {
    if (entry) {
        CHECK(guest.ram.memory().contains(Gpa{entry->rip}, 1));
        return;
    }
    const std::string& message = entry.error().message();
    CAPTURE(message);
    CHECK(entry.error().kind() == ErrorKind::Invalid);
    CHECK((message.starts_with("vmx: ") || message.starts_with("the kernel leaves no room for ")));
    CHECK(message.size() > 20);
    CHECK(message.find('\n') == std::string::npos);
}

/// The errors of a truncated file: it ends early, or a part of it is missing.
bool blames_the_end(const std::string& message) {
    for (const char* words : {"truncated: ", "not a kernel", " needs ", "has no end tag", "too few for",
                              "data ends", "is beyond its"})
        if (message.find(words) != std::string::npos) return true;
    return false;
}

void check_cut(const Sample& sample, std::size_t size) {
    CAPTURE(sample.name, size);
    const Bytes cut(sample.file.begin(), sample.file.begin() + static_cast<std::ptrdiff_t>(size));
    for (const Protocol wanted : {sample.protocol, Protocol::Auto}) {
        Guest guest;
        const Result<EntryState> entry = guest.boot(cut, wanted);
        check_outcome(guest, entry);
        CHECK_FALSE(entry.has_value());
        if (!entry && wanted == sample.protocol) {
            CAPTURE(entry.error().message());
            CHECK(blames_the_end(entry.error().message()));
        }
    }
}

u64 value_of(const Bytes& file, const Field& field) {
    u64 value = 0;
    std::memcpy(&value, file.data() + field.at, field.bytes);
    return value;
}

}  // namespace

TEST_CASE("the kernels of the next tests boot undamaged", "[damaged]") {
    for (const Sample& sample : samples()) {
        CAPTURE(sample.name);
        CHECK(Guest().error_of(sample.file, sample.protocol) == "booted");
    }
}

TEST_CASE("a kernel that ends early is refused, wherever it ends", "[damaged]") {
    for (const Sample& sample : samples()) {
        for (std::size_t size = 0; size < sample.header_bytes; ++size) check_cut(sample, size);
        for (const std::size_t edge : sample.structures)
            for (const std::size_t size : {edge - 1, edge, edge + 1}) check_cut(sample, size);
        // The end of each file is needed, except up to 15 bytes that fill a bzImage's last unit.
        check_cut(sample, sample.file.size() - 16);
    }
}

TEST_CASE("a kernel with any wrong size or place is refused or booted", "[damaged]") {
    for (const Sample& sample : samples()) {
        for (const Field& field : sample.fields) {
            const u64 truth = value_of(sample.file, field);
            const u64 all = ~u64{0} >> (64 - 8 * field.bytes);
            for (const u64 wrong :
                 {u64{0}, u64{1}, truth - 1, truth + 1, u64{sample.file.size()}, u64{sample.file.size() + 1},
                  all, all - 1, all - 15, all - 4095, all / 2, all / 2 + 1, GiB(4) - 1, GiB(4), GiB(4) - 4096,
                  u64{0x9fc00}, u64{0x100000}, u64{0x1fffff}, u64{0x200000}}) {
                CAPTURE(sample.name, field.at, field.bytes, wrong);
                Bytes file = sample.file;
                std::memcpy(file.data() + field.at, &wrong, field.bytes);
                sample.repair(file);
                Guest guest;
                check_outcome(guest, guest.boot(file, sample.protocol));
                Guest other;
                check_outcome(other, other.boot(file));
            }
        }
    }
}
