// SPDX-License-Identifier: Apache-2.0
// Streams: init's side of the channel to the monitor (firmware/init/channel.h).
//
// The memory is init's own, of which it tells the monitor the frames. They must not move: an extra reference,
// which a pipe holds for ever, keeps Linux from migrating them; and no child shares them, or a write here
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
    /// Moves what `file` has to the ring, as much as there is and fits, up to `bytes_max`.
    Filled fill(channel::RingName ring, int file, u32 bytes_max);
    /// The same from memory. \returns how much of it has fitted.
    u32 put(channel::RingName ring, const void* from, u32 bytes);
    /// Moves what the ring has to `file`. \returns what write(2) did last, or 0: it is empty.
    long drain(int file);
    [[nodiscard]] bool has_room(channel::RingName ring) const;
    [[nodiscard]] bool has_input() const;
    /// The monitor puts no more, and all was drained.
    [[nodiscard]] bool is_input_over() const;
    /// Nobody reads that output any more.
    [[nodiscard]] bool is_left(channel::RingName ring) const;
    /// Nothing more comes from us.
    void end_output(channel::RingName ring);
    /// Nobody reads the input here.
    void leave_input();

    /// The next message, if there is one.
    [[nodiscard]] bool take_message(channel::Message& message);

    /// What is to wake us. \returns whether some of it has come true already.
    bool wish(u32 wishes);
    [[nodiscard]] Wake& wake() { return wake_; }

  private:
    long make_memory();
    long pin() const;
    long note_frames();
    [[nodiscard]] u8* ring_memory(channel::RingName ring) const;
    /// Where the next bytes go, and how many of them: up to `bytes_max`.
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
