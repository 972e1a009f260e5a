// SPDX-License-Identifier: Apache-2.0
// Every order of a hostile driver's steps, to a depth, with I/O in flight, on each transport. A VERIFY that a
// guest can reach ends this program, and the order that led there is printed.
#include <string>

#include <catch2/catch.hpp>

#include "tests/unit/devices/virtio/transport/order_rig.h"

using namespace mayfly;

namespace {

constexpr u8 kNeedsReset = 64;
/// After so many orders the device is checked to work as after a power-on.
constexpr u64 kTriedEvery = 97;

constexpr std::array<const char*, kSteps> kNames{"begin", "good 0", "good 1",  "bad 1", "no 1",    "ask 0",
                                                 "ask 1", "finish", "break 0", "go",    "give up", "reset"};
constexpr std::array kBusy{Step::Begin, Step::GoodFirst, Step::AskFirst};
constexpr std::array kBusyAndGoing{Step::Begin, Step::GoodFirst, Step::Go, Step::AskFirst};

/// The effect of an order on the device, seen from outside.
class Watcher {
  public:
    explicit Watcher(Way way) : rig_(way) {
        rig_.backend.meanwhile = [this] {
            // Another processor, while a reset waits: none of these accesses may begin work.
            const std::size_t before = rig_.backend.disk.pending.size();
            for (const Step step : {Step::AskFirst, Step::BadSecond, Step::AskSecond, Step::NoSecond,
                                    Step::Begin, Step::Go, Step::GiveUp, Step::Reset})
                rig_.take(step);
            if (rig_.backend.disk.pending.size() != before) why_ = "I/O began during a reset";
        };
    }

    /// \returns what is wrong, or null.
    const char* take(Step step) {
        const bool was_broken = needs_reset();
        const std::size_t asked = rig_.backend.disk.pending.size();
        const u16 queue = asked != 0 ? queue_of(*rig_.backend.disk.pending.front()) : u16{0};
        rig_.take(step);
        if (why_ != nullptr) return why_;
        if (step == Step::Finish && asked != 0) return look_at_answer(queue);
        if (step == Step::Reset) {
            if (rig_.core->state().status != 0 || rig_.core->is_running()) return "a reset left something";
            if (rig_.core->queue(0).is_running() || rig_.core->queue(1).is_running())
                return "a queue runs on after a reset";
            rig_.forget();
        } else if (was_broken) {
            if (!needs_reset()) return "NEEDS_RESET went away by itself";
            if (rig_.backend.disk.pending.size() > asked) return "a device that needs a reset began I/O";
        }
        return look();
    }

    /// Ends all I/O in flight, and checks that the device works as after a power-on.
    const char* end(bool is_tried) {
        while (!rig_.backend.disk.pending.empty())
            if (const char* why = take(Step::Finish)) return why;
        if (is_tried && !rig_.can_be_carried()) return "its state is refused, though a driver came to it";
        if (const char* why = take(Step::Reset)) return why;
        if (!is_tried) return nullptr;
        for (const Step step : {Step::Begin, Step::GoodFirst, Step::GoodSecond, Step::Go, Step::AskFirst,
                                Step::AskSecond, Step::Finish, Step::Finish})
            if (const char* why = take(step)) return why;
        if (needs_reset() || answers_ < 2) return "it does not work after a reset";
        return take(Step::Reset);
    }

    [[nodiscard]] u64 answers() const { return answers_; }

  private:
    [[nodiscard]] bool needs_reset() const { return (rig_.core->state().status & kNeedsReset) != 0; }
    // SAFETY: a block device's operations are runs.
    static u16 queue_of(const BlockIo& io) { return static_cast<const BlockRun&>(io).first->queue; }

    const char* look() {
        const auto& pending = rig_.backend.disk.pending;
        if (rig_.block->in_flight() != pending.size()) return "the device miscounts what is in flight";
        if (!pending.empty() && !rig_.core->is_running()) return "I/O is in flight, but nothing runs";
        for (const BlockIo* io : pending)
            if (!rig_.core->queue(queue_of(*io)).is_running()) return "I/O is in flight of a stopped queue";
        return nullptr;
    }

    /// Each request is answered once, in the ring that it came by, unless that ring broke the rules.
    const char* look_at_answer(u16 queue) {
        const bool is_sound = !rig_.core->queue(queue).is_broken();
        const bool is_there = rig_.drivers[queue].take_used().has_value();
        if (is_there != is_sound) return "an answer is missing, or in a broken ring";
        if (is_there) ++answers_;
        if (rig_.drivers[queue].take_used()) return "one request has two answers";
        return look();
    }

    OrderRig rig_;
    u64 answers_ = 0;
    const char* why_ = nullptr;
};

std::string text_of(std::span<const Step> steps) {
    std::string text;
    for (const Step step : steps) text += std::string(kNames[static_cast<u32>(step)]) + ", ";
    return text;
}

void try_all(Way way, std::span<const Step> first, u32 depth) {
    Watcher watcher(way);
    std::vector<Step> order(first.begin(), first.end());
    order.resize(first.size() + depth);
    u64 count = 1;
    for (u32 i = 0; i < depth; ++i) count *= kSteps;
    for (u64 number = 0; number < count; ++number) {
        u64 rest = number;
        for (u32 i = 0; i < depth; ++i, rest /= kSteps)
            order[first.size() + i] = static_cast<Step>(rest % kSteps);
        INFO(text_of(order));
        const char* why = nullptr;
        for (std::size_t i = 0; i < order.size() && why == nullptr; ++i) why = watcher.take(order[i]);
        if (why == nullptr) why = watcher.end(number % kTriedEvery == 0);
        if (why != nullptr) FAIL(why);
    }
    CHECK(watcher.answers() >= 2 * (count / kTriedEvery));
}

void try_all(Way way) {
    try_all(way, {}, 4);
    try_all(way, kBusy, 4);
    try_all(way, kBusyAndGoing, 4);
}

}  // namespace

TEST_CASE("orders: a modern driver's, split rings", "[orders]") { try_all(Way::Modern); }
TEST_CASE("orders: a modern driver's, packed rings", "[orders]") { try_all(Way::ModernPacked); }
TEST_CASE("orders: a legacy driver's", "[orders]") { try_all(Way::Legacy); }
TEST_CASE("orders: a half legacy, half modern driver's", "[orders]") { try_all(Way::Mixed); }
TEST_CASE("orders: virtio-mmio's", "[orders]") { try_all(Way::Mmio); }
