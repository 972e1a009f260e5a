// SPDX-License-Identifier: Apache-2.0
// VirtioCore: the life cycle of one virtio device on any transport: negotiation, queues, start, reset.
//
// Transports turn their registers into calls of this class; the machine decides which thread does a queue's
// work. Thread: every function under mutex(), taken by the caller, except where a comment says otherwise.
// Lock order: a bus's lock, then this mutex, then the locks that a device's work needs: its backend's, the
// console output's, that of the I/O thread's maker, those of interrupt delivery. None of these calls back.
// Spec: virtio 1.2 §2.1 "Device Status Field", §2.2 "Feature Bits", §3 "General Initialization And
// Operation".
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "devices/virtio/queue/queue.h"
#include "devices/virtio/virtio_device.h"
#include "devices/virtio/virtio_spec.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

/// A write to this place is a doorbell.
struct DoorbellPlace {
    u64 address = 0;
    bool is_port = false;
    u8 size_bytes = 0;         ///< 0: any
    std::optional<u16> match;  ///< only when this value is written; with a size

    friend bool operator==(const DoorbellPlace&, const DoorbellPlace&) = default;
};
/// A queue's doorbells: two of a transitional device.
using DoorbellPlaces = std::array<std::optional<DoorbellPlace>, 2>;

/// The transport's services for the core. Under mutex().
class TransportClient {
  public:
    TransportClient() = default;
    TransportClient(const TransportClient&) = delete;
    TransportClient& operator=(const TransportClient&) = delete;
    virtual ~TransportClient() = default;

    /// Used buffer notification of one queue. virtio 1.2 §2.3 "Notifications".
    virtual void interrupt_queue(u16 queue) = 0;
    /// Configuration change notification.
    virtual void interrupt_config() = 0;
    /// Status or device configuration changed, and not by a register write: memory that a guest reads without
    /// an exit must follow.
    virtual void registers_changed() = 0;
    /// The addresses of this queue's doorbells now.
    [[nodiscard]] virtual DoorbellPlaces doorbells(u16 queue) const = 0;
};

class VirtioCore;

/// Runs a device's work on some thread. Under mutex().
class QueueWorker {
  public:
    QueueWorker() = default;
    QueueWorker(const QueueWorker&) = delete;
    QueueWorker& operator=(const QueueWorker&) = delete;
    virtual ~QueueWorker() = default;

    /// DRIVER_OK: the queues run.
    virtual void on_start(VirtioCore& core) = 0;
    /// Reset, after the last piece of work.
    virtual void on_stop(VirtioCore& core) = 0;
    /// A doorbell that came back to user space.
    virtual void on_doorbell(VirtioCore& core, u16 queue) = 0;
    /// TransportClient::doorbells() has changed.
    virtual void on_doorbells_moved(VirtioCore& core) = 0;
    /// Chains were pushed outside run_queue(): publish(queue) by the end of this turn.
    virtual void on_completed(VirtioCore& core, u16 queue) = 0;
    virtual void run_again(VirtioCore& core, u16 queue) = 0;
    virtual void run_at(VirtioCore& core, u16 queue, u64 deadline_ns) = 0;
    /// Any thread: the machine is ending, so waiting for I/O is pointless.
    [[nodiscard]] virtual bool is_ending() const = 0;
};

class VirtioCore final : public DeviceHost {
  public:
    enum class Kind : u8 {
        Modern,        ///< VERSION_1 must be negotiated
        Transitional,  ///< a legacy driver works too
    };
    /// One queue as the driver configures it.
    struct QueueState {
        u16 size = 0;
        bool is_enabled = false;
        u64 descriptors = 0;
        u64 driver_area = 0;
        u64 device_area = 0;
    };
    /// The negotiated features.
    struct Negotiated {
        u8 status = 0;
        u32 config_generation = 0;  ///< as wide as MMIO shows it, so that it does not wrap between two reads
        u64 driver_features = 0;
        bool is_legacy_driver = false;  ///< the driver uses the legacy interface
    };
    struct Queue {
        QueueState registers;
        std::optional<QueuePlace> place;  ///< of one that runs
    };
    /// All of the core that a guest can see; device and transport have their own state.
    struct State {
        Negotiated negotiated;
        bool is_started = false;
        u8 failures_logged = 0;  ///< a restored machine does not log them again
        std::vector<Queue> queues;
    };

    /// All outlive the core.
    VirtioCore(VirtioDevice& device, const GuestMemory& memory, QueueWorker& worker, Kind kind);
    /// Before the first register access.
    void set_transport(TransportClient& transport) { transport_ = &transport; }

    [[nodiscard]] VirtioDevice& device() { return device_; }
    [[nodiscard]] const VirtioDevice& device() const { return device_; }
    [[nodiscard]] const TransportClient& transport() const { return *transport_; }
    [[nodiscard]] QueueWorker& worker() { return worker_; }
    [[nodiscard]] const Negotiated& state() const REQUIRES(mutex_) { return state_; }
    [[nodiscard]] u16 queue_count() const { return static_cast<u16>(queues_.size()); }
    /// `queue` < queue_count().
    [[nodiscard]] QueueState& queue_state(u16 queue) REQUIRES(mutex_) { return queue_states_[queue]; }
    [[nodiscard]] u16 queue_size_max(u16 queue) const { return device_.queue_sizes()[queue]; }

    // --- registers ---

