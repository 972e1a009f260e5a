// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/tap.h"

#include <array>
#include <cerrno>
#include <net/if.h>

#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <fmt/format.h>

#include "devices/virtio/net/net_spec.h"
#include "vmm/error/verify.h"
#include "vmm/network/tap_open.h"

namespace mayfly {

namespace {

// Of Linux 6.2, absent from older headers.
constexpr unsigned kTunUso4 = 0x20;
constexpr unsigned kTunUso6 = 0x40;
constexpr std::size_t kPartsMax = 1024;  // UIO_MAXIOV

bool set_offloads(const UniqueFd& fd, unsigned offloads) {
    return ::ioctl(fd.get(), TUNSETOFFLOAD, static_cast<unsigned long>(offloads)) == 0;
}

/// The guest's offloads as the kernel's flags.
unsigned offloads_for(u64 features) {
    // The kernel refuses segmentation without checksums; so does a driver, by virtio 1.2 §5.1.3.1 "Feature
    // bit requirements".
    if ((features & virtio_net::F_GUEST_CSUM) == 0) return 0;
    unsigned offloads = TUN_F_CSUM;
    if ((features & virtio_net::F_GUEST_TSO4) != 0) offloads |= TUN_F_TSO4;
    if ((features & virtio_net::F_GUEST_TSO6) != 0) offloads |= TUN_F_TSO6;
    const bool has_segments = (features & (virtio_net::F_GUEST_TSO4 | virtio_net::F_GUEST_TSO6)) != 0;
    if (has_segments && (features & virtio_net::F_GUEST_ECN) != 0) offloads |= TUN_F_TSO_ECN;
    return offloads;
}

}  // namespace

Result<std::unique_ptr<Tap>> Tap::open(const TapOptions& options) {
    if (options.pairs < 1 || options.pairs > kPairsMax) {
        return fail(
            Error::invalid(fmt::format("{} queue pairs, 1 to {} are allowed", options.pairs, kPairsMax)));
    }
    OpenedTap opened = TRY(open_tap(options.name, options.pairs, options.mtu));
    return std::unique_ptr<Tap>(new Tap(std::move(opened.name), std::move(opened.fds)));
}

Tap::Tap(std::string name, std::vector<UniqueFd> fds) : name_(std::move(name)) {
    ReadinessClient& client = *this;
    for (UniqueFd& fd : fds) {
        const auto index = static_cast<u16>(queues_.size());
        queues_.push_back(std::make_unique<Queue>(std::move(fd), client, index));
    }
    const UniqueFd& first = queues_.front()->fd;
    has_udp_segmentation_ = set_offloads(first, TUN_F_CSUM | kTunUso4 | kTunUso6);
    static_cast<void>(set_offloads(first, 0));
}

Result<void> Tap::attach(Loop& loop) {
    link_.attach(loop);
    for (const std::unique_ptr<Queue>& queue : queues_) TRY_VOID(queue->readiness.attach(loop, queue->fd));
    return {};
}

u64 Tap::offload_features() const {
    const u64 host = virtio_net::kHostOffloads & ~(has_udp_segmentation_ ? 0 : virtio_net::F_HOST_USO);
    return host | virtio_net::kGuestOffloads;
}

bool Tap::configure(u64 features, u8 header_bytes, u16 pairs_in_use) {
    VERIFY(pairs_in_use >= 1 && pairs_in_use <= pair_count());
    const UniqueFd& first = queues_.front()->fd;
    // The host does some of this under a lock of all its networks, so unchanged settings are skipped.
    const Configuration wanted{offloads_for(features), header_bytes, pairs_in_use};
    if (wanted == configured_) return true;
    configured_.reset();
    int size = header_bytes;
    int is_little_endian = 1;
    if (::ioctl(first.get(), TUNSETVNETHDRSZ, &size) != 0) return false;
    if (::ioctl(first.get(), TUNSETVNETLE, &is_little_endian) != 0) return false;
    if (!set_offloads(first, offloads_for(features))) return false;
    for (u16 pair = 1; pair < pair_count(); ++pair) {
        if (!use_queue(*queues_[pair], pair < pairs_in_use)) return false;
    }
    configured_ = wanted;
    return true;
}

bool Tap::use_queue(Queue& queue, bool is_in_use) {
    if (queue.is_in_use == is_in_use) return true;
    ifreq request{};
    request.ifr_flags = static_cast<short>(is_in_use ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
    if (::ioctl(queue.fd.get(), TUNSETQUEUE, &request) != 0) return false;
    queue.is_in_use = is_in_use;
    return true;
}

NetStatus Tap::lost_or(int error, NetStatus otherwise) {
    if (error != EBADFD && error != ENODEV) return otherwise;
    link_.lose(name_, "the tap was removed");
    return NetStatus::Down;
}

NetStatus Tap::send(u16 pair, std::span<const iovec> frame) {
    if (!link_.is_up()) return NetStatus::Down;
    Queue& queue = *queues_[pair];
    if (::writev(queue.fd.get(), frame.data(), static_cast<int>(frame.size())) >= 0) return NetStatus::Done;
    if (errno != EAGAIN) return lost_or(errno, NetStatus::Dropped);
    queue.readiness.want_writable();
    return NetStatus::Wait;
}

NetReceived Tap::receive(u16 pair, std::span<const iovec> into) {
    if (!link_.is_up()) return {NetStatus::Down};
    VERIFY(into.size() < kPartsMax);
    // One byte beyond the room: if it is written, the frame was truncated.
    std::array<iovec, kPartsMax> parts;
    std::byte beyond{};
    u64 room_bytes = 0;
    for (std::size_t i = 0; i < into.size(); ++i) {
        parts[i] = into[i];
        room_bytes += into[i].iov_len;
    }
    parts[into.size()] = {.iov_base = &beyond, .iov_len = 1};
    Queue& queue = *queues_[pair];
    const ssize_t size = ::readv(queue.fd.get(), parts.data(), static_cast<int>(into.size() + 1));
    if (size < 0) {
        // Any other error would come again at once: wait for the next event.
        const NetStatus status = lost_or(errno, errno == EINVAL ? NetStatus::Dropped : NetStatus::Wait);
        queue.is_waited_for.store(status == NetStatus::Wait, std::memory_order_release);
        return {status};
    }
    const auto frame_bytes = static_cast<u64>(size);
    return {frame_bytes > room_bytes ? NetStatus::Dropped : NetStatus::Done, frame_bytes};
}

void Tap::on_readable(u16 index) {
    Queue& queue = *queues_[index];
    if (!queue.is_waited_for.exchange(false, std::memory_order_acq_rel)) {
        // The removal of a tap comes as an event like any other.
        pollfd now{.fd = queue.fd.get(), .events = 0, .revents = 0};
        if (::poll(&now, 1, 0) == 1) return on_gone(index);
    }
    if (NetClient* const client = link_.client()) client->on_net_readable(index);
}

void Tap::on_writable(u16 index) {
    if (NetClient* const client = link_.client()) client->on_net_writable(index);
}

void Tap::on_gone(u16 /*index*/) {
    for (const std::unique_ptr<Queue>& queue : queues_) queue->readiness.detach();
    link_.lose(name_, "the tap was removed");
}

}  // namespace mayfly
