// SPDX-License-Identifier: Apache-2.0
// KvmStats: KVM's own counters, read from a statistics descriptor (Linux 5.14).
//
// Thread: any; each read is one pread.
// Spec: Linux Documentation/virt/kvm/api.rst §4.133 "KVM_GET_STATS_FD".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

struct KvmCounter {
    std::string name;
    u64 value = 0;
};

class KvmStats {
  public:
    /// Reads the descriptors. Errors: Os; Host when the layout differs from the interface.
    static Result<KvmStats> open(UniqueFd fd);

    /// Every counter with a single number (histograms are left out), in the kernel's order.
    [[nodiscard]] Result<std::vector<KvmCounter>> read_all() const;
    /// Empty when the host lacks the counter.
    [[nodiscard]] std::optional<u64> read(std::string_view name) const;

  private:
    struct Descriptor {
        std::string name;
        u64 offset;
    };
    KvmStats(UniqueFd fd, std::vector<Descriptor> descriptors)
        : fd_(std::move(fd)), descriptors_(std::move(descriptors)) {}
    [[nodiscard]] Result<u64> read_at(u64 offset) const;

    UniqueFd fd_;
    std::vector<Descriptor> descriptors_;
};

}  // namespace mayfly