    [[nodiscard]] u64 offered_features() const REQUIRES(mutex_);
    /// Ignored once FEATURES_OK is set.
    void set_driver_features(u64 features) REQUIRES(mutex_);
    /// 0 resets: returns when nothing in flight can touch guest memory any more. Releases the mutex while it
    /// waits. \returns false when the machine ends meanwhile or another reset is under way.
    bool write_status(u8 status) REQUIRES(mutex_);
    /// Through the legacy interface: no FEATURES_OK, and features as the legacy registers gave them.
    void set_legacy_driver() REQUIRES(mutex_) { state_.is_legacy_driver = true; }
    /// F_RING_PACKED was negotiated.
    [[nodiscard]] bool has_packed_rings() const REQUIRES(mutex_);
    /// The queue with this number, when it may be set up now: not after DRIVER_OK, nor when it runs already.
    /// Else null.
    [[nodiscard]] QueueState* configurable_queue(u32 queue) REQUIRES(mutex_);
    /// Bytes behind the end read as zero.
    [[nodiscard]] u64 read_config(u64 offset_bytes, u8 size_bytes) const REQUIRES(mutex_);
    void write_config(u32 offset_bytes, std::span<const std::byte> bytes) REQUIRES(mutex_);
    /// Any queue number. Before DRIVER_OK only from a legacy driver.
    void notify(u32 queue) REQUIRES(mutex_);

    /// A register access that came back to user space.
    void count_return() REQUIRES(mutex_) { ++returns_; }
    [[nodiscard]] u64 returns() const REQUIRES(mutex_) { return returns_; }

    // --- work ---

    [[nodiscard]] bool is_running() const REQUIRES(mutex_) { return is_started_; }
    /// Whether a driver ever started the device. For the report on a guest's end; no guest sees it.
    [[nodiscard]] bool was_taken() const REQUIRES(mutex_) { return was_taken_; }
    /// process() and publish(). Waiting when nothing may run.
    Progress run_queue(u16 queue, u32 budget) REQUIRES(mutex_);
    void publish(u16 queue) REQUIRES(mutex_);

    // --- pause. No vCPU runs between pause() and resume(). ---

    /// No chain is taken from any queue from now on.
    void pause() REQUIRES(mutex_);
    /// After pause(): waits until nothing is in flight, and all completed requests are published and their
    /// interrupts sent. Releases the mutex while it waits. \returns false at `deadline_ns` of the monotonic
    /// clock.
    [[nodiscard]] bool await_drained(u64 deadline_ns) REQUIRES(mutex_);
    /// Looks at every queue, and asks for doorbells again.
    void resume() REQUIRES(mutex_);
    /// Drained.
    [[nodiscard]] State save() const REQUIRES(mutex_);
    /// For a new core over the same kind of device. Starts the device where it was, paused until resume().
    /// False: no driver can have brought a core to this state; then the core is as new.
    [[nodiscard]] bool restore(const State& state) REQUIRES(mutex_);

    // --- DeviceHost ---

    [[nodiscard]] Mutex& mutex() override RETURN_CAPABILITY(mutex_) { return mutex_; }
    [[nodiscard]] VirtQueue& queue(u16 index) override REQUIRES(mutex_) { return queues_[index]; }
    void completed(u16 queue) override REQUIRES(mutex_);
    void run_again(u16 queue) override REQUIRES(mutex_) { worker_.run_again(*this, queue); }
    void run_at(u16 queue, u64 deadline_ns) override REQUIRES(mutex_) {
        worker_.run_at(*this, queue, deadline_ns);
    }
    void config_changed() override REQUIRES(mutex_);
    void fail(std::string_view why) override REQUIRES(mutex_);

  private:
    [[nodiscard]] bool needs_reset() const REQUIRES(mutex_) {
        return (state_.status & virtio::DEVICE_NEEDS_RESET) != 0;
    }
    void start() REQUIRES(mutex_);
    void start_early(u16 queue) REQUIRES(mutex_);
    bool start_queues() REQUIRES(mutex_);
    [[nodiscard]] QueueSetup setup_of(const QueueState& queue) const REQUIRES(mutex_);
    [[nodiscard]] u64 offered_to(bool is_legacy_driver) const;
    [[nodiscard]] bool can_be(const State& state) const REQUIRES(mutex_);
    [[nodiscard]] bool restore_queues(const State& state) REQUIRES(mutex_);
    bool reset() REQUIRES(mutex_);
    bool wait_until_idle() REQUIRES(mutex_);
    void clear() REQUIRES(mutex_);

    VirtioDevice& device_;
    QueueWorker& worker_;
    Kind kind_;
    TransportClient* transport_ = nullptr;

    Mutex mutex_;
    Condition idle_;  // in_flight() reached 0 during a reset or a pause
    Negotiated state_ GUARDED_BY(mutex_);
    std::deque<VirtQueue> queues_;  // as many as the device has, never resized; each is used under mutex_
    std::deque<QueueState> queue_states_ GUARDED_BY(mutex_);
    bool is_started_ GUARDED_BY(mutex_) = false;
    bool was_taken_ GUARDED_BY(mutex_) = false;
    bool is_resetting_ GUARDED_BY(mutex_) = false;
    bool is_paused_ GUARDED_BY(mutex_) = false;
    u8 failures_logged_ GUARDED_BY(mutex_) = 0;
    u64 returns_ GUARDED_BY(mutex_) = 0;
};

}  // namespace mayfly
