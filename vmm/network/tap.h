// SPDX-License-Identifier: Apache-2.0
// Tap: frames to and from a tap interface of the host, with the kernel's checksum and segmentation offloads.
//
// One descriptor per queue pair. An existing tap is joined; else it is made, brought up, and removed with us.
// Removed while we run, it takes the guest's link down and nothing else. Lives until the loop is destroyed.
// Thread: as NetBackend says; attach() before the loop runs or on its thread.
// Spec: Linux Documentation/networking/tuntap.rst; Linux include/uapi/linux/if_tun.h.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/virtio/net/net_backend.h"
#include "vmm/error/result.h"
#include "vmm/loop/backend.h"
#include "vmm/network/link.h"
#include "vmm/network/readiness.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

struct TapOptions {
    std::string name;  ///< empty or with "%d": the kernel chooses
    u16 pairs = 1;
    std::optional<u16> mtu{};  ///< the interface's from now on, where the host allows it
};

class Tap final : public NetBackend, public Backend, private ReadinessClient {
  public:
    static constexpr u16 kPairsMax = 16;

    /// Errors: Invalid for an impossible name or an interface that is not a matching tap; Os and Host for a
    /// refusal of the host, with a remedy.
    static Result<std::unique_ptr<Tap>> open(const TapOptions& options);

    /// The name from the kernel.
    [[nodiscard]] const std::string& name() const { return name_; }
    Result<void> attach(Loop& loop) override;

    [[nodiscard]] u16 pair_count() const override { return static_cast<u16>(queues_.size()); }
    [[nodiscard]] u64 offload_features() const override;
    [[nodiscard]] bool configure(u64 features, u8 header_bytes, u16 pairs_in_use) override;
    [[nodiscard]] NetStatus send(u16 pair, std::span<const iovec> frame) override;
    [[nodiscard]] NetReceived receive(u16 pair, std::span<const iovec> into) override;
    void set_client(NetClient* client) override { link_.set_client(client); }

  private:
    struct Queue {
        Queue(UniqueFd opened, ReadinessClient& client, u16 index)
            : fd(std::move(opened)), readiness(client, index) {}
        UniqueFd fd;
        Readiness readiness;
        bool is_in_use = true;
        /// The device will read at the next event, and notice by itself whether the tap still exists.
        std::atomic<bool> is_waited_for = false;
    };

    Tap(std::string name, std::vector<UniqueFd> fds);

    /// The last setting given to the kernel.
    struct Configuration {
        unsigned offloads = 0;
        u8 header_bytes = 0;
        u16 pairs_in_use = 0;
        friend bool operator==(const Configuration&, const Configuration&) = default;
    };

    [[nodiscard]] bool use_queue(Queue& queue, bool is_in_use);
    [[nodiscard]] NetStatus lost_or(int error, NetStatus otherwise);

    void on_readable(u16 index) override;
    void on_writable(u16 index) override;
    void on_gone(u16 index) override;

    std::string name_;
    bool has_udp_segmentation_ = false;
    Link link_;
    std::optional<Configuration> configured_;
    std::vector<std::unique_ptr<Queue>> queues_;
};

}  // namespace mayfly
