// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/passt.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>

#include <fmt/format.h>

#include "devices/virtio/queue/chain.h"
#include "vmm/network/loopback_guard.h"

namespace mayfly {

namespace {

constexpr std::size_t kPartsMax = 1024;   // UIO_MAXIOV
constexpr std::size_t kPartsInFront = 2;  // the length, and a copy of the frame's head

u32 from_big_endian(u32 value) { return __builtin_bswap32(value); }
u32 to_big_endian(u32 value) { return __builtin_bswap32(value); }

Error refusal(const std::string& path) {
    Error error = Error::os("connect").about(path);
    if (error.os_errno() != ENOENT && error.os_errno() != ECONNREFUSED) return error;
    return std::move(error).hint(fmt::format("start it first: passt --socket {}", path));
}

}  // namespace

Result<std::unique_ptr<Passt>> Passt::connect(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    constexpr std::size_t kPathMax = sizeof(address.sun_path) - 1;
    if (path.empty() || path.size() > kPathMax) {
        return fail(Error::invalid(
            fmt::format("socket path of {} bytes, 1 to {} are allowed", path.size(), kPathMax)));
    }
    path.copy(address.sun_path, kPathMax);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(Error::os("socket"));
    UniqueFd socket = UniqueFd::adopt(fd);
    // SAFETY: the system call takes every kind of address by this type, with its size.
    const auto* const any_address = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(fd, any_address, sizeof(address)) != 0) return fail(refusal(path));
    return std::make_unique<Passt>(std::move(socket), "passt " + path);
}

Passt::Passt(UniqueFd socket, std::string subject)
    : subject_(std::move(subject)),
      socket_(std::move(socket)),
      readiness_(*this, 0),
      unsent_(std::make_unique_for_overwrite<std::byte[]>(kSendBufferBytes)),
      received_(std::make_unique_for_overwrite<std::byte[]>(kReceiveBufferBytes)) {}

Result<void> Passt::attach(Loop& loop) {
    link_.attach(loop);
    return readiness_.attach(loop, socket_);
}

bool Passt::configure(u64 /*features*/, u8 header_bytes, u16 /*pairs_in_use*/) {
    const Lock lock(mutex_);
    header_bytes_ = header_bytes;
    return true;
}

NetStatus Passt::lose(std::string_view why) {
    if (keeper_ == nullptr) {
        link_.lose(subject_, why);
    } else if (link_.take_down()) {
        keeper_->on_passt_lost(why);
    }
    return NetStatus::Down;
}

void Passt::take_link_down() {
    readiness_.detach();
    static_cast<void>(link_.take_down());
}

Result<void> Passt::reconnect(Loop& loop, UniqueFd socket) {
    {
        const Lock lock(mutex_);
        socket_ = std::move(socket);
        // The rest of an unsent frame belongs to the old stream.
        unsent_begin_ = unsent_end_ = 0;
        received_begin_ = received_end_ = 0;
        TRY_VOID(readiness_.attach(loop, socket_));
    }
    link_.restore();
    return {};
}

// --- to the peer ---

Passt::Flush Passt::flush() {
    while (unsent_begin_ < unsent_end_) {
        const ssize_t sent = ::send(socket_.get(), unsent_.get() + unsent_begin_, unsent_end_ - unsent_begin_,
                                    MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            unsent_begin_ += static_cast<u32>(sent);
        } else if (errno == EAGAIN) {
            readiness_.want_writable();
            return Flush::Left;
        } else if (errno != EINTR) {
            static_cast<void>(lose(kPasstClosed));
            return Flush::Lost;
        }
    }
    unsent_begin_ = unsent_end_ = 0;
    return Flush::Empty;
}

/// The rest of a frame whose beginning was sent, or a whole one of too many parts.
NetStatus Passt::keep(std::span<const iovec> parts, u64 size_bytes) {
    // The frame was checked against kFrameBytesMax, so it fits.
    if (!copy_from_parts(parts, 0, {unsent_.get(), size_bytes})) return NetStatus::Dropped;
    unsent_begin_ = 0;
    unsent_end_ = static_cast<u32>(size_bytes);
    return flush() == Flush::Lost ? NetStatus::Down : NetStatus::Done;
}

NetStatus Passt::send_parts(std::span<iovec> parts, u64 size_bytes) {
    if (parts.size() > kPartsMax) return keep(parts, size_bytes);
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    ssize_t sent = -1;
    do {
        sent = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        const u64 left = size_bytes - static_cast<u64>(sent);
        return left == 0 ? NetStatus::Done : keep(drop_front(parts, static_cast<u64>(sent)), left);
    }
    switch (errno) {
        case EAGAIN: readiness_.want_writable(); return NetStatus::Wait;
        case ENOBUFS:
        case ENOMEM: return NetStatus::Dropped;
        default: return lose(kPasstClosed);
    }
}

