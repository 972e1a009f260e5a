// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/net.h"

#include <algorithm>
#include <cstring>

#include "devices/virtio/virtio_spec.h"
#include "vmm/error/verify.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

namespace {

constexpr u64 kAlwaysOffered = virtio_net::F_MAC | virtio_net::F_STATUS | virtio_net::F_MRG_RXBUF |
                               virtio_net::F_CTRL_VQ | virtio_net::F_CTRL_MAC_ADDR;

void put_u16(std::span<std::byte> config, u32 offset_bytes, u16 value) {
    std::memcpy(config.subspan(offset_bytes, sizeof(value)).data(), &value, sizeof(value));
}

}  // namespace

Net::Net(const NetOptions& options, NetBackend& backend)
    : options_(options),
      backend_(backend),
      pairs_(backend.pair_count()),
      receive_limits_{TokenBucket(options.bytes), TokenBucket(options.packets)},
      send_limits_{TokenBucket(options.bytes), TokenBucket(options.packets)},
      windows_(pairs_),
      parts_(std::make_unique_for_overwrite<iovec[]>(kSendPartsMax)) {
    // no guest: a backend's pairs are an option's, and fixed before the guest runs.
    VERIFY(pairs_ >= 1);
    queue_sizes_.assign(std::size_t{2} * pairs_, options.queue_size);
    queue_sizes_.push_back(kControlQueueSize);
    show_mac(std::as_bytes(std::span(options_.mac)));
    put_u16(config_, virtio_net::CONFIG_STATUS, virtio_net::S_LINK_UP);
    put_u16(config_, virtio_net::CONFIG_MAX_VIRTQUEUE_PAIRS, pairs_);
    put_u16(config_, virtio_net::CONFIG_MTU, options_.mtu.value_or(0));
    backend_.set_client(this);
}

Net::~Net() { backend_.set_client(nullptr); }

u16 Net::device_id() const { return virtio::ID_NET; }

u64 Net::features() const {
    const u64 offloads =
        backend_.offload_features() & (virtio_net::kGuestOffloads | virtio_net::kHostOffloads);
    u64 features = kAlwaysOffered | offloads;
    if ((offloads & virtio_net::kGuestOffloads) != 0) features |= virtio_net::F_CTRL_GUEST_OFFLOADS;
    if (options_.mtu) features |= virtio_net::F_MTU;
    if (pairs_ > 1) features |= virtio_net::F_MQ;
    return features;
}

u16 Net::control_queue() const {
    // virtio 1.2 §5.1.2 "Virtqueues": behind one pair unless MQ was negotiated.
    return static_cast<u16>(has(virtio_net::F_MQ) ? 2 * pairs_ : 2);
}

void Net::write_config(u32 offset_bytes, std::span<const std::byte> bytes) {
    // virtio 1.2 §5.1.4.1 "Device Requirements: Device configuration layout": mac is the only field a driver
    // may write, and only a legacy one, which has no command for it.
    if (host() == nullptr || has(virtio::F_VERSION_1) || has(virtio_net::F_CTRL_MAC_ADDR)) return;
    bool has_changed = false;
    for (const std::byte byte : bytes) {
        if (offset_bytes >= virtio_net::kMacBytes) break;
        config_[virtio_net::CONFIG_MAC + offset_bytes++] = byte;
        has_changed = true;
    }
    if (has_changed) host()->config_changed();
}

void Net::start(u64 features, DeviceHost& host) {
    const bool has_long_header = (features & (virtio::F_VERSION_1 | virtio_net::F_MRG_RXBUF)) != 0;
    active_ = {
        .features = features,
        .guest_offloads = features & virtio_net::kGuestOffloads,
        .header_bytes = has_long_header ? virtio_net::kHeaderBytes : virtio_net::kHeaderBytesShort,
    };
    host_.store(&host, std::memory_order_release);
    is_configured_ = false;
    is_refused_ = false;
    static_cast<void>(configure_start());  // else the first queue to work does it
    if (show_link()) host.config_changed();
}

