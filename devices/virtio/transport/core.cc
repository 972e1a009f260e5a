// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/transport/core.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "devices/virtio/virtio_spec.h"
#include "vmm/error/verify.h"
#include "vmm/os/clock.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

constexpr u64 kRingFeatures = virtio::F_INDIRECT_DESC | virtio::F_EVENT_IDX;
/// Limits the log: a guest may break its device again and again.
constexpr u8 kFailuresLoggedMax = 8;
constexpr u64 kIdleCheckNs = 10'000'000;

}  // namespace

VirtioCore::VirtioCore(VirtioDevice& device, const GuestMemory& memory, QueueWorker& worker, Kind kind)
    : device_(device), worker_(worker), kind_(kind) {
    for (std::size_t i = 0; i < device.queue_sizes().size(); ++i) queues_.emplace_back(memory);
    const Lock lock(mutex_);
    queue_states_.resize(queues_.size());
    clear();
}

u64 VirtioCore::offered_features() const { return offered_to(state_.is_legacy_driver); }

u64 VirtioCore::offered_to(bool is_legacy_driver) const {
    const u64 common = device_.features() | kRingFeatures;
    if (is_legacy_driver) return (common | virtio::F_ANY_LAYOUT) & 0xffff'ffff;
    return common | virtio::F_VERSION_1 | virtio::F_RING_PACKED;
}

void VirtioCore::set_driver_features(u64 features) {
    if ((state_.status & (virtio::FEATURES_OK | virtio::DRIVER_OK)) != 0 || is_started_) return;
    state_.driver_features = features;
}

bool VirtioCore::has_packed_rings() const {
    return (state_.status & virtio::FEATURES_OK) != 0 &&
           (state_.driver_features & virtio::F_RING_PACKED) != 0;
}

VirtioCore::QueueState* VirtioCore::configurable_queue(u32 queue) {
    if (queue >= queue_count() || (state_.status & virtio::DRIVER_OK) != 0 || is_resetting_) return nullptr;
    // A legacy driver may use some queues while it still sets others up.
    return queues_[queue].is_running() ? nullptr : &queue_states_[queue];
}

bool VirtioCore::write_status(u8 status) {
    if (is_resetting_) return false;
    if (status == 0) return reset();
    // A driver only ever adds bits; NEEDS_RESET is ours. virtio 1.2 §2.1.1 "Driver Requirements".
    const u8 added = static_cast<u8>(status & ~state_.status & ~virtio::DEVICE_NEEDS_RESET);
    state_.status |= added & (virtio::ACKNOWLEDGE | virtio::DRIVER | virtio::FAILED);
    if ((added & virtio::FEATURES_OK) != 0) {
        // virtio 1.2 §2.2.2 "Device Requirements: Feature Bits": a feature that was not offered, or a set
        // that is too small, is not accepted.
        const bool is_subset = (state_.driver_features & ~offered_features()) == 0;
        const bool has_version = (state_.driver_features & virtio::F_VERSION_1) != 0;
        if (is_subset && (has_version || kind_ == Kind::Transitional)) state_.status |= virtio::FEATURES_OK;
    }
    if ((added & virtio::DRIVER_OK) != 0) {
        state_.status |= virtio::DRIVER_OK;
        start();
    }
    return true;
}

void VirtioCore::start() {
    // The device failed before DRIVER_OK, in queues that a legacy driver used early. Nothing starts a second
    // time, and the driver may be told now. virtio 1.2 §2.1.2 "Device Requirements: Device Status Field".
    if (needs_reset()) return transport_->interrupt_config();
    if (state_.is_legacy_driver) {
        state_.driver_features &= offered_features();
    } else if ((state_.status & virtio::FEATURES_OK) == 0) {
        return fail("DRIVER_OK was set before FEATURES_OK");
    }
    if (!start_queues()) return;
    if (!is_started_) {
        is_started_ = was_taken_ = true;
        device_.start(state_.driver_features, *this);
        transport_->registers_changed();  // accepted features may change the configuration
    }
    worker_.on_start(*this);
}

