// SPDX-License-Identifier: Apache-2.0
// iobench: the rate that a guest at full speed gets from a disk or a network. Measures one thing and prints
// it in one line; in ring 3, so that hosts that interpret ring 0 are measured too.
//
//   dev=blk op=read|write pattern=random|seq size=4096 depth=1 count=10000 span=BYTES index=0
//   dev=net op=send|receive size=64|1460|65536 depth=64 count=100000 gso=tcp|udp
//   irq=1: MSI-X interrupts, and completions taken only after one, instead of polling; warmup=N requests
//   before the clock starts; rounds=N lines; resets=N: all of it so often again,
//   behind a reset; transport=, ring=, indirect=, event_idx=, tsc_khz=, ecam=, cf8
//   as in runtime/virtio_options.h.
//
// A batch of completions is replaced by new requests as a whole, with one doorbell if the device wants it.
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/io_memory.h"
#include "firmware/guests/runtime/net_frames.h"
#include "firmware/guests/runtime/user.h"
#include "firmware/guests/runtime/virtio_block.h"
#include "firmware/guests/runtime/virtio_net.h"
#include "firmware/guests/runtime/virtio_options.h"

namespace guest {
namespace {

using virtio::Block;
using virtio::BlockRequest;
using virtio::Completion;
using virtio::Net;
using virtio::Virtqueue;

constexpr u32 kStallMicroseconds = 5'000'000;
constexpr u32 kSilenceMicroseconds = 2'000'000;
constexpr u32 kSpinsPerClock = 256;

constinit virtio::Transport transport;
constinit Block block;
constinit Net net;
constinit u32 khz = 0;

/// The result of a round.
struct Result {
    u64 requests = 0;
    u64 bytes = 0;
    u64 cycles = 0;
    u64 errors = 0;
};

/// Looks at the clock only now and then.
class Patience final {
  public:
    explicit Patience(u32 microseconds) : ticks_(tsc_ticks(microseconds)), end_(read_tsc() + ticks_) {}
    void renew() { spins_ = 0; }
    /// Passes some time; true once that has lasted too long.
    bool is_over() {
        pause();
        if (spins_ == 0) end_ = read_tsc() + ticks_;
        return ++spins_ % kSpinsPerClock == 0 && read_tsc() > end_;
    }

  private:
    u64 ticks_;
    u64 end_;
    u64 spins_ = 0;
};

constinit bool is_by_interrupt = false;

/// With interrupts, completions are looked for only after one, as a driver does that has other work.
class InterruptGate final {
  public:
    bool take(Virtqueue& queue, Completion& completion) {
        if (!is_by_interrupt) return queue.take(completion);
        if (!is_open_ && virtio::interrupts_seen == seen_) return false;
        seen_ = virtio::interrupts_seen;
        is_open_ = true;
        if (queue.take(completion)) return true;
        // Asks for an interrupt, then checks again: a completion may have come before the device saw the
        // request.
        queue.want_interrupts(true);
        if (queue.take(completion)) return true;
        is_open_ = false;
        return false;
    }

  private:
    u32 seen_ = 0;
    bool is_open_ = true;
};

/// xorshift64, Marsaglia's triple 13, 7, 17.
class Random final {
  public:
    u64 below(u64 limit) {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return (state_ >> 11) % limit;
    }

  private:
    u64 state_ = 0x9e37'79b9'7f4a'7c15;
};

[[noreturn]] void give_up(Text why) {
    fail(why);
    exit_guest(failure_count());
}

/// The rest of a line: the requested parameters.
void report(Line& line, const Result& result, const Virtqueue& queue) {
    line.add(" requests=").add_decimal(result.requests).add(" bytes=").add_decimal(result.bytes);
    line.add(" cycles=").add_decimal(result.cycles).add(" tsc_khz=").add_decimal(khz);
    print(line.text());
    Line rest;
    if (khz != 0) {
        const u64 us = result.cycles * 1000 / khz;
        rest.add(" us=").add_decimal(us).add(" per_second=");
        rest.add_decimal(us != 0 ? result.requests * 1'000'000 / us : 0);
    }
    rest.add(" rung=").add_decimal(queue.counters.rung);
    rest.add(" not_rung=").add_decimal(queue.counters.not_rung);
    rest.add(" interrupts=").add_decimal(virtio::interrupts_seen);
    rest.add(" errors=").add_decimal(result.errors).print_line();
}

// --- block ---

struct BlockPlan {
    BlockRequest type;
    bool is_random;
    u32 size_bytes;
    u16 depth;
    u64 places;
    u64 data;
};

class BlockRun final {
  public:
    explicit BlockRun(const BlockPlan& plan) : plan_(plan) {}