std::optional<u64> Net::configure_start() {
    // A driver that only resets costs the host as much as one that sends commands.
    if (const auto deadline_ns = commands_limit_.take(1, options_.now_ns())) return deadline_ns;
    is_configured_ = true;
    static_cast<void>(configure(active_));
    return std::nullopt;
}

void Net::give_back() {
    for (u16 pair = 0; pair < pairs_; ++pair) windows_[pair].give_back(queue(static_cast<u16>(2 * pair)));
}

void Net::stop() {
    host_.store(nullptr, std::memory_order_release);
    for (ReceiveWindow& window : windows_) window.clear();
    active_ = {};
    show_mac(std::as_bytes(std::span(options_.mac)));
}

Progress Net::process(u16 queue, u32 budget) {
    if (host() == nullptr || active_.has_failed || !this->queue(queue).is_running()) return Progress::Waiting;
    if (!is_configured_) {
        if (const auto deadline_ns = configure_start()) {
            host()->run_at(queue, *deadline_ns);
            return Progress::Waiting;
        }
    }
    if (queue == control_queue()) return has(virtio_net::F_CTRL_VQ) ? control(budget) : Progress::Waiting;
    const auto pair = static_cast<u16>(queue / 2);
    // virtio 1.2 §5.1.6.5.5 "Device operation in multiqueue mode": queues beyond those in use are left alone.
    if (pair >= active_.pairs_in_use) return Progress::Waiting;
    return queue % 2 == 0 ? receive(pair, budget) : send(pair, budget);
}

bool Net::configure(const Active& wanted) {
    const u64 features = (wanted.features & ~virtio_net::kGuestOffloads) | wanted.guest_offloads;
    if (backend_.configure(features, wanted.header_bytes, wanted.pairs_in_use)) {
        active_ = wanted;
        return true;
    }
    is_refused_ = true;
    if (show_link()) host()->config_changed();
    return false;
}

bool Net::show_link() {
    const bool is_up = is_backend_up_.load(std::memory_order_acquire) && !is_refused_;
    const u16 status = is_up ? virtio_net::S_LINK_UP : u16{0};
    u16 shown = 0;
    std::memcpy(&shown, config_.data() + virtio_net::CONFIG_STATUS, sizeof(shown));
    put_u16(config_, virtio_net::CONFIG_STATUS, status);
    return shown != status;
}

bool Net::is_link_shown_up() const {
    u16 shown = 0;
    std::memcpy(&shown, config_.data() + virtio_net::CONFIG_STATUS, sizeof(shown));
    return shown == virtio_net::S_LINK_UP;
}

Net::State Net::save() {
    const u64 now_ns = options_.now_ns();
    State state{.guest_offloads = active_.guest_offloads,
                .pairs_in_use = active_.pairs_in_use,
                .has_failed = active_.has_failed,
                .is_link_shown_up = is_link_shown_up(),
                .mac = {},
                .receive_bytes_level = receive_limits_.bytes.level(now_ns),
                .receive_packets_level = receive_limits_.packets.level(now_ns),
                .send_bytes_level = send_limits_.bytes.level(now_ns),
                .send_packets_level = send_limits_.packets.level(now_ns),
                .commands_level = commands_limit_.level(now_ns)};
    std::memcpy(state.mac.data(), config_.data() + virtio_net::CONFIG_MAC, state.mac.size());
    return state;
}

