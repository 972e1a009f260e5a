// SPDX-License-Identifier: Apache-2.0
// Writes the seeds of the corpora: make_seeds tests/fuzz/firmware/corpus
#include <array>
#include <filesystem>
#include <fstream>

#include "tests/unit/firmware/image/packer.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

void save(const std::filesystem::path& directory, const std::string& name, u8 control, const Bytes& file) {
    std::filesystem::create_directories(directory);
    std::ofstream out(directory / name, std::ios::binary);
    out.put(static_cast<char>(control));
    out.write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
}

/// Code at 0x300 of the file and at 1 MiB of memory, notes at 0x280.
Bytes small_elf(bool is_64, const Bytes& notes) {
    std::vector<Segment> segments{{kLoad, 0x300, 0x100000, 0x100000, 32, 0x2000, 0x10},
                                  {kLoad, 0x320, 0x110000, 0x110000, 16, 16, 0x10}};
    if (!notes.empty()) segments.push_back({kNote, 0x280, 0, 0, notes.size(), notes.size(), 4});
    Bytes file = is_64 ? elf64(0x100000, segments) : elf32(0x100000, segments);
    file.resize(0x280);
    append(file, notes);
    file.resize(0x330);
    return file;
}

/// Sections behind it: none, .rodata with a driver's name, their names.
Bytes elf_with_driver() {
    Bytes file = small_elf(true, {});
    put_text(file, 0x330, {"\0virtio_console\0.rodata\0", 24});
    const u64 headers = 0x348;
    const u64 fields[3][4] = {{0, 0, 0, 0}, {0, 1, 0x330, 16}, {0, 3, 0x340, 8}};  // name, type, place, size
    file.resize(headers + sizeof(fields) / sizeof(fields[0]) * 64);
    for (std::size_t i = 0; i < 3; i++) {
        const std::size_t at = headers + 64 * i;
        put<u32>(file, at, static_cast<u32>(fields[i][0]));
        put<u32>(file, at + 4, static_cast<u32>(fields[i][1]));
        put<u64>(file, at + 24, fields[i][2]);
        put<u64>(file, at + 32, fields[i][3]);
    }
    put<u64>(file, 40, headers);
    put<u16>(file, 58, 64);
    put<u16>(file, 60, 3);
    put<u16>(file, 62, 2);
    return file;
}

void save_elves(const std::filesystem::path& corpus) {
    const Bytes linux_note = note({"Linux\0", 6}, 0x100, Bytes(4), 4);
    save(corpus / "fuzz_elf", "elf64", 0, small_elf(true, {}));
    save(corpus / "fuzz_elf", "elf64_pvh", 4, small_elf(true, pvh_note()));
    save(corpus / "fuzz_elf", "elf64_linux", 1, small_elf(true, linux_note));
    save(corpus / "fuzz_elf", "elf32_pvh", 2, small_elf(false, pvh_note()));
    save(corpus / "fuzz_elf", "elf64_driver", 1, elf_with_driver());
    save(corpus / "fuzz_elf", "elf32", 0x80, small_elf(false, {}));
}

void save_multiboot(const std::filesystem::path& corpus) {
    const std::filesystem::path directory = corpus / "fuzz_multiboot";
    for (const bool is_64 : {false, true}) {
        Bytes first = small_elf(is_64, {});
        put<u32>(first, 0x204, 3);
        save(directory, is_64 ? "one_elf64" : "one_elf32", 4, first);
        Bytes second = small_elf(is_64, {});
        put<u32>(second, 0x208, 24);
        put<u64>(second, 0x210, u64{8} << 32);
        save(directory, is_64 ? "two_elf64" : "two_elf32", 5, second);
    }
    Bytes flat(0x240);
    put<u32>(flat, 0x204, 0x10003);
    const u32 addresses[] = {0x100200, 0x100000, 0x100240, 0x101000, 0x100230};
    for (std::size_t i = 0; i < 5; i++) put<u32>(flat, 0x20c + 4 * i, addresses[i]);
    save(directory, "one_flat", 0, flat);
    Bytes tags(0x2a0);
    put<u32>(tags, 0x208, 0x10 + 0x18 + 0x10 + 0x18 + 0x10 + 8);
    // Address, entry address, relocation, information request, end.
    const u32 words[] = {2,  24,       0x100200, 0x100000, 0, 0x101000, 3,  12, 0x100280, 0, 10,
                         24, 0x100000, 0x3fffff, 0x1000,   1, 1,        16, 1,  6,        0, 8};
    for (std::size_t i = 0; i < std::size(words); i++) put<u32>(tags, 0x210 + 4 * i, words[i]);
    save(directory, "two_flat", 1, tags);
}

