// SPDX-License-Identifier: Apache-2.0
// Streams: init's side of the channel to the monitor (firmware/init/channel.h).
//
// The memory is init's own; it tells the monitor the page frames. They must not move: an extra reference,
// which a pipe holds forever, keeps Linux from migrating them; and no child shares them, or a write here
// would go into a copy.
// Thread: init's only one. Spec: Linux Documentation/admin-guide/mm/pagemap.rst.
#pragma once

#include "firmware/init/channel.h"
#include "firmware/init/wake.h"

namespace mayfly::init {

class Streams {
  public:
    /// 0, or a negated errno. Once.
    long open(bool has_files);

    struct Filled {
        u32 bytes;    ///< moved
        long result;  ///< of the last read(2), or kMore: the ring is full, or the limit reached
    };
    static constexpr long kMore = 1;
    /// Moves bytes from `file` to the ring, as many as it has and as fit, up to `bytes_max`.
    Filled fill(channel::RingName ring, int file, u32 bytes_max);
    /// The same from memory. \returns how many bytes fitted.
    u32 put(channel::RingName ring, const void* from, u32 bytes);
    /// Moves the ring's bytes to `file`. \returns the last result of write(2), or 0: the ring is empty.
    long drain(int file);
    [[nodiscard]] bool has_room(channel::RingName ring) const;
    [[nodiscard]] bool has_input() const;
    /// The monitor puts no more, and all was drained.
    [[nodiscard]] bool is_input_over() const;
    /// Whether the monitor has stopped reading that output.
    [[nodiscard]] bool is_left(channel::RingName ring) const;
    /// Tells the monitor that this ring is finished.
    void end_output(channel::RingName ring);
    /// Tells the monitor that the input is not read any more.
    void leave_input();

    /// The next message, if any.
    [[nodiscard]] bool take_message(channel::Message& message);

    /// Sets the wishes. \returns whether one of them is fulfilled already.
    bool wish(u32 wishes);
    [[nodiscard]] Wake& wake() { return wake_; }

  private:
    long make_memory();
    long pin() const;
    long note_frames();
    [[nodiscard]] u8* ring_memory(channel::RingName ring) const;
    /// The place and number of the next bytes, up to `bytes_max`.
    struct Room {
        u8* at;
        u32 bytes;
    };
    [[nodiscard]] Room room(channel::RingName ring, u32 bytes_max) const;
    void publish(channel::RingName ring, u32 bytes);
    void grant(u32 wish);

    channel::Header* header_ = nullptr;
    u8* rings_ = nullptr;
    u64 header_frame_ = 0;
    u32 frames_ = channel::kFramesWithoutFiles;
    u32 counts_[channel::kRings] = {};  // ours
    u32 messages_taken_ = 0;
    Wake wake_;
};

}  // namespace mayfly::init
