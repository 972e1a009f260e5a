// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/firmware/image/packer.h"

#include <algorithm>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "vmm/error/verify.h"

namespace mayfly::test {

namespace {
const u8* in_bytes(const Bytes& bytes) { return reinterpret_cast<const u8*>(bytes.data()); }
u8* out_bytes(Bytes& bytes) { return reinterpret_cast<u8*>(bytes.data()); }

Bytes run_lzma(lzma_stream& stream, const Bytes& plain) {
    Bytes out(plain.size() + 4096);
    stream.next_in = in_bytes(plain);
    stream.avail_in = plain.size();
    stream.next_out = out_bytes(out);
    stream.avail_out = out.size();
    VERIFY(lzma_code(&stream, LZMA_FINISH) == LZMA_STREAM_END);
    out.resize(stream.total_out);
    lzma_end(&stream);
    return out;
}
}  // namespace

Bytes pack_gzip(const Bytes& plain) {
    z_stream stream{};
    VERIFY(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    Bytes out(plain.size() + 4096);
    stream.next_in = const_cast<u8*>(in_bytes(plain));
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = out_bytes(out);
    stream.avail_out = static_cast<uInt>(out.size());
    VERIFY(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

Bytes pack_xz(const Bytes& plain) {
    lzma_stream stream = LZMA_STREAM_INIT;
    VERIFY(lzma_easy_encoder(&stream, 1, LZMA_CHECK_CRC32) == LZMA_OK);
    return run_lzma(stream, plain);
}

Bytes pack_lzma(const Bytes& plain) {
    lzma_options_lzma options;
    VERIFY(!lzma_lzma_preset(&options, 1));
    lzma_stream stream = LZMA_STREAM_INIT;
    VERIFY(lzma_alone_encoder(&stream, &options) == LZMA_OK);
    return run_lzma(stream, plain);
}

Bytes pack_lz4(const Bytes& plain) {
    constexpr std::size_t kBlock = 8 << 20;
    Bytes out;
    put<u32>(out, 0, 0x184c2102);
    for (std::size_t at = 0; at < plain.size(); at += kBlock) {
        const int size = static_cast<int>(std::min(kBlock, plain.size() - at));
        std::vector<char> block(static_cast<std::size_t>(LZ4_compressBound(size)));
        const int packed = LZ4_compress_default(reinterpret_cast<const char*>(plain.data() + at),
                                                block.data(), size, static_cast<int>(block.size()));
        VERIFY(packed > 0);
        put<u32>(out, out.size(), static_cast<u32>(packed));
        put_text(out, out.size(), {block.data(), static_cast<std::size_t>(packed)});
    }
    return out;
}

Bytes pack_zstd(const Bytes& plain) {
    Bytes out(ZSTD_compressBound(plain.size()));
    const std::size_t size = ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3);
    VERIFY(ZSTD_isError(size) == 0);
    out.resize(size);
    return out;
}

Bytes with_size(Bytes packed, u32 size_bytes) {
    put<u32>(packed, packed.size(), size_bytes);
    return packed;
}

}  // namespace mayfly::test
