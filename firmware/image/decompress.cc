// SPDX-License-Identifier: Apache-2.0
#include "firmware/image/decompress.h"

#include <algorithm>
#include <cstring>

#include <sys/mman.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY  // to go block by block
#include <zstd.h>
#include <zstd_errors.h>

#include "firmware/image/refuse.h"
#include "firmware/image/zstd_old_formats.h"
#include "vmm/error/verify.h"

// Where the linker script was not used, both are null.
using Constructor = void (*)();
extern "C" [[gnu::weak]] const Constructor late_constructors[];
extern "C" [[gnu::weak]] const Constructor late_constructors_end[];

namespace mayfly {

namespace {

using Input = std::span<const std::byte>;
using Output = std::span<std::byte>;

/// A decoder's result. The size is that of the output.
struct Unpacked {
    enum class Status : u8 { Done, TooLong, Corrupt, Stopped } status;
    u64 size_bytes = 0;
    const char* detail = "";
};
using Status = Unpacked::Status;

/// The largest dictionary that Linux asks for is 64 MiB (xz -9, scripts/xz_wrap.sh).
constexpr u64 kLzmaMemoryMax = MiB(256);
/// lz4 -l compresses in independent blocks of 8 MiB.
constexpr u32 kLz4LegacyMagic = 0x184c2102;
constexpr u32 kLz4BlockBytes = u32{8} << 20;
/// Bytes decoded between two checks for a stop.
constexpr u64 kPieceBytes = MiB(4);

// SAFETY: the C libraries take unsigned char pointers to the same bytes.
const u8* in_bytes(Input input) { return reinterpret_cast<const u8*>(input.data()); }
u8* out_bytes(Output output) { return reinterpret_cast<u8*>(output.data()); }

Unpacked unpack_gzip(Input input, Output output, StopToken stop) {
    z_stream stream{};
    // 16 + 15: a gzip wrapper, window up to 32 KiB.
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return {Status::Corrupt, 0, "out of memory"};
    stream.next_in = const_cast<u8*>(in_bytes(input));  // SAFETY: zlib never writes to its input.
    stream.avail_in = static_cast<uInt>(input.size());
    stream.next_out = out_bytes(output);
    int result = Z_BUF_ERROR;
    u64 room = output.size();
    // Z_BUF_ERROR with a piece that is full: there is more.
    while (result == Z_BUF_ERROR && stream.avail_out == 0 && room > 0 && !stop.is_requested()) {
        const u64 piece = std::min(room, kPieceBytes);
        stream.avail_out = static_cast<uInt>(piece);
        result = inflate(&stream, Z_FINISH);
        room -= piece - stream.avail_out;
    }
    const bool is_full = room == 0 && stream.avail_in > 0;
    const bool is_stopped = result == Z_BUF_ERROR && stop.is_requested();
    inflateEnd(&stream);
    if (is_stopped) return {Status::Stopped};
    if (result == Z_STREAM_END) return {Status::Done, output.size() - room};
    if (result == Z_BUF_ERROR && is_full) return {Status::TooLong};
    return {Status::Corrupt, 0, result == Z_BUF_ERROR ? "the data is truncated" : "the data is corrupt"};
}

/// liblzma's, which finds out by CPUID how to compute a checksum: the linker removes it from the code before
/// main() (sections.ld), since CPUID traps where the host is a guest itself, and few boots need it.
void run_late_constructors() {
    for (const Constructor* one = late_constructors; one != late_constructors_end; ++one) (*one)();
}

Unpacked unpack_lzma(Packing packing, Input input, Output output, StopToken stop) {
    run_late_constructors();
    lzma_stream stream = LZMA_STREAM_INIT;
    const lzma_ret ready = packing == Packing::Xz ? lzma_stream_decoder(&stream, kLzmaMemoryMax, 0)
                                                  : lzma_alone_decoder(&stream, kLzmaMemoryMax);
    if (ready != LZMA_OK) return {Status::Corrupt, 0, "out of memory"};
    stream.next_in = in_bytes(input);
    stream.avail_in = input.size();
    stream.next_out = out_bytes(output);
    lzma_ret result = LZMA_OK;
    // Each call makes progress or fails: two calls without progress are LZMA_BUF_ERROR.
    while (result == LZMA_OK && !stop.is_requested()) {
        stream.avail_out = std::min(output.size() - stream.total_out, kPieceBytes);
        result = lzma_code(&stream, LZMA_FINISH);
    }
    const u64 size = stream.total_out;
    const bool is_full = size == output.size();
    lzma_end(&stream);
    switch (result) {
        case LZMA_STREAM_END: return {Status::Done, size};
        case LZMA_BUF_ERROR:
            return is_full ? Unpacked{Status::TooLong}
                           : Unpacked{Status::Corrupt, 0, "the data is truncated"};
        case LZMA_OK: return {Status::Stopped};
        case LZMA_MEMLIMIT_ERROR: return {Status::Corrupt, 0, "its dictionary needs more than 256 MiB"};
        default: return {Status::Corrupt, 0, "the data is corrupt"};
    }
}

u32 little_endian(Input four) {
    u32 value = 0;
    std::memcpy(&value, four.data(), sizeof(value));
    return value;
}

/// LZ4 frame format 1.6.2, "Legacy frame": magic, then blocks of a 32-bit size and that many bytes.
Unpacked unpack_lz4_legacy(Input input, Output output, StopToken stop) {
    u64 done = 0;
    input = input.subspan(4);
    while (!input.empty()) {
        if (stop.is_requested()) return {Status::Stopped};
        if (input.size() < 4) return {Status::Corrupt, 0, "the data is truncated"};
        const u32 packed_bytes = little_endian(input);
        input = input.subspan(4);
        if (packed_bytes == kLz4LegacyMagic) continue;  // a second frame follows
        if (packed_bytes == 0 || packed_bytes > u32{LZ4_COMPRESSBOUND(kLz4BlockBytes)})
            return {Status::Corrupt, 0, "a block is larger than 8 MiB"};
        if (packed_bytes > input.size()) return {Status::Corrupt, 0, "the data is truncated"};
        const u64 room = std::min<u64>(kLz4BlockBytes, output.size() - done);
        const int got = LZ4_decompress_safe(reinterpret_cast<const char*>(input.data()),
                                            reinterpret_cast<char*>(output.data() + done),
                                            static_cast<int>(packed_bytes), static_cast<int>(room));
        // A block that fails where less than a block's room was left may be sound and merely too long.
        if (got < 0 && room < kLz4BlockBytes) return {Status::TooLong};
        if (got < 0) return {Status::Corrupt, 0, "the data is corrupt"};
        done += static_cast<u64>(got);
        input = input.subspan(packed_bytes);
    }
    return {Status::Done, done};
}

/// One frame after the other, block by block, each of 128 KiB at most and to its place: since the whole
/// output is accessible, no window buffer is needed, whatever window a frame names.
Unpacked unpack_zstd_with(ZSTD_DCtx* context, Input input, Output output, StopToken stop) {
    constexpr Unpacked kCorrupt{Status::Corrupt, 0, "the data is corrupt or truncated"};
    u64 done = 0;
    while (!input.empty()) {
        if (ZSTD_isError(ZSTD_decompressBegin(context)) != 0) return kCorrupt;
        while (const std::size_t wanted = ZSTD_nextSrcSizeToDecompress(context)) {
            if (stop.is_requested()) return {Status::Stopped};
            if (wanted > input.size()) return kCorrupt;
            const std::size_t got = ZSTD_decompressContinue(context, output.data() + done,
                                                            output.size() - done, input.data(), wanted);
            if (ZSTD_getErrorCode(got) == ZSTD_error_dstSize_tooSmall) return {Status::TooLong};
            if (ZSTD_isError(got) != 0) return kCorrupt;
            done += got;
            input = input.subspan(wanted);
        }
    }
    return {Status::Done, done};
}

Unpacked unpack_zstd(Input input, Output output, StopToken stop) {
    ZSTD_DCtx* const context = ZSTD_createDCtx();
    if (context == nullptr) return {Status::Corrupt, 0, "out of memory"};
    const Unpacked unpacked = unpack_zstd_with(context, input, output, stop);
    ZSTD_freeDCtx(context);
    return unpacked;
}

Unpacked run_decoder(Packing packing, Input input, Output output, StopToken stop) {
    switch (packing) {
        case Packing::Gzip: return unpack_gzip(input, output, stop);
        case Packing::Xz:
        case Packing::Lzma: return unpack_lzma(packing, input, output, stop);
        case Packing::Lz4Legacy: return unpack_lz4_legacy(input, output, stop);
        case Packing::Zstd: return unpack_zstd(input, output, stop);
        case Packing::Bzip2:
        case Packing::Lzo: break;
    }
    UNREACHABLE();
}

bool starts_with(std::span<const std::byte> start, std::string_view magic) {
    return start.size() >= magic.size() && std::memcmp(start.data(), magic.data(), magic.size()) == 0;
}

}  // namespace

std::string_view to_string(Packing packing) {
    switch (packing) {
        case Packing::Gzip: return "gzip";
        case Packing::Xz: return "xz";
        case Packing::Lzma: return "lzma";
        case Packing::Lz4Legacy: return "lz4";
        case Packing::Zstd: return "zstd";
        case Packing::Bzip2: return "bzip2";
        case Packing::Lzo: return "lzo";
    }
    UNREACHABLE();
}

std::optional<Packing> identify_packing(std::span<const std::byte> start) {
    using namespace std::string_view_literals;
    if (starts_with(start, "\x1f\x8b"sv)) return Packing::Gzip;
    if (starts_with(start,
                    "\xfd"
                    "7zXZ\0"sv))
        return Packing::Xz;
    if (starts_with(start, "\x5d\0\0"sv)) return Packing::Lzma;
    if (starts_with(start, "\x02\x21\x4c\x18"sv)) return Packing::Lz4Legacy;
    if (starts_with(start, "\x28\xb5\x2f\xfd"sv)) return Packing::Zstd;
    if (starts_with(start, "BZh"sv)) return Packing::Bzip2;
    if (starts_with(start, "\x89LZO\0\r\n\x1a\n"sv)) return Packing::Lzo;
    return std::nullopt;
}

Result<void> require_decoder(Packing packing) {
    if (packing == Packing::Bzip2 || packing == Packing::Lzo)
        return fail(Error::invalid(fmt::format("{} compression is not supported", to_string(packing)))
                        .hint("rebuild the kernel with gzip, xz, lzma, lz4 or zstd, or boot its vmlinux"));
    return {};
}

Result<Mapping> unpack(Packing packing, std::span<const std::byte> packed, u64 size_bytes, StopToken stop) {
    VERIFY(size_bytes > 0 && size_bytes <= GiB(2) && packed.size() <= GiB(2));
    TRY_VOID(require_decoder(packing));
    Mapping mapping = TRY(Mapping::anonymous(size_bytes, MiB(2)));
    // Every page will be written, so fewer and larger faults; a host without huge pages ignores the advice.
    if (size_bytes >= MiB(2)) (void)::madvise(mapping.data(), size_bytes, MADV_HUGEPAGE);
    const Unpacked unpacked = run_decoder(packing, packed, mapping.bytes().first(size_bytes), stop);
    switch (unpacked.status) {
        case Status::Stopped: return fail(Error::stopped());
        case Status::Corrupt: return refuse("cannot unpack {}: {}", to_string(packing), unpacked.detail);
        case Status::TooLong:
            return refuse("the {} data unpacks to more than the {} bytes that it claims", to_string(packing),
                          size_bytes);
        case Status::Done: break;
    }
    if (unpacked.size_bytes != size_bytes)
        return refuse("the {} data unpacks to {} bytes, but claims {}", to_string(packing),
                      unpacked.size_bytes, size_bytes);
    return mapping;
}

Result<UnpackedBytes> unpack_at_most(Packing packing, std::span<const std::byte> packed, u64 bytes_max,
                                     StopToken stop) {
    VERIFY(bytes_max > 0 && bytes_max <= GiB(2) && packed.size() <= GiB(2));
    TRY_VOID(require_decoder(packing));
    Mapping mapping = TRY(Mapping::anonymous(bytes_max));
    const Unpacked unpacked = run_decoder(packing, packed, mapping.bytes(), stop);
    if (unpacked.status == Status::Stopped) return fail(Error::stopped());
    if (unpacked.status == Status::Corrupt)
        return refuse("cannot unpack {}: {}", to_string(packing), unpacked.detail);
    if (unpacked.status == Status::TooLong)
        return refuse("the {} data unpacks to more than {} bytes", to_string(packing), bytes_max);
    const std::span<const std::byte> bytes = mapping.bytes().first(unpacked.size_bytes);
    return UnpackedBytes{std::move(mapping), bytes};
}

}  // namespace mayfly
