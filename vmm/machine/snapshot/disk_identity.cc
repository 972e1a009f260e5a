// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/snapshot/disk_identity.h"

#include <algorithm>
#include <array>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <zlib.h>

#include "vmm/os/unique_fd.h"
#include "vmm/snapshot/format/section_codec.h"

namespace mayfly {

namespace {

constexpr u32 kTag = section_tag("DISK");
constexpr std::size_t kEdgeBytes = 4096;
constexpr i64 kNsInSecond = 1'000'000'000;

Result<u32> sum_at(const UniqueFd& file, u64 offset, u32 sum) {
    std::array<Bytef, kEdgeBytes> edge{};
    const ssize_t got = ::pread(file.get(), edge.data(), edge.size(), static_cast<off_t>(offset));
    if (got < 0) return fail(Error::os("read"));
    return static_cast<u32>(::crc32_z(sum, edge.data(), static_cast<std::size_t>(got)));
}

Result<DiskIdentity> identity_of(const std::string& path) {
    const UniqueFd file = UniqueFd::adopt(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!file.valid()) return fail(Error::os("open"));
    struct stat about {};
    if (::fstat(file.get(), &about) < 0) return fail(Error::os("fstat"));
    const auto bytes = static_cast<u64>(about.st_size);
    const u32 first = TRY(sum_at(file, 0, 0));
    return DiskIdentity{.bytes = bytes,
                        .changed_ns = i64{about.st_mtim.tv_sec} * kNsInSecond + about.st_mtim.tv_nsec,
                        .edges = TRY(sum_at(file, bytes > kEdgeBytes ? bytes - kEdgeBytes : 0, first))};
}

}  // namespace

template <typename Coder>
void fields(Coder& coder, coded::As<DiskIdentity> auto& identity) {
    auto& [bytes, changed_ns, edges] = identity;
    coder(bytes, changed_ns, edges);
}

Result<std::vector<DiskIdentity>> identities_of(std::span<const DiskConfig> disks) {
    std::vector<DiskIdentity> found;
    for (const DiskConfig& disk : disks) {
        Result<DiskIdentity> identity = identity_of(disk.path);
        if (!identity) return fail(std::move(identity).error().about("--disk " + disk.path));
        found.push_back(*identity);
    }
    return found;
}

Result<void> check_identities(std::span<const DiskConfig> disks, std::span<const DiskIdentity> saved) {
    const std::vector<DiskIdentity> now = TRY(identities_of(disks));
    if (now.size() != saved.size())
        return fail(Error::invalid(fmt::format("the snapshot is damaged: it has {} disks, and its machine {}",
                                               saved.size(), now.size())));
    for (std::size_t n = 0; n < now.size(); ++n) {
        if (now[n] == saved[n]) continue;
        const bool is_sized = now[n].bytes == saved[n].bytes;
        return fail(Error::invalid(fmt::format("--disk {}: it is not as the snapshot's guest knows it: {}",
                                               disks[n].path,
                                               is_sized ? "it has changed since"
                                                        : fmt::format("it has {} bytes, and had {}",
                                                                      now[n].bytes, saved[n].bytes)))
                        .hint("give an unchanged copy (cp -p), or make the snapshot again"));
    }
    return {};
}

Section encode(const std::vector<DiskIdentity>& identities) { return to_section(kTag, identities); }

Result<std::vector<DiskIdentity>> decode_disk_identities(std::span<const SectionView> sections) {
    return from_section<std::vector<DiskIdentity>>(sections, kTag);
}

}  // namespace mayfly
