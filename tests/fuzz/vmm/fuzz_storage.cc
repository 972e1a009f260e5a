// SPDX-License-Identifier: Apache-2.0
// The recognition of disk images, and an overlay's record of written sectors. The first byte of an input
// chooses; the answer is compared with that of the plainest code.
#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "vmm/storage/image_format.h"
#include "vmm/storage/written_sectors.h"

using namespace mayfly;

namespace {

using namespace std::string_view_literals;

void expect(bool condition) {
    if (!condition) __builtin_trap();
}

struct Magic {
    std::string_view bytes;
    std::size_t at;
};

constexpr Magic kFirst[] = {{"QFI\xfb"sv, 0},
                            {"QED\0"sv, 0},
                            {"KDMV"sv, 0},
                            {"COWD"sv, 0},
                            {"# Disk Descriptor"sv, 0},
                            {"conectix"sv, 0},
                            {"vhdxfile"sv, 0},
                            {"\x7f\x10\xda\xbe"sv, 64},
                            {"WithoutFreeSpace"sv, 0},
                            {"WithouFreSpacExt"sv, 0},
                            {"Bochs Virtual HD"sv, 0}};
constexpr Magic kLast[] = {{"conectix"sv, 0}, {"conectix"sv, 1}, {"koly"sv, 0}};

bool has_one(std::string_view bytes, std::span<const Magic> magics) {
    return std::any_of(magics.begin(), magics.end(), [&](const Magic& magic) {
        return bytes.size() >= magic.at && bytes.substr(magic.at).starts_with(magic.bytes);
    });
}

/// A byte for a magic, 0 for none; a byte for its place; then the file. The stated size may be wrong.
void look_at_image(std::span<const u8> input) {
    if (input.size() < 3) return;
    std::string file(reinterpret_cast<const char*>(input.data() + 3), input.size() - 3);
    const std::size_t choice = input[0] % (std::size(kFirst) + 1);
    if (choice > 0) {
        const Magic& magic = kFirst[choice - 1];
        const std::size_t last = file.size() >= 512 ? file.size() - 512 : 0;
        const std::size_t at = (input[1] & 1) != 0 ? last + (input[1] >> 1 & 1) : magic.at;
        if (file.size() >= at + magic.bytes.size()) file.replace(at, magic.bytes.size(), magic.bytes);
    }
    const UniqueFd fd = UniqueFd::adopt(::memfd_create("image", MFD_CLOEXEC));
    expect(fd.get() >= 0 && ::write(fd.get(), file.data(), file.size()) == static_cast<ssize_t>(file.size()));
    const u64 lies[] = {file.size(), 0, 511, 512, file.size() + 1, ~u64{0}, u64{1} << 63};
    const u64 size_bytes = lies[input[2] % std::size(lies)];
    const std::string_view found = find_image_format(fd, size_bytes).name;
    if (size_bytes != file.size()) return;
    const std::string_view all(file);
    const std::string_view end = all.size() >= 512 ? all.substr(all.size() - 512) : ""sv;
    const bool is_image = has_one(all, kFirst) || has_one(end, kLast);
    // The text of a VMDK's descriptor, and Bochs's, are longer than what is compared here.
    const bool is_text = all.starts_with("# Disk") || all.starts_with("Bochs");
    expect(is_text || is_image == !found.empty());
}

u64 word_at(std::span<const u8> input, std::size_t at) { return u64{input[at]} | u64{input[at + 1]} << 8; }

/// Two bytes for the size, then operations: a byte for the kind, two each for first and count.
void write_sectors(std::span<const u8> input) {
    if (input.size() < 2) return;
    const u64 size = word_at(input, 0) % 1000 + 1;
    WrittenSectors sectors = WrittenSectors::create(size).value();
    std::vector<bool> flags(size);
    for (input = input.subspan(2); input.size() >= 5; input = input.subspan(5)) {
        const u64 first = word_at(input, 1) % size;
        const u64 count = word_at(input, 3) % (size - first + 1);
        if ((input[0] & 3) < 2) {
            const bool sets = (input[0] & 1) == 0;
            sets ? sectors.set(first, count) : sectors.clear(first, count);
            std::fill_n(flags.begin() + static_cast<std::ptrdiff_t>(first), count, sets);
        }
        if (count == 0) continue;
        u64 same = 0;
        while (same < count && flags[first + same] == flags[first]) ++same;
        expect(sectors.has(first) == flags[first] && sectors.run_length(first, count) == same);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    if (size < 1) return 0;
    const std::span input(data + 1, size - 1);
    (data[0] & 1) == 0 ? look_at_image(input) : write_sectors(input);
    return 0;
}
