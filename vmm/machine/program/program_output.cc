// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/program/program_output.h"

#include <poll.h>
#include <unistd.h>

#include "vmm/os/clock.h"

namespace mayfly {

namespace {
constexpr int kForEver = -1;
constexpr int kPausedMs = 1;
constexpr u32 kLookAgainUs = 20;
}  // namespace

ProgramOutput::ProgramOutput(channel::RingName ring, int fd, const Surroundings& around)
    : ring_(ring), fd_(fd), around_(around), sink_(fd, around.stop) {}

Result<void> ProgramOutput::start() {
    doorbell_ = TRY(EventFd::create());
    ended_ = TRY(EventFd::create());
    buffer_.resize(kBufferBytes);
    thread_ = TRY(Thread::start([this] {
        run();
        ended_->signal();
    }));
    return {};
}

void ProgramOutput::on_doorbell() {
    if (doorbell_) doorbell_->signal();
}

void ProgramOutput::await_doorbell(int limit_ms) const {
    pollfd come{.fd = doorbell_->fd().get(), .events = POLLIN, .revents = 0};
    if (::poll(&come, 1, limit_ms) > 0) (void)doorbell_->take();
}

void ProgramOutput::run() {
    while (!is_over_.load(std::memory_order_acquire)) {
        const std::optional<int> wait_ms = step();
        if (!wait_ms) return;
        if (*wait_ms != 0) await_doorbell(*wait_ms);
    }
}

std::optional<int> ProgramOutput::step() {
    const bool is_last = is_finishing_.load(std::memory_order_acquire);
    ProgramChannel::Moved taken;
    {
        const GuestGate::Visit visit(around_.stop.gate());
        // Whoever has the state of a machine that stands still writes the rest.
        if (!visit) return is_last && around_.stop.is_requested() ? std::nullopt : std::optional(kPausedMs);
        if (has_left_) {
            around_.channel.leave(ring_);
            return std::nullopt;
        }
        taken = around_.channel.take(ring_, buffer_);
        if (taken.bytes != 0) is_writing_.store(true, std::memory_order_release);
    }
    switch (taken.outcome) {
        case ProgramChannel::Outcome::Done: break;
        case ProgramChannel::Outcome::Nothing: return is_last ? std::nullopt : std::optional(kForEver);
        case ProgramChannel::Outcome::Over: end_stream(); return std::nullopt;
        case ProgramChannel::Outcome::Broken:
            around_.stop.end({EndKind::HostError, 0, kBrokenChannel});
            return std::nullopt;
    }
    // SAFETY: characters are bytes.
    sink_.pass({reinterpret_cast<const u8*>(buffer_.data()), taken.bytes});
    is_writing_.store(false, std::memory_order_release);
    has_left_ = sink_.has_lost_reader();
    return 0;
}

/// The program has closed it, and its reader is to learn that; messages of ours still need stderr, and a
/// terminal may be about to answer.
void ProgramOutput::end_stream() {
    if (fd_ == STDOUT_FILENO && ::isatty(fd_) != 1) replace_by_null(fd_);
}

bool ProgramOutput::await_written(u64 deadline_ns) const {
    while (is_writing_.load(std::memory_order_acquire)) {
        if (monotonic_ns() >= deadline_ns) return false;
        ::usleep(kLookAgainUs);
    }
    return true;
}

void ProgramOutput::begin_to_finish() {
    is_finishing_.store(true, std::memory_order_release);
    on_doorbell();
}

void ProgramOutput::await_end() {
    if (!thread_) return;
    // Whoever makes the end abrupt kicks; should that come before the wait, it is seen after this.
    constexpr int kLookMs = 100;
    pollfd come{.fd = ended_->fd().get(), .events = POLLIN, .revents = 0};
    while (::poll(&come, 1, kLookMs) <= 0 && !around_.stop.is_abrupt()) {
    }
    // Then it writes only as long as its reader takes something.
    thread_->interrupt_and_join(kick_signal());
    thread_.reset();
}

void ProgramOutput::end() {
    if (!thread_) return;
    is_over_.store(true, std::memory_order_release);
    on_doorbell();
    thread_->interrupt_and_join(kick_signal());
    thread_.reset();
}

}  // namespace mayfly
