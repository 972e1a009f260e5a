// SPDX-License-Identifier: Apache-2.0
// Net: the virtio network device. Frames go between its rings and a NetBackend straight from and to guest
// RAM.
//
// Not offered, because nothing here needs them: GUEST_USO, UFO, receive filters (CTRL_RX, CTRL_VLAN: every
// frame of the backend is delivered), GUEST_ANNOUNCE, RSS, HASH_REPORT, NOTF_COAL, SPEED_DUPLEX, STANDBY.
// When the driver gives no buffers nothing is read from the backend, whose host queues or drops frames: a
// slow driver costs no memory. A frame that cannot be sent is dropped and counted, and its chain completes.
//
// Rate limits apply to each direction separately, to all pairs together. A reset does not refill them.
//
// Thread: as VirtioDevice says; the NetClient side on the I/O thread, which takes the host's lock. The host
// given to start() must outlive this. Spec: virtio 1.2 §5.1 "Network Device".
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/virtio/net/net_backend.h"
#include "devices/virtio/net/net_rx.h"
#include "devices/virtio/net/net_spec.h"
#include "devices/virtio/token_bucket.h"
#include "devices/virtio/virtio_device.h"
#include "vmm/os/clock.h"

namespace mayfly {

struct NetOptions {
    std::string name{};
    std::array<u8, virtio_net::kMacBytes> mac{};
    std::optional<u16> mtu{};  ///< what the driver is told; 68 or more
    u16 queue_size = 256;      ///< a power of two
    RateLimit bytes{};         ///< of frames without the virtio header
    RateLimit packets{};       ///< as the driver sees them: a segmentation offload's frame is one
    u64 (*now_ns)() = monotonic_ns;
};

struct NetCounts {
    u64 received = 0;
    u64 sent = 0;
    u64 receive_dropped = 0;  ///< larger than the driver's buffers
    u64 send_dropped = 0;     ///< refused by the backend, too large, or the link is down
};

class Net final : public VirtioDevice, private NetClient {
  public:
    /// The backend outlives this.
    Net(const NetOptions& options, NetBackend& backend);
    ~Net() override;

    [[nodiscard]] std::string_view name() const override { return options_.name; }
    [[nodiscard]] u16 device_id() const override;
    [[nodiscard]] u64 features() const override;
    [[nodiscard]] std::span<const u16> queue_sizes() const override { return queue_sizes_; }
    [[nodiscard]] bool needs_io_thread() const override { return true; }
    [[nodiscard]] std::span<const std::byte> config() const override { return config_; }
    void write_config(u32 offset_bytes, std::span<const std::byte> bytes) override;
    void start(u64 features, DeviceHost& host) override;
    [[nodiscard]] Progress process(u16 queue, u32 budget) override;
    [[nodiscard]] u32 in_flight() const override { return 0; }
    void cancel() override {}
    void give_back() override;
    void stop() override;

    /// Under the lock.
    [[nodiscard]] const NetCounts& counts() const { return counts_; }

    /// The part that the options do not determine. Limits by their levels, in tokens.
    struct State {
        u64 guest_offloads = 0;  ///< of the features, as the driver last set them
        u16 pairs_in_use = 1;
        bool has_failed = false;
        bool is_link_shown_up = true;
        std::array<std::byte, virtio_net::kMacBytes> mac{};
        i64 receive_bytes_level = 0;
        i64 receive_packets_level = 0;
        i64 send_bytes_level = 0;
        i64 send_packets_level = 0;
        i64 commands_level = 0;
    };
    /// Under the lock, while the device is paused. restore() needs a device that has been started if the
    /// saved one had been. False: no driver can have brought a device to this state. The driver is told of a
    /// link that changed.
    [[nodiscard]] State save();
    [[nodiscard]] bool restore(const State& state);

  private:
    static constexpr u16 kControlQueueSize = 64;
    static constexpr u32 kSendPartsMax = 1024;  ///< what one writev takes

    struct Limits {
        TokenBucket bytes;
        TokenBucket packets;
    };
    struct Active {
        u64 features = 0;
        u64 guest_offloads = 0;  ///< of `features`, as the driver last set them
        u16 pairs_in_use = 1;
        u8 header_bytes = virtio_net::kHeaderBytes;
        bool has_failed = false;
    };

    void on_net_readable(u16 pair) override;
    void on_net_writable(u16 pair) override;
    void on_net_link(bool is_up) override;

    [[nodiscard]] bool has(u64 feature) const { return (active_.features & feature) == feature; }
    /// The control queue's number depends on negotiated features.
    [[nodiscard]] u16 control_queue() const;
    [[nodiscard]] VirtQueue& queue(u16 index) { return host()->queue(index); }
    [[nodiscard]] DeviceHost* host() { return host_.load(std::memory_order_acquire); }
    void run_again(u16 queue);
    /// \returns Waiting: nothing happens until the reset.
    Progress fail(std::string_view why);
    Progress end_of(const VirtQueue& ring, PopResult result);
    /// Configures the backend as the state requires; takes the link down when the backend refuses.
    [[nodiscard]] bool configure(const Active& wanted);
    /// The same for negotiated features. \returns when to try again, if it was called too often.
    [[nodiscard]] std::optional<u64> configure_start();
    /// \returns true when it changed.
    bool show_link();
    [[nodiscard]] bool is_link_shown_up() const;
    void show_mac(std::span<const std::byte, virtio_net::kMacBytes> mac);

    /// Nothing when a frame of this size may pass now, else when to try again.
    [[nodiscard]] std::optional<u64> passes_at(Limits& limits, u64 frame_bytes);
    void count_against(Limits& limits, u64 frame_bytes);

    // net_rx.cc
    [[nodiscard]] Progress receive(u16 pair, u32 budget);
    enum class Step : u8 { Next, Wait };
    Step receive_one(u16 pair, VirtQueue& ring, ReceiveWindow& window);
    [[nodiscard]] bool fill_window(VirtQueue& ring, ReceiveWindow& window);

    // net_tx.cc
    [[nodiscard]] Progress send(u16 pair, u32 budget);
    Step send_one(u16 pair, VirtQueue& ring, const Chain& chain);

    // net_control.cc
    [[nodiscard]] Progress control(u32 budget);
    [[nodiscard]] bool obey(const Chain& chain);
    [[nodiscard]] bool set_pairs(const Chain& chain);
    [[nodiscard]] bool set_guest_offloads(const Chain& chain);
    [[nodiscard]] bool set_mac(const Chain& chain);

    NetOptions options_;
    NetBackend& backend_;
    u16 pairs_;
    std::vector<u16> queue_sizes_;
    std::array<std::byte, virtio_net::kConfigBytes> config_{};
    Active active_;
    Limits receive_limits_;
    Limits send_limits_;
    TokenBucket commands_limit_{kSlowWorkLimit};  ///< of commands that reach configure(), and of starts
    NetCounts counts_;
    std::vector<ReceiveWindow> windows_;
    std::unique_ptr<iovec[]> parts_;  ///< one chain's, while it is worked on
    std::atomic<DeviceHost*> host_ = nullptr;
    std::atomic<bool> is_backend_up_ = true;
    bool is_configured_ = false;  ///< since start(): the backend knows what was negotiated
    bool is_refused_ = false;     ///< by the backend, in configure(): the link is down until a reset
};

}  // namespace mayfly