void VirtioCore::start_early(u16 queue) {
    // virtio 1.2 §3.1.2 "Legacy Interface: Device Initialization": "The transitional device MUST support the
    // driver using the device before the step 8", which is DRIVER_OK. Its first doorbell fixes the features.
    const u8 stage = state_.status & (virtio::DRIVER | virtio::DRIVER_OK);
    if (!state_.is_legacy_driver || stage != virtio::DRIVER || needs_reset() || is_resetting_) return;
    if (queue_states_[queue].is_enabled && !queues_[queue].is_running()) start();
}

QueueSetup VirtioCore::setup_of(const QueueState& queue) const {
    const u64 features = state_.driver_features;
    return {.size = queue.size,
            .descriptors = Gpa{queue.descriptors},
            .driver_area = Gpa{queue.driver_area},
            .device_area = Gpa{queue.device_area},
            .is_packed = (features & virtio::F_RING_PACKED) != 0,
            .has_event_idx = (features & virtio::F_EVENT_IDX) != 0,
            .has_indirect = (features & virtio::F_INDIRECT_DESC) != 0};
}

/// Starts the queues that are enabled and do not run yet. When one is refused, the others run on: I/O may be
/// in flight for their chains. They stop together, in clear(), when nothing is in flight.
bool VirtioCore::start_queues() {
    for (u16 i = 0; i < queue_count(); ++i) {
        const QueueState& state = queue_states_[i];
        if (!state.is_enabled || queues_[i].is_running()) continue;
        if (state.size <= queue_size_max(i) && queues_[i].start(setup_of(state))) continue;
        if (!is_started_)
            for (VirtQueue& queue : queues_) queue.stop();
        fail("a queue's size or address is invalid");
        return false;
    }
    return true;
}

bool VirtioCore::reset() {
    if (is_started_) {
        is_resetting_ = true;
        device_.cancel();
        const bool is_idle = wait_until_idle();
        is_resetting_ = false;
        if (!is_idle) return false;
        is_started_ = false;
        device_.stop();
        worker_.on_stop(*this);
    }
    clear();
    return true;
}

bool VirtioCore::wait_until_idle() {
    while (device_.in_flight() != 0) {
        if (worker_.is_ending()) return false;
        idle_.wait_for(mutex_, kIdleCheckNs);
    }
    return true;
}

void VirtioCore::clear() {
    for (VirtQueue& queue : queues_) queue.stop();
    for (u16 i = 0; i < queue_count(); ++i) queue_states_[i] = {.size = queue_size_max(i)};
    // The generation goes on: a driver that read it before must not take new contents for old ones.
    state_ = {.config_generation = state_.config_generation};
}

VirtioCore::State VirtioCore::save() const {
    State state{
        .negotiated = state_, .is_started = is_started_, .failures_logged = failures_logged_, .queues = {}};
    for (u16 i = 0; i < queue_count(); ++i) {
        std::optional<QueuePlace> place;
        if (queues_[i].is_running()) place = queues_[i].place(needs_reset());
        state.queues.push_back({.registers = queue_states_[i], .place = place});
    }
    return state;
}

/// Only states that write_status() and start() let a driver reach.
bool VirtioCore::can_be(const State& state) const {
    constexpr u8 kStatusBits = virtio::ACKNOWLEDGE | virtio::DRIVER | virtio::DRIVER_OK |
                               virtio::FEATURES_OK | virtio::DEVICE_NEEDS_RESET | virtio::FAILED;
    const Negotiated& is = state.negotiated;
    if (state.queues.size() != queue_count() || (is.status & ~kStatusBits) != 0) return false;
    if (is.is_legacy_driver && kind_ != Kind::Transitional) return false;
    const bool is_accepted = (is.status & virtio::FEATURES_OK) != 0;
    if (is_accepted || state.is_started) {
        if ((is.driver_features & ~offered_to(is.is_legacy_driver)) != 0) return false;
        const bool has_version = (is.driver_features & virtio::F_VERSION_1) != 0;
        if (is_accepted && !has_version && kind_ != Kind::Transitional) return false;
    }
    if (state.is_started && !is_accepted && !is.is_legacy_driver) return false;
    for (u16 i = 0; i < queue_count(); ++i) {
        const Queue& queue = state.queues[i];
        if (!queue.place) continue;
        if (!state.is_started || !queue.registers.is_enabled) return false;
        if (queue.registers.size > queue_size_max(i)) return false;
    }
    return true;
}

