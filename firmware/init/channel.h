// SPDX-License-Identifier: Apache-2.0
// The channel: guest memory through which our init and the monitor pass the program's input and output.
//
// Init fills a page, the header, with the numbers of the frames that its rings lie in, and tells the monitor
// its address by one `out`. A ring has one producer and one consumer, which count bytes from 0 and never wrap
// back: the difference is the ring's fill. A side with nothing to do sets bits in its word of wishes and
// looks once more before it sleeps; the other side, after each step, checks the wishes: a byte at the serial
// port wakes init, the doorbell port wakes the monitor. Shared by both sides: no header here may need a
// library. Thread: any.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::channel {

// --- ports, from the first that the job names ---

/// 32 bits: the header's frame; also piece by piece, lowest first, as Linux's /dev/port writes them.
inline constexpr u16 kOpenPort = 0;
/// A byte, the fulfilled wishes of the monitor; it wakes the monitor.
inline constexpr u16 kDoorbellPort = 4;
/// A byte of init's own messages, for mayfly's stderr.
inline constexpr u16 kTextPort = 5;
inline constexpr u16 kPortsBytes = 6;

// --- the header ---

inline constexpr u32 kFrameBytes = 4096;
inline constexpr u32 kMagic = 0x4346'4d01;

/// By number. The monitor produces Input, init the others. Files exists only where files are to be copied out
/// (firmware/init/file_records.h); else its frames are 0.
enum class RingName : u8 { Input, Output, Error, Files };
inline constexpr u32 kRings = 4;
/// Powers of two.
constexpr u32 ring_frames(RingName name) { return name == RingName::Error ? 16 : 64; }
constexpr u32 ring_bytes(RingName name) { return ring_frames(name) * kFrameBytes; }
/// In the list of all: one ring after the other.
constexpr u32 first_frame_of(RingName name) {
    switch (name) {
        case RingName::Input: return 0;
        case RingName::Output: return ring_frames(RingName::Input);
        case RingName::Error: return first_frame_of(RingName::Output) + ring_frames(RingName::Output);
        case RingName::Files: break;
    }
    return first_frame_of(RingName::Error) + ring_frames(RingName::Error);
}
inline constexpr u32 kFramesWithoutFiles = first_frame_of(RingName::Files);
inline constexpr u32 kFrames = kFramesWithoutFiles + ring_frames(RingName::Files);

/// Wishes: a bit for each ring to be woken for, and one for messages.
constexpr u32 wish_of(RingName name) { return 1U << static_cast<u32>(name); }
inline constexpr u32 kWishMessages = 1U << kRings;
/// Not a wish: the doorbell's value once the program has been executed, where the job asks for that.
inline constexpr u32 kProgramRuns = 1U << 7;

/// Each side's words are on lines of their own.
struct alignas(64) RingEnd {
    u32 count;    ///< bytes put, or taken
    u32 is_over;  ///< no more bytes are put, or taken
};
struct Ring {
    RingEnd producer;
    RingEnd consumer;
};

/// From the monitor to init. None: it only wakes.
enum class MessageKind : u32 {
    None = 0,
    Signal = 1,  ///< `value`: its number, for the program
    Size = 2,    ///< of its terminal: rows in bits 31:16, columns in 15:0
    Kill = 3,    ///< end the program and all its children now
};
struct Message {
    MessageKind kind;
    u32 value;
};
inline constexpr u32 kMessages = 32;

struct Header {
    u32 magic;
    u32 is_open;  ///< set by the monitor, before the `out` returns
    Ring rings[kRings];
    alignas(64) u32 init_wishes;
    alignas(64) u32 monitor_wishes;
    alignas(64) u32 messages_put;
    alignas(64) u32 messages_taken;
    Message messages[kMessages];
    /// Of the rings, one after the other.
    u32 frames[kFrames];
};
static_assert(sizeof(Header) <= kFrameBytes);

}  // namespace mayfly::channel
