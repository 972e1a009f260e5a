// SPDX-License-Identifier: Apache-2.0
// VirtioDevice: the interface of every virtio device model, as transports use it.
//
// A device knows queues and its backend; not transports, interrupts, threads or KVM. Thread: every call comes
// under the device's lock (DeviceHost::mutex()), from a vCPU thread or the I/O thread. Must not block for
// longer than its backend does; allocates nothing after start().
// Spec: virtio 1.2 §2 "Basic Facilities of a Virtio Device", §5 "Device Types".
#pragma once

#include <span>
#include <string_view>

#include "devices/virtio/queue/queue.h"
#include "vmm/error/ints.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

/// The services that a device may ask of its transport.
class DeviceHost {
  public:
    DeviceHost() = default;
    DeviceHost(const DeviceHost&) = delete;
    DeviceHost& operator=(const DeviceHost&) = delete;
    virtual ~DeviceHost() = default;

    /// The device's lock: for backends' completions, which come without it. A completion takes it, pushes
    /// its chain and calls completed().
    [[nodiscard]] virtual Mutex& mutex() = 0;
    [[nodiscard]] virtual VirtQueue& queue(u16 index) = 0;

    /// Under the lock, from a completion: chains were pushed to this queue outside process(). They are
    /// published together with others of the same turn.
    virtual void completed(u16 queue) = 0;
    /// Under the lock: have process(queue) called soon, by the thread that does this device's work.
    virtual void run_again(u16 queue) = 0;
    /// The same at a time of the monotonic clock, for a rate limit. The latest call counts.
    virtual void run_at(u16 queue, u64 deadline_ns) = 0;
    /// config() changed: notifies the driver. Under the lock.
    virtual void config_changed() = 0;
    /// The driver broke the rules and made the device unusable; `why` is logged once.
    virtual void fail(std::string_view why) = 0;
};

/// Why process() returned.
enum class Progress : u8 {
    Drained,  ///< nothing is available: look again when the driver makes chains available
    More,     ///< the budget is spent: call again soon
    /// Chains are left, but the device waits for something else (a frame, room, a limit's time) and calls
    /// run_again() or run_at() itself: doorbells are useless until then.
    Waiting,
};

class VirtioDevice {
  public:
    VirtioDevice() = default;
    VirtioDevice(const VirtioDevice&) = delete;
    VirtioDevice& operator=(const VirtioDevice&) = delete;
    virtual ~VirtioDevice() = default;

    /// "disk0": unique in a machine, for messages and statistics.
    [[nodiscard]] virtual std::string_view name() const = 0;
    [[nodiscard]] virtual u16 device_id() const = 0;
    /// The feature bits of its type. The reserved ones, of rings and transports, are the core's.
    [[nodiscard]] virtual u64 features() const = 0;
    /// The largest size of each queue, powers of two.
    [[nodiscard]] virtual std::span<const u16> queue_sizes() const = 0;
    /// Whether process() needs the I/O thread from the start, without a doorbell (a receive queue).
    [[nodiscard]] virtual bool needs_io_thread() const = 0;

    /// The device configuration as it is now.
    [[nodiscard]] virtual std::span<const std::byte> config() const = 0;
    /// The driver wrote to the configuration; read-only fields ignore the write. The write may cross the end.
    virtual void write_config(u32 offset_bytes, std::span<const std::byte> bytes) = 0;

    /// DRIVER_OK with these features. Queues that the driver enabled run from now on. The host outlives
    /// every call up to the stop() that follows.
    virtual void start(u64 features, DeviceHost& host) = 0;
    /// Works on a queue until it is empty, `budget` chains are done, or the backend or a limit makes it wait.
    /// Pushes; the caller publishes.
    [[nodiscard]] virtual Progress process(u16 queue, u32 budget) = 0;
    /// Chains whose memory a backend may still touch.
    [[nodiscard]] virtual u32 in_flight() const = 0;
    /// Asks backends to cancel requests in flight; completions still come. Returns at once.
    virtual void cancel() = 0;
    /// A pause, under the lock: gives back to the rings, newest first, the chains that were popped and that
    /// no backend works on. Requests in flight go on. process() is not called again before resume.
    virtual void give_back() {}
    /// Reset: nothing is in flight. Back to the state before start().
    virtual void stop() = 0;
};

}  // namespace mayfly
