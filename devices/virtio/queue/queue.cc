// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/queue/queue.h"

#include "devices/virtio/queue/queue_spec.h"
#include "vmm/error/verify.h"

namespace mayfly {

VirtQueue::VirtQueue(const GuestMemory& memory) : memory_(memory), split_(memory), packed_(memory) {}

bool VirtQueue::start(const QueueSetup& setup) {
    stop();
    if (setup.size == 0 || setup.size > kSizeMax) return false;
    if (!(setup.is_packed ? packed_.start(setup) : split_.start(setup))) return false;
    size_ = setup.size;
    is_packed_ = setup.is_packed;
    update_hint();
    hint_at_.store(is_packed_ ? setup.descriptors.value | 1 : setup.driver_area.value + virtio::AVAIL_IDX,
                   std::memory_order_relaxed);
    return true;
}

void VirtQueue::stop() {
    hint_at_.store(kNoHint, std::memory_order_relaxed);
    split_.stop();
    packed_.stop();
    size_ = 0;
}

QueuePlace VirtQueue::place(bool has_failed) const {
    // no guest: asked in a pause, which waits for what is in flight and publishes what was pushed.
    VERIFY(has_failed || is_broken() ||
           (is_packed_ ? packed_.state().in_flight == 0 && !packed_.is_publish_due()
                       : split_.state().in_flight == 0 && !split_.is_publish_due()));
    if (is_packed_)
        return {.position = packed_.state().next_avail.bits(), .why_broken = packed_.state().why_broken};
    return {.position = split_.state().next_avail, .why_broken = split_.state().why_broken};
}

bool VirtQueue::start_at(const QueueSetup& setup, const QueuePlace& place) {
    if (!start(setup)) return false;
    if (is_packed_) {
        if (!packed_.stand_at(place)) {
            stop();
            return false;
        }
    } else {
        split_.stand_at(place);
    }
    if (is_broken()) hint_at_.store(kNoHint, std::memory_order_relaxed);
    update_hint();
    return true;
}

bool VirtQueue::is_running() const { return size_ != 0; }

bool VirtQueue::is_broken() const {
    return (is_packed_ ? packed_.state().why_broken : split_.state().why_broken) != WhyBroken::No;
}

std::string_view VirtQueue::why_broken() const {
    return to_string(is_packed_ ? packed_.state().why_broken : split_.state().why_broken);
}

u16 VirtQueue::size() const { return size_; }

void VirtQueue::update_hint() {
    hint_position_.store(is_packed_ ? packed_.state().next_avail.bits() : split_.state().next_avail,
                         std::memory_order_relaxed);
}

bool VirtQueue::has_work() const {
    const u64 at = hint_at_.load(std::memory_order_relaxed);
    if (at == kNoHint) return false;
    const u16 position = hint_position_.load(std::memory_order_relaxed);
    if ((at & 1) == 0) {
        const std::optional<u16> idx = memory_.load_acquire<u16>(Gpa{at});
        return idx && *idx != position;
    }
    const auto next = RingPosition::of_bits(position);
    const Gpa flags_at{(at & ~u64{1}) + virtio::DESC_BYTES * next.index + virtio::DESC_FLAGS};
    const std::optional<u16> flags = memory_.load_acquire<u16>(flags_at);
    return flags && next.is_available(*flags);
}

Popped VirtQueue::pop(std::span<iovec> storage) {
    // One object on every path, so that the caller's copy is elided.
    Popped popped = size_ == 0 ? Popped{} : is_packed_ ? packed_.pop(storage) : split_.pop(storage);
    if (popped.result == PopResult::Chain) update_hint();
    if (popped.result == PopResult::Broken) hint_at_.store(kNoHint, std::memory_order_relaxed);
    return popped;
}

void VirtQueue::unpop(ChainToken chain) {
    if (size_ == 0 || is_broken()) return;
    if (is_packed_)
        packed_.unpop(chain);
    else
        split_.unpop();
    update_hint();
}

void VirtQueue::push(ChainToken chain, u32 written_bytes) {
    if (size_ == 0 || is_broken()) return;
    if (is_packed_)
        packed_.push(chain, written_bytes);
    else
        split_.push(chain, written_bytes);
    ++counts.requests;
}

bool VirtQueue::publish() {
    if (size_ == 0 || is_broken()) return false;
    if (!(is_packed_ ? packed_.is_publish_due() : split_.is_publish_due())) return false;
    const bool is_wanted = is_packed_ ? packed_.publish() : split_.publish();
    if (!is_wanted) ++counts.interrupts_suppressed;
    return is_wanted;
}

void VirtQueue::suppress_doorbells() {
    if (size_ == 0 || is_broken()) return;
    if (is_packed_)
        packed_.suppress_doorbells();
    else
        split_.suppress_doorbells();
}

bool VirtQueue::rearm_doorbells() {
    if (size_ == 0 || is_broken()) return false;
    return is_packed_ ? packed_.rearm_doorbells() : split_.rearm_doorbells();
}

}  // namespace mayfly