bool Net::restore(const State& state) {
    if ((state.guest_offloads & ~(active_.features & virtio_net::kGuestOffloads)) != 0) return false;
    if (state.pairs_in_use < 1 || state.pairs_in_use > pairs_) return false;
    if (state.pairs_in_use > 1 && !has(virtio_net::F_MQ)) return false;
    if (state.has_failed && host() == nullptr) return false;
    // start() has told the backend what was negotiated.
    const bool is_news =
        state.guest_offloads != active_.guest_offloads || state.pairs_in_use != active_.pairs_in_use;
    active_.guest_offloads = state.guest_offloads;
    active_.pairs_in_use = state.pairs_in_use;
    active_.has_failed = state.has_failed;
    show_mac(state.mac);
    const u64 now_ns = options_.now_ns();
    receive_limits_.bytes.set_level(state.receive_bytes_level, now_ns);
    receive_limits_.packets.set_level(state.receive_packets_level, now_ns);
    send_limits_.bytes.set_level(state.send_bytes_level, now_ns);
    send_limits_.packets.set_level(state.send_packets_level, now_ns);
    commands_limit_.set_level(state.commands_level, now_ns);
    // Before the backend is told the rest: it may refuse that, and take the link down.
    put_u16(config_, virtio_net::CONFIG_STATUS, state.is_link_shown_up ? virtio_net::S_LINK_UP : u16{0});
    if (host() == nullptr) return true;
    if (is_news && is_configured_ && !configure(active_)) return true;
    if (show_link()) host()->config_changed();
    return true;
}

void Net::show_mac(std::span<const std::byte, virtio_net::kMacBytes> mac) {
    std::copy(mac.begin(), mac.end(), config_.begin() + virtio_net::CONFIG_MAC);
}

void Net::on_net_readable(u16 pair) {
    DeviceHost* to = host();
    if (to == nullptr) return;
    const Lock lock(to->mutex());
    if (pair < active_.pairs_in_use) run_again(static_cast<u16>(2 * pair));
}

void Net::on_net_writable(u16 pair) {
    DeviceHost* to = host();
    if (to == nullptr) return;
    const Lock lock(to->mutex());
    if (pair < active_.pairs_in_use) run_again(static_cast<u16>(2 * pair + 1));
}

void Net::on_net_link(bool is_up) {
    is_backend_up_.store(is_up, std::memory_order_release);
    DeviceHost* to = host();
    if (to == nullptr) return;  // start() puts it into the configuration
    const Lock lock(to->mutex());
    if (host() == nullptr) return;
    if (show_link()) to->config_changed();
    // Frames that waited for the backend are sent, or dropped.
    for (u16 pair = 0; pair < active_.pairs_in_use; ++pair) {
        run_again(static_cast<u16>(2 * pair));
        run_again(static_cast<u16>(2 * pair + 1));
    }
}

void Net::run_again(u16 queue) {
    // Stopped meanwhile, or the queue was never set up.
    if (host() == nullptr || !this->queue(queue).is_running()) return;
    host()->run_again(queue);
}

Progress Net::fail(std::string_view why) {
    active_.has_failed = true;
    host()->fail(why);
    return Progress::Waiting;
}

Progress Net::end_of(const VirtQueue& ring, PopResult result) {
    return result == PopResult::Broken ? fail(ring.why_broken()) : Progress::Drained;
}

std::optional<u64> Net::passes_at(Limits& limits, u64 frame_bytes) {
    if (!limits.bytes.is_limited() && !limits.packets.is_limited()) return std::nullopt;
    const u64 now_ns = options_.now_ns();
    const std::optional<u64> bytes_at = limits.bytes.ready_at(frame_bytes, now_ns);
    const std::optional<u64> packet_at = limits.packets.ready_at(1, now_ns);
    if (!bytes_at && !packet_at) return std::nullopt;
    return std::max(bytes_at.value_or(0), packet_at.value_or(0));
}

void Net::count_against(Limits& limits, u64 frame_bytes) {
    if (!limits.bytes.is_limited() && !limits.packets.is_limited()) return;
    const u64 now_ns = options_.now_ns();
    limits.bytes.spend(frame_bytes, now_ns);
    limits.packets.spend(1, now_ns);
}

}  // namespace mayfly