Bytes bzimage(const Bytes& payload) {
    Bytes file(1024 + 0x100);
    append(file, payload);
    put<u16>(file, 0x200, 0x66eb);
    put<u16>(file, 0x206, 0x020f);
    put<u32>(file, 0x22c, 0x7fffffff);
    put<u16>(file, 0x236, 1);
    put<u32>(file, 0x238, 2047);
    put<u64>(file, 0x258, 0x100000);
    put<u32>(file, 0x260, 0x10000);
    return file;
}

struct Format {
    const char* name;
    Bytes (*pack)(const Bytes&);
};

void save_packed(const std::filesystem::path& corpus) {
    const Bytes kernel = small_elf(true, {});
    const u32 size = static_cast<u32>(kernel.size());
    constexpr Format kFormats[] = {
        {"gzip", pack_gzip}, {"xz", pack_xz}, {"lzma", pack_lzma}, {"lz4", pack_lz4}, {"zstd", pack_zstd}};
    u8 index = 0;
    for (const Format& format : kFormats) {
        const Bytes packed = format.pack(kernel);
        Bytes claimed;
        put<u32>(claimed, 0, size - 1);
        append(claimed, packed);
        save(corpus / "fuzz_decompress", format.name, index++, claimed);
        const Bytes payload = format.pack == pack_gzip ? packed : with_size(packed, size);
        save(corpus / "fuzz_bzimage", format.name, 0, bzimage(payload));
    }
    save(corpus / "fuzz_bzimage", "whole", 0x40, bzimage(Bytes(0x200)));
    save(corpus / "fuzz_bzimage", "bzip2", 0, bzimage(from_hex("425a6839314159265359000000112233")));
}

/// Operations of fuzz_occupancy: the kind, then a place and a size, each shifted left by 4 bits.
Bytes operations(std::initializer_list<std::array<u32, 3>> list) {
    Bytes out;
    for (const auto& [what, place, size] : list) {
        put<u8>(out, out.size(), static_cast<u8>(what));
        put<u32>(out, out.size(), place << 4 | 15);
        put<u32>(out, out.size(), size << 4 | 15);
    }
    return out;
}

void save_occupancy(const std::filesystem::path& corpus) {
    const std::filesystem::path directory = corpus / "fuzz_occupancy";
    save(directory, "low", 0, operations({{0, 0x500, 0x9f700}, {1, 5, 0x1000}, {1, 0xf, 0x10000}}));
    save(directory, "between", 1, operations({{0, 0x8000, 0x1000}, {1, 7, 100}, {1, 5, 0x5000}, {1, 0, 1}}));
    save(directory, "high", 2,
         operations({{0, 0x100000, 0x300000}, {2, 0x500000, 0x2000}, {51, 0x123, 0x456}}));
    save(directory, "full", 0,
         operations({{0, 0, 0x9fc00}, {0, 0x100000, 0x100000}, {1, 1, 1}, {2, 0x200000, 1}}));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 1;
    save_elves(argv[1]);
    save_multiboot(argv[1]);
    save_packed(argv[1]);
    save_occupancy(argv[1]);
    return 0;
}
