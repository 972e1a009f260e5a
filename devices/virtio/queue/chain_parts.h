// SPDX-License-Identifier: Apache-2.0
// ChainParts: collects the checked ranges of one chain while a ring walks it.
//
// Thread: a value on a ring's stack. Spec: virtio 1.2 §2.7.4 "Message Framing".
#pragma once

#include <span>

#include <sys/uio.h>

#include "devices/virtio/queue/chain.h"
#include "devices/virtio/queue/queue_format.h"
#include "devices/virtio/queue/queue_spec.h"
#include "vmm/memory/guest_memory.h"

namespace mayfly {

class ChainParts {
  public:
    ChainParts(const GuestMemory& memory, std::span<iovec> storage) : memory_(memory), storage_(storage) {}

    WhyBroken add(u64 addr, u32 size_bytes, bool is_writable) {
        // Nothing in the specification needs empty descriptors, and QEMU calls the device broken for one;
        // with them a chain of any number of parts could be empty.
        if (size_bytes == 0) return WhyBroken::EmptyDescriptor;
        if (count_ == storage_.size()) return WhyBroken::TooManyParts;
        const std::optional<GuestSpan> range = memory_.span(Gpa{addr}, size_bytes);
        if (!range) return WhyBroken::DescriptorOutside;
        if (is_writable) {
            writable_bytes_ += size_bytes;
        } else {
            // virtio 1.2 §2.7.4.2 "Driver Requirements: Message Framing": "The driver MUST place any
            // device-writable descriptor elements after any device-readable descriptor elements."
            if (writable_bytes_ != 0) return WhyBroken::ReadableAfterWritable;
            readable_bytes_ += size_bytes;
            readable_count_ = count_ + 1;
        }
        storage_[count_++] = {range->host_base, range->size_bytes};
        return WhyBroken::No;
    }

    [[nodiscard]] Chain chain(ChainToken token) const {
        return {.token = token,
                .readable = storage_.first(readable_count_),
                .writable = storage_.subspan(readable_count_, count_ - readable_count_),
                .readable_bytes = readable_bytes_,
                .writable_bytes = writable_bytes_};
    }

  private:
    const GuestMemory& memory_;
    std::span<iovec> storage_;
    std::size_t count_ = 0;
    std::size_t readable_count_ = 0;
    u64 readable_bytes_ = 0;
    u64 writable_bytes_ = 0;
};

/// Entries of an indirect table that a driver can mean: a split table's `next` has 16 bits.
constexpr u32 kIndirectTableMax = 65536;

/// A descriptor that refers to an indirect table of `size_bytes`.
inline WhyBroken check_indirect(bool is_negotiated, u32 size_bytes) {
    // virtio 1.2 §2.7.5.3.1 "Driver Requirements: Indirect Descriptors": "The driver MUST NOT set the
    // VIRTQ_DESC_F_INDIRECT flag unless the VIRTIO_F_INDIRECT_DESC feature was negotiated."
    if (!is_negotiated) return WhyBroken::IndirectNotNegotiated;
    if (size_bytes == 0) return WhyBroken::TableEmpty;
    if (size_bytes % virtio::DESC_BYTES != 0) return WhyBroken::TableLength;
    if (size_bytes / virtio::DESC_BYTES > kIndirectTableMax) return WhyBroken::TableTooLong;
    return WhyBroken::No;
}

}  // namespace mayfly
