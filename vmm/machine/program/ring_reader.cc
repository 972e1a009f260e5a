// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/program/ring_reader.h"

#include <poll.h>
#include <unistd.h>

#include "vmm/os/clock.h"

namespace mayfly {

namespace {
constexpr int kForEver = -1;
constexpr int kLookAgainMs = 1;
constexpr u32 kLookAgainUs = 20;
}  // namespace

Result<void> RingReader::start() {
    doorbell_ = TRY(EventFd::create());
    ended_ = TRY(EventFd::create());
    buffer_.resize(kBufferBytes);
    thread_ = TRY(Thread::start([this] {
        run();
        has_ended_.store(true, std::memory_order_release);
        ended_->signal();
    }));
    return {};
}

void RingReader::on_doorbell() {
    if (doorbell_) doorbell_->signal();
}

void RingReader::await_doorbell(int limit_ms) const {
    pollfd come{.fd = doorbell_->fd().get(), .events = POLLIN, .revents = 0};
    if (::poll(&come, 1, limit_ms) > 0) (void)doorbell_->take();
}

void RingReader::run() {
    while (!is_over_.load(std::memory_order_acquire)) {
        const std::optional<int> wait_ms = step();
        if (!wait_ms) return;
        if (*wait_ms != 0) await_doorbell(*wait_ms);
    }
}

std::optional<int> RingReader::step() {
    const bool is_turn = taker_.may_take();
    const bool is_last = is_finishing_.load(std::memory_order_acquire);
    ProgramChannel::Moved taken;
    {
        const GuestGate::Visit visit(context_.stop.gate());
        // The machine that is restored from the saved state writes the rest.
        if (!visit)
            return is_last && context_.stop.is_requested() ? std::nullopt : std::optional(kLookAgainMs);
        if (has_left_) {
            context_.channel.leave(ring_);
            return std::nullopt;
        }
        taken = context_.channel.take(ring_, is_turn ? std::span(buffer_) : std::span<std::byte>());
        if (taken.bytes != 0) is_taking_.store(true, std::memory_order_release);
    }
    switch (taken.outcome) {
        case ProgramChannel::Outcome::Done:
            if (!is_turn) return kLookAgainMs;
            break;
        case ProgramChannel::Outcome::Nothing: return is_last ? std::nullopt : std::optional(kForEver);
        case ProgramChannel::Outcome::Over: taker_.on_over(); return std::nullopt;
        case ProgramChannel::Outcome::Broken:
            context_.stop.end({EndKind::HostError, 0, kBrokenChannel});
            return std::nullopt;
    }
    has_left_ = !taker_.take(std::span(buffer_).first(taken.bytes));
    is_taking_.store(false, std::memory_order_release);
    return 0;
}

bool RingReader::await_taken(u64 deadline_ns) const {
    while (is_taking_.load(std::memory_order_acquire)) {
        if (monotonic_ns() >= deadline_ns) return false;
        ::usleep(kLookAgainUs);
    }
    return true;
}

void RingReader::begin_to_finish() {
    is_finishing_.store(true, std::memory_order_release);
    on_doorbell();
}

void RingReader::await_end() {
    if (!thread_) return;
    // An abrupt end comes with a kick; if it comes before the wait, the check after this sees it.
    constexpr int kLookMs = 100;
    pollfd come{.fd = ended_->fd().get(), .events = POLLIN, .revents = 0};
    while (::poll(&come, 1, kLookMs) <= 0 && !context_.stop.is_abrupt()) {
    }
    // Then output is written only while its reader accepts it.
    thread_->interrupt_and_join(kick_signal());
    thread_.reset();
}

void RingReader::end() {
    if (!thread_) return;
    is_over_.store(true, std::memory_order_release);
    on_doorbell();
    thread_->interrupt_and_join(kick_signal());
    thread_.reset();
}

}  // namespace mayfly
