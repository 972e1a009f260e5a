// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/stats.h"

#include <cstring>
#include <span>

#include <linux/kvm.h>
#include <unistd.h>

namespace mayfly {

namespace {

constexpr u32 kDescriptorsMax = 1024;
constexpr u32 kNameMax = 256;
/// struct kvm_stats_desc before its name: in C++ the header's flexible array adds to the size.
constexpr std::size_t kDescriptorBytes = 16;

Result<void> read_exactly(const UniqueFd& fd, u64 offset, std::span<std::byte> out) {
    const ssize_t got = ::pread(fd.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0) return fail(Error::os("pread").about("KVM statistics"));
    if (static_cast<std::size_t>(got) != out.size())
        return fail(Error::host("KVM statistics end before their last counter"));
    return {};
}

}  // namespace

Result<KvmStats> KvmStats::open(UniqueFd fd) {
    kvm_stats_header header{};
    TRY_VOID(read_exactly(fd, 0, std::as_writable_bytes(std::span(&header, 1))));
    if (header.num_desc > kDescriptorsMax || header.name_size > kNameMax)
        return fail(Error::host("KVM statistics have an unknown layout"));
    const std::size_t stride = kDescriptorBytes + header.name_size;
    std::vector<std::byte> raw(stride * header.num_desc);
    TRY_VOID(read_exactly(fd, header.desc_offset, raw));
    std::vector<Descriptor> descriptors;
    for (u32 i = 0; i < header.num_desc; ++i) {
        kvm_stats_desc desc{};
        std::memcpy(&desc, raw.data() + i * stride, kDescriptorBytes);
        if (desc.size != 1) continue;
        const char* name =
            reinterpret_cast<const char*>(raw.data() + i * stride + kDescriptorBytes);  // SAFETY: char
        descriptors.push_back(
            {std::string(name, ::strnlen(name, header.name_size)), u64{header.data_offset} + desc.offset});
    }
    return KvmStats(std::move(fd), std::move(descriptors));
}

Result<u64> KvmStats::read_at(u64 offset) const {
    u64 value = 0;
    TRY_VOID(read_exactly(fd_, offset, std::as_writable_bytes(std::span(&value, 1))));
    return value;
}

Result<std::vector<KvmCounter>> KvmStats::read_all() const {
    std::vector<KvmCounter> counters;
    counters.reserve(descriptors_.size());
    for (const Descriptor& descriptor : descriptors_)
        counters.push_back({descriptor.name, TRY(read_at(descriptor.offset))});
    return counters;
}

std::optional<u64> KvmStats::read(std::string_view name) const {
    for (const Descriptor& descriptor : descriptors_) {
        if (descriptor.name != name) continue;
        const Result<u64> value = read_at(descriptor.offset);
        return value ? std::optional(*value) : std::nullopt;
    }
    return std::nullopt;
}

}  // namespace mayfly
