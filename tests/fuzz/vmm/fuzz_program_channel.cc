// SPDX-License-Identifier: Apache-2.0
// Fuzzes the monitor's side of the channel to a guest's init with an init that writes any word anywhere.
//
// The input: operations of one byte with arguments. Checked: a channel opens only where all its frames are in
// RAM; no ring gives or takes more than it can have; nothing but the header and the input's frames is
// written.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "tests/fuzz/virtio/input_reader.h"
#include "vmm/machine/program/program_channel.h"

namespace {

using namespace mayfly;
using channel::Header;
using channel::RingName;
using Outcome = ProgramChannel::Outcome;

constexpr u32 kFrame = 4096;
constexpr u32 kRamFrames = 16;
constexpr u32 kHeaderFrame = 1;
constexpr u32 kInputFrames = 64;
constexpr u32 kRingBytes = 64 * kFrame;
constexpr u8 kPattern = 0x5a;

void require(bool is_true) {
    if (!is_true) std::abort();
}

class Fuzzer {
  public:
    explicit Fuzzer(InputReader input) : input_(input) {
        std::memset(ram_.data(), kPattern, ram_.size());
        std::memset(header(), 0, kFrame);
        header()->magic = channel::kMagic;
        // Rings may share frames: it is the guest's memory.
        for (u32& frame : header()->frames) frame = input_.take<u8>() % kRamFrames;
    }

    void run() {
        while (!input_.is_empty()) step(input_.take<u8>());
        for (u32 frame = 0; frame < kRamFrames; ++frame) {
            if (frame == kHeaderFrame || is_input_[frame]) continue;
            const std::span<const std::byte> page = std::span(ram_).subspan(u64{frame} * kFrame, kFrame);
            require(std::ranges::all_of(page, [](std::byte byte) { return byte == std::byte{kPattern}; }));
        }
    }

  private:
    [[nodiscard]] Header* header() {
        return reinterpret_cast<Header*>(ram_.data() + u64{kHeaderFrame} * kFrame);
    }
    [[nodiscard]] RingName output_ring() { return static_cast<RingName>(1 + input_.take<u8>() % 3); }

    void step(u8 operation) {
        switch (operation % 10) {
            case 0: open(); break;
            case 1: take(); break;
            case 2: put(); break;
            case 3: (void)channel_.send({channel::MessageKind::Signal, input_.take<u8>()}); break;
            case 4: channel_.leave(output_ring()); break;
            case 5: channel_.end_input(); break;
            case 6: channel_.tell_of_input(); break;
            case 7: carry(); break;
            case 8: scribble(input_.take<u16>() % (sizeof(Header) / sizeof(u32))); break;
            default: scribble_in_rings(); break;
        }
    }

    void open() {
        const bool is_elsewhere = input_.take<u8>() % 8 == 0;
        const u32 frame = is_elsewhere ? input_.take<u32>() : kHeaderFrame;
        const auto in_ram = [](u32 one) { return one < kRamFrames; };
        const bool is_good = frame == kHeaderFrame && header()->magic == channel::kMagic &&
                             std::ranges::all_of(header()->frames, in_ram);
        u32 input_frames[kInputFrames];
        std::copy_n(header()->frames, kInputFrames, input_frames);
        const bool is_opened = channel_.open(frame);
        require(is_opened == (is_good && !is_open_));
        if (!is_opened) return;
        is_open_ = true;
        for (const u32 one : input_frames) is_input_[one] = true;
    }

    void take() {
        std::vector<std::byte> into(input_.take<u16>());
        const ProgramChannel::Moved moved = channel_.take(output_ring(), into);
        require(moved.bytes <= into.size());
        require(moved.bytes == 0 || (is_open_ && moved.outcome == Outcome::Done));
    }

    void put() {
        const std::vector<std::byte> bytes(u32{input_.take<u16>()} * 8, std::byte{input_.take<u8>()});
        const ProgramChannel::Moved room = channel_.room();
        const ProgramChannel::Moved moved = channel_.put(bytes);
        require(room.bytes <= kRingBytes && moved.bytes <= bytes.size());
        require(moved.bytes == 0 || is_open_);
    }

    /// Continues as another monitor would after a restore.
    void carry() {
        const ProgramChannelState state = channel_.save();
        require(state.is_open == is_open_);
        require(channel_.restore(state));
    }

    /// Mostly small numbers, as counts and frames are.
    void scribble(u64 word) {
        const u32 value = input_.take<u8>() % 2 == 0 ? input_.take<u16>() : input_.take<u32>();
        std::memcpy(ram_.data() + u64{kHeaderFrame} * kFrame + word * sizeof(u32), &value, sizeof(value));
    }

    void scribble_in_rings() {
        const u64 at = input_.take<u16>() % sizeof(Header::rings) / sizeof(u32);
        scribble(offsetof(Header, rings) / sizeof(u32) + at);
    }

    InputReader input_;
    std::vector<std::byte> ram_ = std::vector<std::byte>(u64{kRamFrames} * kFrame);
    const GuestRegion regions_[1] = {{Gpa{0}, u64{kRamFrames} * kFrame, ram_.data()}};
    ProgramChannel channel_{GuestMemory(regions_), [] {}};
    bool is_open_ = false;
    bool is_input_[kRamFrames] = {};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    Fuzzer(InputReader(std::span(data, size))).run();
    return 0;
}
