// SPDX-License-Identifier: Apache-2.0
#include "vmm/loop/ring_features.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <liburing.h>

namespace mayfly {

namespace {

constexpr unsigned kEntries = 8;

struct Flag {
    std::string_view name;
    std::string_view since;
    u32 bit;
};

/// Newest first: a kernel that refuses one flag is tried without it.
constexpr std::array kSetupFlags{
    Flag{"DEFER_TASKRUN", "6.1", IORING_SETUP_DEFER_TASKRUN},
    Flag{"SINGLE_ISSUER", "6.0", IORING_SETUP_SINGLE_ISSUER},
    Flag{"COOP_TASKRUN", "5.19", IORING_SETUP_COOP_TASKRUN},
    Flag{"SUBMIT_ALL", "5.18", IORING_SETUP_SUBMIT_ALL},
};

constexpr std::array kFeatureFlags{
    Flag{"CQE_SKIP", "5.17", IORING_FEAT_CQE_SKIP},    // completions that nothing waits for are free
    Flag{"RSRC_TAGS", "5.13", IORING_FEAT_RSRC_TAGS},  // came with multishot poll
    Flag{"EXT_ARG", "5.11", IORING_FEAT_EXT_ARG},      // a wait with a time limit
    Flag{"NODROP", "5.5", IORING_FEAT_NODROP},         // completions are never lost
};

constexpr std::array kOperations{
    Flag{"OP_MSG_RING", "5.18", IORING_OP_MSG_RING},
    Flag{"OP_POLL_ADD", "5.1", IORING_OP_POLL_ADD},
    Flag{"OP_READV", "5.1", IORING_OP_READV},
    Flag{"OP_WRITEV", "5.1", IORING_OP_WRITEV},
    Flag{"OP_FSYNC", "5.1", IORING_OP_FSYNC},
    Flag{"OP_WRITE", "5.6", IORING_OP_WRITE},
    Flag{"OP_ASYNC_CANCEL", "5.5", IORING_OP_ASYNC_CANCEL},
};

struct SetUp {
    int error;  ///< 0: there is a ring
    io_uring ring;
    io_uring_params params;
};

/// The ring with the most flags that the kernel takes, or the error of the plainest set-up.
SetUp set_up() {
    SetUp made{};
    u32 flags = IORING_SETUP_CQSIZE;
    for (const Flag& flag : kSetupFlags) flags |= flag.bit;
    for (std::size_t dropped = 0; dropped <= kSetupFlags.size(); ++dropped) {
        if (dropped != 0) flags &= ~kSetupFlags[dropped - 1].bit;
        made.params = io_uring_params{};
        made.params.flags = flags;
        made.params.cq_entries = kEntries * 2;
        made.error = -::io_uring_queue_init_params(kEntries, &made.ring, &made.params);
        if (made.error != EINVAL) break;
    }
    return made;
}

}  // namespace

bool RingFeatures::has(std::string_view name) const {
    return std::any_of(features.begin(), features.end(), [&](const RingFeature& feature) {
        return feature.name == name && feature.is_present;
    });
}

RingFeatures detect_ring_features() {
    RingFeatures found;
    auto [error, ring, params] = set_up();
    found.setup_errno = error;
    if (found.setup_errno != 0) return found;
    for (const Flag& flag : kSetupFlags)
        found.features.push_back({flag.name, flag.since, (params.flags & flag.bit) != 0});
    for (const Flag& flag : kFeatureFlags)
        found.features.push_back({flag.name, flag.since, (params.features & flag.bit) != 0});
    const std::unique_ptr<io_uring_probe, decltype(&::io_uring_free_probe)> probe(
        ::io_uring_get_probe_ring(&ring), ::io_uring_free_probe);
    if (probe != nullptr) found.operation_count = u32{probe->last_op} + 1;
    for (const Flag& operation : kOperations) {
        const bool is_present = probe != nullptr && ::io_uring_opcode_supported(
                                                        probe.get(), static_cast<int>(operation.bit)) != 0;
        found.features.push_back({operation.name, operation.since, is_present});
    }
    found.features.push_back({"REGISTER_RING_FDS", "5.18", ::io_uring_register_ring_fd(&ring) == 1});
    ::io_uring_queue_exit(&ring);
    return found;
}

}  // namespace mayfly