    Result run(u64 count) {
        Result result;
        Virtqueue& queue = block.queue(0);
        Patience patience(kStallMicroseconds);
        InterruptGate gate;
        u64 issued = 0;
        const u64 begin = read_tsc();
        for (; issued < plan_.depth && issued < count; ++issued) submit(static_cast<u16>(issued));
        queue.kick();
        while (result.requests < count) {
            Completion completion;
            bool is_any = false;
            while (gate.take(queue, completion)) {
                is_any = true;
                ++result.requests;
                if (block.status(completion.token) != virtio::kBlockOk) ++result.errors;
                if (issued == count) continue;
                ++issued;
                submit(completion.token);
            }
            if (is_any) {
                queue.kick();
                patience.renew();
            } else if (patience.is_over()) {
                give_up("iobench: the disk does not answer");
            }
        }
        result.cycles = read_tsc() - begin;
        result.bytes = result.requests * plan_.size_bytes;
        return result;
    }

  private:
    void submit(u16 slot) {
        const u64 place = plan_.is_random ? random_.below(plan_.places) : next_++ % plan_.places;
        const u64 sector = place * (plan_.size_bytes / virtio::kSectorBytes);
        const u64 data = plan_.data + u64{slot} * plan_.size_bytes;
        if (!block.submit(0, slot, plan_.type, sector, data, plan_.size_bytes)) give_up("iobench: ring full");
    }