/// `parts`: kPartsInFront free ones, then the frame behind its header.
NetStatus Passt::send_frame(std::span<iovec> parts, u64 size_bytes) {
    std::span<iovec> payload = drop_front(parts.subspan(kPartsInFront), header_bytes_);
    // A part added before the payload takes one of the free places, or that of a dropped part.
    const auto put_in_front = [&](void* bytes, std::size_t count_bytes) {
        iovec* const first = payload.data() - 1;
        *first = {.iov_base = bytes, .iov_len = count_bytes};
        payload = {first, payload.size() + 1};
    };
    std::array<std::byte, kGuardedHeadBytes> head;
    if (is_guarded_) {
        // The checked copy is what gets sent: the guest may change its memory meanwhile.
        const std::size_t head_bytes = std::min<u64>(head.size(), size_bytes);
        const std::span<std::byte> looked_at = std::span(head).first(head_bytes);
        if (!copy_from_parts(payload, 0, looked_at) || leads_to_loopback(looked_at))
            return NetStatus::Dropped;
        payload = drop_front(payload, head_bytes);
        put_in_front(head.data(), head_bytes);
    }
    u32 length = to_big_endian(static_cast<u32>(size_bytes));
    put_in_front(&length, kLengthBytes);
    return send_parts(payload, kLengthBytes + size_bytes);
}

NetStatus Passt::send(u16 /*pair*/, std::span<const iovec> frame) {
    if (!link_.is_up()) return NetStatus::Down;
    const Lock lock(mutex_);
    switch (flush()) {
        case Flush::Left: return NetStatus::Wait;
        case Flush::Lost: return NetStatus::Down;
        case Flush::Empty: break;
    }
    std::array<iovec, kPartsInFront + kPartsMax> parts;
    if (frame.size() > kPartsMax) return NetStatus::Dropped;
    u64 size_bytes = 0;
    for (std::size_t i = 0; i < frame.size(); ++i) {
        parts[kPartsInFront + i] = frame[i];
        size_bytes += frame[i].iov_len;
    }
    const std::optional<u8> flags = read_from_parts<u8>(frame, virtio_net::HDR_FLAGS);
    const std::optional<u8> gso_type = read_from_parts<u8>(frame, virtio_net::HDR_GSO_TYPE);
    if (!flags || !gso_type || size_bytes < header_bytes_ + kFrameBytesMin) return NetStatus::Dropped;
    size_bytes -= header_bytes_;
    // No offload was offered, and nothing here would do its work.
    const bool is_unfinished =
        (*flags & virtio_net::HDR_F_NEEDS_CSUM) != 0 || *gso_type != virtio_net::HDR_GSO_NONE;
    if (is_unfinished || size_bytes > kFrameBytesMax) return NetStatus::Dropped;

    return send_frame(std::span(parts).first(kPartsInFront + frame.size()), size_bytes);
}

// --- from the peer ---

std::span<const std::byte> Passt::received() const {
    return {received_.get() + received_begin_, received_end_ - received_begin_};
}

NetStatus Passt::read_more() {
    if (received_begin_ > 0) {
        std::memmove(received_.get(), received().data(), received().size());
        received_end_ -= received_begin_;
        received_begin_ = 0;
    }
    // The buffer holds less than one frame, and has room for nearly two.
    const ssize_t count = ::recv(socket_.get(), received_.get() + received_end_,
                                 kReceiveBufferBytes - received_end_, MSG_DONTWAIT);
    if (count == 0) return lose(kPasstClosed);
    if (count > 0) {
        received_end_ += static_cast<u32>(count);
        has_spoken_.store(true, std::memory_order_release);
        return NetStatus::Done;
    }
    if (errno == EINTR) return NetStatus::Done;
    return errno == EAGAIN ? NetStatus::Wait : lose("the connection failed");
}

NetReceived Passt::deliver(std::span<const iovec> into, u32 size_bytes) {
    const std::span<const std::byte> frame = received().subspan(kLengthBytes, size_bytes);
    received_begin_ += kLengthBytes + size_bytes;
    if (size_bytes < kFrameBytesMin) return {NetStatus::Dropped};
    // virtio 1.2 §5.1.6.4.1 "Device Requirements: Processing of Incoming Packets": nothing was offloaded.
    // The device writes num_buffers.
    const std::array<std::byte, virtio_net::kHeaderBytes> header{};
    if (!copy_to_parts(into, header_bytes_, frame)) return {NetStatus::Dropped};
    if (!copy_to_parts(into, 0, std::span(header).first(header_bytes_))) return {NetStatus::Dropped};
    return {NetStatus::Done, u64{header_bytes_} + size_bytes};
}

NetReceived Passt::receive(u16 /*pair*/, std::span<const iovec> into) {
    if (!link_.is_up()) return {NetStatus::Down};
    const Lock lock(mutex_);
    for (;;) {
        if (received().size() >= kLengthBytes) {
            u32 length = 0;
            std::memcpy(&length, received().data(), kLengthBytes);
            length = from_big_endian(length);
            if (length > kFrameBytesMax) {
                return {lose(
                    fmt::format("it sent a frame of {} bytes, the limit is {}", length, kFrameBytesMax))};
            }
            if (received().size() - kLengthBytes >= length) return deliver(into, length);
        }
        const NetStatus status = read_more();
        if (status != NetStatus::Done) return {status};
    }
}

// --- from the loop ---

void Passt::on_readable(u16 index) {
    if (NetClient* const client = link_.client()) client->on_net_readable(index);
}

void Passt::on_writable(u16 index) {
    {
        const Lock lock(mutex_);
        if (flush() != Flush::Empty) return;
    }
    if (NetClient* const client = link_.client()) client->on_net_writable(index);
}

void Passt::on_gone(u16 /*index*/) {
    readiness_.detach();
    static_cast<void>(lose(kPasstClosed));
}

}  // namespace mayfly
