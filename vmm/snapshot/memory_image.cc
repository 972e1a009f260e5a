// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/memory_image.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/memory/page_copy.h"
#include "vmm/snapshot/whole_write.h"

namespace mayfly {

namespace {

/// Linux Documentation/admin-guide/mm/pagemap.rst "pagemap, from the userspace perspective".
constexpr const char* kPagemap = "/proc/self/pagemap";
constexpr u64 kPresent = u64{1} << 63;
constexpr u64 kSwapped = u64{1} << 62;
/// Of the page map, read at once: 32 MiB of memory.
constexpr std::size_t kPagesAtOnce = 8192;
constexpr u64 kWriteBytesMax = u64{4} << 20;

/// Pages that may have content, of a stretch of RAM.
class PageMap {
  public:
    static Result<PageMap> open(const GuestRam& ram) {
        UniqueFd file = UniqueFd::adopt(::open(kPagemap, O_RDONLY | O_CLOEXEC));
        if (!file.valid()) return fail(Error::os("open").about(kPagemap));
        return PageMap(std::move(file), ram);
    }

    /// `first` is a page of RAM; the next calls of may_have() are for `count` from there.
    Result<void> look(u64 first, std::size_t count) {
        entries_.resize(count);
        first_ = first;
        // SAFETY: an address is looked at as an integer.
        const u64 page = reinterpret_cast<std::uintptr_t>(ram_.bytes().data()) / kPageBytes + first;
        const std::size_t wanted = count * sizeof(u64);
        const ssize_t got =
            ::pread(file_.get(), entries_.data(), wanted, static_cast<off_t>(page * sizeof(u64)));
        if (got < 0) return fail(Error::os("read").about(kPagemap));
        if (static_cast<std::size_t>(got) != wanted)
            return fail(Error::host(fmt::format("{} tells nothing of guest memory", kPagemap)));
        return {};
    }

    [[nodiscard]] bool may_have(u64 page) const {
        if ((entries_[page - first_] & (kPresent | kSwapped)) != 0) return true;
        const u64 at = page * kPageBytes;
        return std::any_of(ram_.file_ranges().begin(), ram_.file_ranges().end(),
                           [at](const RamRange& range) { return at >= range.begin && at < range.end; });
    }

  private:
    PageMap(UniqueFd file, const GuestRam& ram) : file_(std::move(file)), ram_(ram) {}

    UniqueFd file_;
    const GuestRam& ram_;
    std::vector<u64> entries_;
    u64 first_ = 0;
};

/// Collects pages that follow each other, and writes them together.
class RunWriter {
  public:
    RunWriter(const UniqueFd& file, std::span<const std::byte> ram) : file_(file), ram_(ram) {}

    Result<void> add(u64 page) {
        const u64 at = page * kPageBytes;
        if (at != end_ || end_ - begin_ >= kWriteBytesMax) {
            TRY_VOID(write());
            begin_ = at;
        }
        end_ = at + kPageBytes;
        return {};
    }
    Result<void> write() {
        const auto run = ram_.subspan(begin_, end_ - begin_);
        const u64 at = begin_;
        begin_ = end_;
        return write_whole(file_, run, at);
    }

  private:
    const UniqueFd& file_;
    std::span<const std::byte> ram_;
    u64 begin_ = 0;
    u64 end_ = 0;
};

Error impossible(std::string_view what) {
    return Error::invalid(fmt::format("the snapshot is damaged: its list of memory: {}", what));
}

Result<void> check(const MemoryRecord& record, u64 file_bytes) {
    if (record.ram_bytes < kPageBytes || record.ram_bytes % kPageBytes != 0)
        return fail(impossible(fmt::format("{} bytes of memory", record.ram_bytes)));
    if (file_bytes != record.ram_bytes)
        return fail(
            Error::invalid(fmt::format("it has {} bytes, and the snapshot's memory {}: it was truncated or "
                                       "replaced",
                                       file_bytes, record.ram_bytes)));
    if (record.blocks.size() != (record.block_count() + 7) / 8) return fail(impossible("its length"));
    for (u64 block = record.block_count(); block < record.blocks.size() * 8; ++block) {
        if (record.has_block(block)) return fail(impossible("a block behind its end"));
    }
    return {};
}

/// Maps the file's bytes from `begin` to `end`, which the hole may part.
Result<void> map_run(GuestRam& ram, const UniqueFd& file, u64 begin, u64 end) {
    const u64 low_bytes = ram.memory().regions().front().size_bytes;
    while (begin < end) {
        const u64 part = begin < low_bytes ? std::min(end, low_bytes) : end;
        TRY_VOID(ram.map_file(ram.address_of(begin), file, begin, part - begin));
        begin = part;
    }
    return {};
}

}  // namespace

Result<MemoryRecord> write_memory(const UniqueFd& file, const GuestRam& ram, StopToken stop) {
    const std::span<const std::byte> bytes = ram.bytes();
    const u64 pages = bytes.size() / kPageBytes;
    MemoryRecord record;
    record.ram_bytes = bytes.size();
    record.blocks.resize((record.block_count() + 7) / 8);
    if (::ftruncate(file.get(), static_cast<off_t>(bytes.size())) < 0) return fail(Error::os("ftruncate"));
    PageMap map = TRY(PageMap::open(ram));
    RunWriter runs(file, bytes);
    for (u64 first = 0; first < pages; first += kPagesAtOnce) {
        TRY_VOID(stop.check());
        const std::size_t count = std::min<u64>(kPagesAtOnce, pages - first);
        TRY_VOID(map.look(first, count));
        for (u64 page = first; page < first + count; ++page) {
            if (!map.may_have(page) || is_zero_page(bytes.data() + page * kPageBytes)) continue;
            TRY_VOID(runs.add(page));
            const u64 block = page * kPageBytes / kMemoryBlockBytes;
            record.blocks[block / 8] |= static_cast<u8>(1U << block % 8);
            record.data_bytes += kPageBytes;
        }
    }
    TRY_VOID(runs.write());
    return record;
}

Result<GuestRam> map_memory(const UniqueFd& file, const MemoryRecord& record, Gpa hole_base) {
    struct stat about {};
    if (::fstat(file.get(), &about) < 0) return fail(Error::os("fstat"));
    TRY_VOID(check(record, static_cast<u64>(about.st_size)));
    GuestRam ram = TRY(GuestRam::create({.size_bytes = record.ram_bytes, .hole_base = hole_base}));
    for (u64 block = 0; block < record.block_count();) {
        const u64 begin = block;
        while (block < record.block_count() && record.has_block(block)) ++block;
        if (block > begin)
            TRY_VOID(map_run(ram, file, begin * kMemoryBlockBytes,
                             std::min(block * kMemoryBlockBytes, record.ram_bytes)));
        else
            ++block;
    }
    return ram;
}

}  // namespace mayfly