    const BlockPlan& plan_;
    Random random_;
    u64 next_ = 0;
};

void bench_block(u16 vector) {
    if (!block.start(transport, virtio::ring_options() | virtio::kBlockFlush, 1, vector)) return;
    BlockPlan plan{};
    plan.type = option_is("op", "write") ? BlockRequest::Write : BlockRequest::Read;
    plan.is_random = !option_is("pattern", "seq");
    plan.size_bytes = static_cast<u32>(option_value("size", 4096));
    plan.depth = static_cast<u16>(option_value("depth", 1));
    const u64 disk_bytes = block.capacity_sectors() * virtio::kSectorBytes;
    const u64 span = option_value("span", disk_bytes);
    plan.places = plan.size_bytes != 0 ? (span < disk_bytes ? span : disk_bytes) / plan.size_bytes : 0;
    if (plan.places == 0 || plan.size_bytes % virtio::kSectorBytes != 0)
        give_up("iobench: size= is not a multiple of 512, or is larger than the disk or span=");
    if (plan.depth == 0 || plan.depth > Block::kSlots) give_up("iobench: depth= is not 1 to 64");
    plan.data = io_memory::allocate(u64{plan.depth} * plan.size_bytes, 4096);
    block.queue(0).want_interrupts(is_by_interrupt);
    BlockRun run(plan);
    run.run(option_value("warmup", 256));
    for (u64 rounds = option_value("rounds", 1); rounds != 0; --rounds) {
        block.queue(0).counters = {};
        virtio::interrupts_seen = 0;
        const Result result = run.run(option_value("count", 10'000));
        Line line;
        line.add("iobench dev=blk op=").add(plan.type == BlockRequest::Write ? Text("write") : Text("read"));
        line.add(" pattern=").add(plan.is_random ? Text("random") : Text("seq"));
        line.add(" size=").add_decimal(plan.size_bytes).add(" depth=").add_decimal(plan.depth);
        report(line, result, block.queue(0));
        if (result.errors != 0) fail("iobench: requests failed");
    }
}

// --- network ---

struct NetPlan {
    u32 frame_bytes;
    u16 depth;
    u64 buffers;
    u32 buffer_bytes;
};

Result send_frames(const NetPlan& plan, u64 count) {
    Result result;
    Virtqueue& queue = net.queue(Net::kSend);
    Patience patience(kStallMicroseconds);
    u64 issued = 0;
    const u64 begin = read_tsc();
    for (; issued < plan.depth && issued < count; ++issued)
        net.send(plan.buffers + issued * plan.buffer_bytes, plan.frame_bytes, static_cast<u16>(issued));
    queue.kick();
    InterruptGate gate;
    while (result.requests < count) {
        Completion completion;
        bool is_any = false;
        while (gate.take(queue, completion)) {
            is_any = true;
            ++result.requests;
            if (issued == count) continue;
            ++issued;
            net.send(plan.buffers + u64{completion.token} * plan.buffer_bytes, plan.frame_bytes,
                     completion.token);
        }
        if (is_any) {
            queue.kick();
            patience.renew();
        } else if (patience.is_over()) {
            give_up("iobench: the network does not take frames");
        }
    }
    result.cycles = read_tsc() - begin;
    result.bytes = result.requests * plan.frame_bytes;
    return result;
}

/// Counts frames of half the size asked for and more; others are errors. The clock starts with the first and
/// stops with the last, or with the last before two seconds of silence.
Result receive_frames(const NetPlan& plan, u64 count) {
    Result result;
    Virtqueue& queue = net.queue(Net::kReceive);
    Patience patience(kSilenceMicroseconds);
    const bool is_merged = (net.features() & virtio::kNetMergedBuffers) != 0;
    u64 begin = 0;
    u64 last = 0;
    u32 more_buffers = 0;
    u64 frame_bytes = 0;
    InterruptGate gate;
    while (result.requests < count) {
        Completion completion;
        bool is_any = false;
        while (gate.take(queue, completion)) {
            is_any = true;
            const u64 at = plan.buffers + u64{completion.token} * plan.buffer_bytes;
            if (more_buffers == 0) {
                if (is_merged) more_buffers = io_memory::at<virtio::NetHeader>(at).buffer_count;
                if (more_buffers == 0) more_buffers = 1;
                frame_bytes = 0;
                completion.written_bytes -= net.header_bytes();
            }
            frame_bytes += completion.written_bytes;
            if (--more_buffers == 0) {
                if (begin == 0) begin = read_tsc();
                result.bytes += frame_bytes;
                if (frame_bytes >= plan.frame_bytes / 2) {
                    ++result.requests;
                } else {
                    ++result.errors;
                }
            }
            net.receive(at, plan.buffer_bytes, completion.token);
        }
        if (is_any) {
            last = read_tsc();
            queue.kick();
            patience.renew();
        } else if (begin != 0 && patience.is_over()) {
            break;
        }
    }
    result.cycles = last - begin;
    return result;
}

/// Frames ready to be sent, in each buffer; or buffers ready to be filled.
void prepare_buffers(const NetPlan& plan, bool is_send) {
    for (u16 n = 0; n < plan.depth; ++n) {
        const u64 at = plan.buffers + u64{n} * plan.buffer_bytes;
        if (is_send) {
            write_bench_frame(at, net.header_bytes(), net.mac(), plan.frame_bytes);
        } else {
            net.receive(at, plan.buffer_bytes, n);
        }
    }
}

void bench_net(u16 vector) {
    constexpr u32 kFrameMax = 14 + 65535;
    constexpr u64 kWanted = virtio::kNetMac | virtio::kNetChecksum | virtio::kNetGuestChecksum |
                            virtio::kNetHostTso4 | virtio::kNetHostUfo | virtio::kNetGuestTso4 |
                            virtio::kNetMergedBuffers;
    const bool is_send = !option_is("op", "receive");
    if (!net.start(transport, virtio::ring_options() | kWanted, Virtqueue::kSizeMax, vector)) return;
    NetPlan plan{};
    plan.frame_bytes = static_cast<u32>(option_value("size", 64));
    if (plan.frame_bytes > kFrameMax) plan.frame_bytes = kFrameMax;
    plan.depth = static_cast<u16>(option_value("depth", 64));
    const u16 room = net.queue(is_send ? Net::kSend : Net::kReceive).size();
    if (plan.depth == 0 || plan.depth > room / 2 || plan.frame_bytes < kBenchFrameMin)
        give_up("iobench: depth= is not 1 to half the queue, or size= is less than 60");
    const bool is_merged = !is_send && (net.features() & virtio::kNetMergedBuffers) != 0;
    plan.buffer_bytes = is_merged ? 4096 : plan.frame_bytes > 1514 ? 65536 + 128 : 2048;
    plan.buffers = io_memory::allocate(u64{plan.depth} * plan.buffer_bytes, 4096);
    prepare_buffers(plan, is_send);
    Virtqueue& queue = net.queue(is_send ? Net::kSend : Net::kReceive);
    queue.want_interrupts(is_by_interrupt);
    queue.kick();
    if (is_send) {
        send_frames(plan, option_value("warmup", 256));
    } else {
        print("iobench ready\n");
    }
    for (u64 rounds = option_value("rounds", 1); rounds != 0; --rounds) {
        queue.counters = {};
        virtio::interrupts_seen = 0;
        const u64 count = option_value("count", 100'000);
        const Result result = is_send ? send_frames(plan, count) : receive_frames(plan, count);
        Line line;
        line.add("iobench dev=net op=").add(is_send ? Text("send") : Text("receive"));
        line.add(" size=").add_decimal(plan.frame_bytes).add(" depth=").add_decimal(plan.depth);
        report(line, result, queue);
    }
}

u32 bench() {
    const bool is_net = option_is("dev", "net");
    pci::set_up();
    const u32 index = static_cast<u32>(option_value("index", 0));
    if (!transport.find(virtio::transport_option(), is_net ? virtio::kNet : virtio::kBlock, index))
        give_up("iobench: no such device on this transport");
    u16 vector = virtio::kNoVector;
    const virtio::Interrupt interrupt = virtio::interrupt_option();
    if (!virtio::connect_interrupts(transport, interrupt, vector)) return failure_count();
    is_by_interrupt = interrupt != virtio::Interrupt::None;
    for (u64 runs = option_value("resets", 0) + 1; runs != 0; --runs) {
        io_memory::release_all();
        if (is_net) {
            bench_net(vector);
        } else {
            bench_block(vector);
        }
        transport.reset();
    }
    return failure_count();
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    khz = tsc_khz();
    virtio::prepare_interrupts(virtio::interrupt_option());
    run_user(bench);
}
