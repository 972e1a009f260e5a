// SPDX-License-Identifier: Apache-2.0
// ProgramChannel: the monitor's side of the channel to our init: three rings and a few messages, in memory
// that is the guest's.
//
// Nothing that the guest writes there is trusted: the monitor keeps its own counts, frames are checked and
// copied once, and an impossible count makes the channel broken. The caller is inside a GuestGate::Visit, or
// a vCPU.
// Thread: any; internally locked. Calls the waker with its lock held.
// Spec: firmware/init/channel.h.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "firmware/init/channel.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/snapshot/machine_state.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

/// The machine's error for ProgramChannel::Outcome::Broken.
inline constexpr const char* kBrokenChannel =
    "the guest has broken the channel to its init: an impossible count";

class ProgramChannel {
  public:
    /// `wake` has init look for work. `memory` outlives the channel.
    ProgramChannel(GuestMemory memory, std::function<void()> wake)
        : memory_(memory), wake_(std::move(wake)) {}

    /// Once. False: that memory is not a channel of our init's.
    [[nodiscard]] bool open(u32 header_frame);

    enum class Outcome : u8 {
        Done,
        Nothing,  ///< nothing to do; the doorbell rings when that changes
        Over,     ///< nothing to do ever again
        Broken,   ///< an impossible count
    };
    struct Moved {
        Outcome outcome = Outcome::Nothing;
        u32 bytes = 0;
    };
    /// Takes bytes that init has put, as many as fit.
    [[nodiscard]] Moved take(channel::RingName from, std::span<std::byte> into);
    /// Tells init that the monitor reads this ring no more.
    void leave(channel::RingName from);
    /// Puts input, as much as fits; Nothing: the rest did not fit, and the doorbell rings. Over: the program
    /// reads no more. Init is told when the ring is full, or by tell_of_input().
    [[nodiscard]] Moved put(std::span<const std::byte> bytes);
    /// How much put() would take.
    [[nodiscard]] Moved room();
    void tell_of_input();
    void end_input();
    /// False: init has not taken earlier messages yet; it is woken.
    [[nodiscard]] bool send(channel::Message message);

    /// While no vCPU runs and nobody visits.
    [[nodiscard]] ProgramChannelState save() const;
    /// Before any vCPU runs. False: no guest can have left it so.
    [[nodiscard]] bool restore(const ProgramChannelState& state);

  private:
    [[nodiscard]] Moved put_some(std::span<const std::byte> bytes);
    [[nodiscard]] std::optional<GuestWindow> header_at(u32 frame) const;
    [[nodiscard]] bool are_frames_ram() const REQUIRES(mutex_);
    /// How many bytes are in a ring, by our count and the guest's.
    [[nodiscard]] std::optional<u32> filled(channel::RingName ring) const REQUIRES(mutex_);
    [[nodiscard]] bool has_output_ended(channel::RingName ring) const REQUIRES(mutex_);
    void wish(u32 bit) REQUIRES(mutex_);
    /// Our step may have brought what init waits for.
    void grant(u32 bit) REQUIRES(mutex_);
    /// Calls `copy(Gpa, offset, bytes)` for each piece of a ring that is contiguous for the guest.
    template <typename Copy>
    void for_pieces(channel::RingName ring, u32 bytes, Copy copy) const REQUIRES(mutex_);

    const GuestMemory memory_;
    const std::function<void()> wake_;
    mutable Mutex mutex_;
    ProgramChannelState state_ GUARDED_BY(mutex_);
    GuestWindow header_ GUARDED_BY(mutex_);
};

}  // namespace mayfly
