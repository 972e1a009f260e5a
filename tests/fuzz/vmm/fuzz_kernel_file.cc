// SPDX-License-Identifier: Apache-2.0
// Kernel files that are gzipped as a whole. The first byte of an input chooses whether the rest is packed
// here, the second and third choose the damage; an undamaged file comes out as it went in.
#include <algorithm>
#include <cstring>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include <zlib.h>

#include "vmm/kernel_cache/kernel_cache.h"
#include "vmm/machine/boot/guest_images.h"

using namespace mayfly;

namespace mayfly {

// Built-in guests are not needed here, and their ELF files are not linked.
std::span<const BuiltinGuest> builtin_guests() { return {}; }
std::span<const std::byte> find_builtin_guest(std::string_view) { return {}; }
// A bzImage is not unpacked either.
Result<std::optional<Image>> unpack_cached(const Image&, const KernelChoice&, u64,
                                           const KernelCacheOptions&) {
    return std::optional<Image>();
}

}  // namespace mayfly

namespace {

constexpr u64 kMemoryBytes = u64{1} << 20;

void expect(bool condition) {
    if (!condition) __builtin_trap();
}

std::vector<u8> pack(std::span<const u8> plain) {
    z_stream stream{};
    expect(deflateInit2(&stream, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    std::vector<u8> out(deflateBound(&stream, plain.size()));
    stream.next_in = const_cast<u8*>(plain.data());
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    expect(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

/// \returns whether `file` is as it was.
bool damage(std::vector<u8>& file, u8 how, u8 where) {
    const std::size_t at = where % file.size();
    switch (how & 7) {
        case 0: return true;
        case 1: file[at] ^= static_cast<u8>(how | 1); return false;
        case 2: file.resize(at); return false;
        case 3: file[file.size() - 1 - where % 8] ^= static_cast<u8>(how | 1); return false;  // the trailer
        case 4: file.insert(file.end(), where + 1, how); return false;
        case 5: std::fill(file.end() - 4, file.end(), where); return false;
        case 6: file.insert(file.begin() + static_cast<std::ptrdiff_t>(at), how); return false;
        default: file.erase(file.begin() + static_cast<std::ptrdiff_t>(at)); return false;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    if (size < 4) return 0;
    const std::span rest(data + 3, size - 3);
    const bool is_packed = (data[0] & 1) == 0;
    std::vector<u8> file = is_packed ? pack(rest) : std::vector<u8>(rest.begin(), rest.end());
    const bool is_whole = is_packed && damage(file, data[1], data[2]);
    const UniqueFd fd = UniqueFd::adopt(::memfd_create("kernel", MFD_CLOEXEC));
    expect(fd.get() >= 0 && ::write(fd.get(), file.data(), file.size()) == static_cast<ssize_t>(file.size()));

    BootConfig config;
    config.kernel = "/proc/self/fd/" + std::to_string(fd.get());
    config.memory_bytes = kMemoryBytes;
    const Result<GuestImages> images = GuestImages::open(config, StopToken());
    if (!images) {
        expect(!is_whole && images.error().message().starts_with(config.kernel + ": "));
        return 0;
    }
    const Image& kernel = images->kernel();
    expect(kernel.size_bytes() <= std::max<u64>(kMemoryBytes, file.size()));
    std::vector<std::byte> bytes(kernel.size_bytes());
    expect(kernel.read(0, bytes).has_value());
    if (is_whole)
        expect(bytes.size() == rest.size() && std::memcmp(bytes.data(), rest.data(), rest.size()) == 0);
    return 0;
}