bool VirtioCore::restore_queues(const State& state) {
    for (u16 i = 0; i < queue_count(); ++i) {
        const Queue& queue = state.queues[i];
        queue_states_[i] = queue.registers;
        if (queue.place && !queues_[i].start_at(setup_of(queue.registers), *queue.place)) return false;
    }
    return true;
}

bool VirtioCore::restore(const State& state) {
    if (!can_be(state)) return false;
    state_ = state.negotiated;
    if (!restore_queues(state)) {
        state_ = {};
        clear();
        return false;
    }
    is_paused_ = true;
    failures_logged_ = state.failures_logged;
    if (state.is_started) {
        // Its configuration has not changed.
        device_.start(state_.driver_features, *this);
        state_.config_generation = state.negotiated.config_generation;
        is_started_ = was_taken_ = true;
        worker_.on_start(*this);
    }
    return true;
}

u64 VirtioCore::read_config(u64 offset_bytes, u8 size_bytes) const {
    const std::span<const std::byte> config = device_.config();
    u64 value = 0;
    if (offset_bytes < config.size())
        std::memcpy(&value, config.data() + offset_bytes,
                    std::min<u64>(size_bytes, config.size() - offset_bytes));
    return value;
}

void VirtioCore::write_config(u32 offset_bytes, std::span<const std::byte> bytes) {
    if (!is_resetting_) device_.write_config(offset_bytes, bytes);
}

void VirtioCore::notify(u32 queue) {
    if (queue >= queue_count()) return;
    start_early(static_cast<u16>(queue));
    if (!is_started_ || is_resetting_) return;
    ++queues_[queue].counts.doorbells_trapped;
    worker_.on_doorbell(*this, static_cast<u16>(queue));
}

Progress VirtioCore::run_queue(u16 queue, u32 budget) {
    if (is_paused_) return Progress::Waiting;
    start_early(queue);  // the doorbell may have come by ioeventfd
    if (!is_started_ || is_resetting_ || needs_reset()) return Progress::Waiting;
    if (!queues_[queue].is_running()) return Progress::Waiting;
    const Progress progress = device_.process(queue, budget);
    publish(queue);
    return queues_[queue].is_broken() ? Progress::Waiting : progress;
}

void VirtioCore::publish(u16 queue) {
    VirtQueue& ring = queues_[queue];
    if (ring.publish()) transport_->interrupt_queue(queue);
    if (ring.is_broken()) fail(ring.why_broken());
}

void VirtioCore::completed(u16 queue) {
    worker_.on_completed(*this, queue);
    if ((is_resetting_ || is_paused_) && device_.in_flight() == 0) idle_.notify_all();
}

void VirtioCore::pause() {
    is_paused_ = true;
    if (is_started_) device_.give_back();
}

bool VirtioCore::await_drained(u64 deadline_ns) {
    while (device_.in_flight() != 0) {
        const u64 now_ns = monotonic_ns();
        if (now_ns >= deadline_ns) return false;
        idle_.wait_for(mutex_, deadline_ns - now_ns);
    }
    // Requests completed in this turn of a loop are published at its end.
    for (u16 queue = 0; queue < queue_count(); ++queue) publish(queue);
    return true;
}

void VirtioCore::resume() {
    is_paused_ = false;
    for (u16 queue = 0; queue < queue_count(); ++queue) worker_.run_again(*this, queue);
}

void VirtioCore::config_changed() {
    ++state_.config_generation;
    transport_->registers_changed();
    if (is_started_) transport_->interrupt_config();
}

void VirtioCore::fail(std::string_view why) {
    if (needs_reset()) return;
    state_.status |= virtio::DEVICE_NEEDS_RESET;
    if (failures_logged_ < kFailuresLoggedMax) {
        ++failures_logged_;
        log::warning(std::string(device_.name()) +
                     ": the guest's driver broke the rules, the device stops until "
                     "it is reset: " +
                     std::string(why));
    }
    transport_->registers_changed();
    // virtio 1.2 §2.1.2 "Device Requirements": the driver is told only after DRIVER_OK.
    if ((state_.status & virtio::DRIVER_OK) != 0) transport_->interrupt_config();
}

}  // namespace mayfly
