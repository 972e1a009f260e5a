// SPDX-License-Identifier: Apache-2.0
// Passt: frames over a UNIX stream socket, as passt and QEMU's "-netdev stream" speak: each frame after its
// length, four bytes, big-endian. For users without rights to a tap.
//
// No offloads: the virtio-net header is cut off and put back as zeroes. The unsent rest of a frame is kept,
// one frame at most; then the device waits. A peer that dies or breaks the framing takes the link down: for
// good, unless a PasstKeeper brings another peer. Lives until the loop is destroyed. Thread: as NetBackend
// says, unless a comment says otherwise; locked inside, because the loop flushes without the device's lock.
// Lock order: the device's lock, then this. Protocol: man passt(1), man qemu(1) "-netdev stream"; passt takes
// frames of 14 to 65535 bytes.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "devices/virtio/net/net_backend.h"
#include "devices/virtio/net/net_spec.h"
#include "vmm/error/result.h"
#include "vmm/loop/backend.h"
#include "vmm/network/link.h"
#include "vmm/network/readiness.h"
#include "vmm/os/unique_fd.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

/// Provides passt with a peer.
class PasstKeeper {
  public:
    PasstKeeper() = default;
    PasstKeeper(const PasstKeeper&) = delete;
    PasstKeeper& operator=(const PasstKeeper&) = delete;
    virtual ~PasstKeeper() = default;

    /// The link is down. Any thread, under locks: must be brief. `why` is kPasstClosed when the peer went.
    virtual void on_passt_lost(std::string_view why) = 0;
};

constexpr std::string_view kPasstClosed = "it closed the connection";

class Passt final : public NetBackend, public Backend, private ReadinessClient {
  public:
    static constexpr u32 kFrameBytesMin = 14;
    static constexpr u32 kFrameBytesMax = 65535;

    /// Errors: Invalid for a path that is too long, Os when no process listens there.
    static Result<std::unique_ptr<Passt>> connect(const std::string& path);
    /// `socket`: a connected stream socket, non-blocking. `subject`: its name in messages.
    Passt(UniqueFd socket, std::string subject);

    /// Before any frame. The keeper outlives this.
    void set_keeper(PasstKeeper& keeper) { keeper_ = &keeper; }
    /// Before any frame: from now on frames to this host's loopback are dropped.
    void guard_loopback() { is_guarded_ = true; }

    Result<void> attach(Loop& loop) override;

    // For the keeper, on the loop's thread, after attach(). Takes the link down if it is up, and drops this
    // peer.
    void take_link_down();
    /// After take_link_down(), when reconnect() may be called.
    [[nodiscard]] bool has_settled() const { return readiness_.has_settled(); }
    /// Another peer, for which the stream begins anew, and the link is up. Errors: the loop's.
    Result<void> reconnect(Loop& loop, UniqueFd socket);
    /// Whether any peer has ever sent anything.
    [[nodiscard]] bool has_spoken() const { return has_spoken_.load(std::memory_order_acquire); }

    [[nodiscard]] u16 pair_count() const override { return 1; }
    [[nodiscard]] u64 offload_features() const override { return 0; }
    [[nodiscard]] bool configure(u64 features, u8 header_bytes, u16 pairs_in_use) override;
    [[nodiscard]] NetStatus send(u16 pair, std::span<const iovec> frame) override;
    [[nodiscard]] NetReceived receive(u16 pair, std::span<const iovec> into) override;
    void set_client(NetClient* client) override { link_.set_client(client); }

  private:
    static constexpr u32 kLengthBytes = 4;
    static constexpr u32 kSendBufferBytes = kLengthBytes + kFrameBytesMax;
    static constexpr u32 kReceiveBufferBytes = 96 << 10;

    enum class Flush : u8 { Empty, Left, Lost };
    [[nodiscard]] Flush flush() REQUIRES(mutex_);
    [[nodiscard]] NetStatus send_frame(std::span<iovec> parts, u64 size_bytes) REQUIRES(mutex_);
    [[nodiscard]] NetStatus send_parts(std::span<iovec> parts, u64 size_bytes) REQUIRES(mutex_);
    [[nodiscard]] NetStatus keep(std::span<const iovec> parts, u64 size_bytes) REQUIRES(mutex_);
    [[nodiscard]] NetStatus lose(std::string_view why);
    /// Wait and Down as in NetStatus; Done: more bytes came.
    [[nodiscard]] NetStatus read_more() REQUIRES(mutex_);
    [[nodiscard]] NetReceived deliver(std::span<const iovec> into, u32 size_bytes) REQUIRES(mutex_);
    [[nodiscard]] std::span<const std::byte> received() const REQUIRES(mutex_);

    void on_readable(u16 index) override;
    void on_writable(u16 index) override;
    void on_gone(u16 index) override;

    std::string subject_;
    UniqueFd socket_;  ///< read under the mutex or on the loop's thread, replaced under the mutex on the
                       ///< loop's thread
    Link link_;
    Readiness readiness_;
    PasstKeeper* keeper_ = nullptr;
    bool is_guarded_ = false;
    std::atomic<bool> has_spoken_ = false;

    Mutex mutex_;
    u8 header_bytes_ GUARDED_BY(mutex_) = virtio_net::kHeaderBytes;
    std::unique_ptr<std::byte[]> unsent_ GUARDED_BY(mutex_);
    u32 unsent_begin_ GUARDED_BY(mutex_) = 0;
    u32 unsent_end_ GUARDED_BY(mutex_) = 0;
    std::unique_ptr<std::byte[]> received_ GUARDED_BY(mutex_);
    u32 received_begin_ GUARDED_BY(mutex_) = 0;
    u32 received_end_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mayfly
