// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/program/program_input.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <poll.h>
#include <unistd.h>

namespace mayfly {

namespace {
constexpr int kForEver = -1;
constexpr int kPausedMs = 1;
constexpr int kBackgroundMs = 200;

/// The terminal now has another foreground process group.
bool reading_would_stop_us(int fd) { return ::isatty(fd) == 1 && ::tcgetpgrp(fd) != ::getpgrp(); }
}  // namespace

Result<void> ProgramInput::start() {
    if (fd_ < 0) return {};
    doorbell_ = TRY(EventFd::create());
    if (buffer_.size() < kBufferBytes) buffer_.resize(kBufferBytes);
    thread_ = TRY(Thread::start([this] { run(); }));
    return {};
}

void ProgramInput::on_doorbell() {
    if (doorbell_) doorbell_->signal();
}

void ProgramInput::end() {
    if (!thread_) return;
    is_over_.store(true, std::memory_order_release);
    on_doorbell();
    // It may be blocked in read(2), where another reader was faster.
    thread_->interrupt_and_join(kick_signal());
    thread_.reset();
}

std::vector<std::byte> ProgramInput::held() const {
    const Lock lock(mutex_);
    const std::span<const std::byte> bytes = std::span(buffer_).subspan(held_begin_, held_end_ - held_begin_);
    return {bytes.begin(), bytes.end()};
}

void ProgramInput::hold(std::span<const std::byte> bytes) {
    const Lock lock(mutex_);
    buffer_.assign(bytes.begin(), bytes.end());
    held_begin_ = 0;
    held_end_ = bytes.size();
}

void ProgramInput::await(int fd, int limit_ms) const {
    std::array<pollfd, 2> events{pollfd{.fd = fd, .events = POLLIN, .revents = 0},
                                 pollfd{.fd = doorbell_->fd().get(), .events = POLLIN, .revents = 0}};
    if (::poll(events.data(), events.size(), limit_ms) > 0 && events[1].revents != 0) (void)doorbell_->take();
}

void ProgramInput::run() {
    while (!is_over_.load(std::memory_order_acquire)) {
        std::size_t room_bytes = 0;
        Next next = put_held();
        if (next == Next::GoOn) next = look(room_bytes);
        if (next == Next::GoOn) next = read_some(room_bytes);
        switch (next) {
            case Next::GoOn: break;
            case Next::Wait: await(-1, kForEver); break;
            case Next::WaitWhilePaused: await(-1, kPausedMs); break;
            case Next::End: return;
        }
    }
}

ProgramInput::Next ProgramInput::put_held() {
    const GuestGate::Visit visit(context_.stop.gate());
    if (!visit) return Next::WaitWhilePaused;
    const Lock lock(mutex_);
    if (held_begin_ == held_end_) return Next::GoOn;
    const ProgramChannel::Moved put =
        context_.channel.put(std::span(buffer_).subspan(held_begin_, held_end_ - held_begin_));
    held_begin_ += put.bytes;
    return judged(put.outcome);
}

ProgramInput::Next ProgramInput::judged(ProgramChannel::Outcome outcome) const {
    switch (outcome) {
        case ProgramChannel::Outcome::Done: return Next::GoOn;
        case ProgramChannel::Outcome::Nothing: return Next::Wait;
        case ProgramChannel::Outcome::Over:
            // The writer of our stdin learns that nobody reads.
            replace_by_null(fd_);
            return Next::End;
        case ProgramChannel::Outcome::Broken:
            context_.stop.end({EndKind::HostError, 0, kBrokenChannel});
            return Next::End;
    }
    return Next::End;
}

ProgramInput::Next ProgramInput::look(std::size_t& room_bytes) {
    const GuestGate::Visit visit(context_.stop.gate());
    if (!visit) return Next::WaitWhilePaused;
    const ProgramChannel::Moved room = context_.channel.room();
    room_bytes = std::min<std::size_t>(room.bytes, kBufferBytes);
    return judged(room.outcome);
}

ProgramInput::Next ProgramInput::read_some(std::size_t room_bytes) {
    pollfd come{.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&come, 1, 0) == 0) {
        const GuestGate::Visit visit(context_.stop.gate());
        if (!visit) return Next::WaitWhilePaused;
        context_.channel.tell_of_input();
    }
    if (::poll(&come, 1, 0) == 0) {
        await(fd_, kForEver);
        return Next::GoOn;  // by the doorbell, perhaps: the program may read no more
    }
    if (reading_would_stop_us(fd_)) {
        await(-1, kBackgroundMs);
        return Next::GoOn;
    }
    ssize_t got = 0;
    {
        // A saved machine has either all of this input, or none was read.
        const GuestGate::Visit visit(context_.stop.gate());
        if (!visit) return Next::WaitWhilePaused;
        got = ::read(fd_, buffer_.data(), room_bytes);
        if (got > 0) {
            const Lock lock(mutex_);
            held_begin_ = 0;
            held_end_ = static_cast<std::size_t>(got);
        }
    }
    if (got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN))) return Next::GoOn;
    // A closed stdin has ended, and so has one whose other side is closed.
    if (got < 0 && errno != EBADF && errno != EIO && errno != ECONNRESET)
        context_.stop.end({EndKind::HostError, 0, "cannot read stdin: " + Error::os("read").message()});
    for (;;) {
        const GuestGate::Visit visit(context_.stop.gate());
        if (visit) context_.channel.end_input();
        if (visit || is_over_.load(std::memory_order_acquire)) return Next::End;
        await(-1, kPausedMs);
    }
}

}  // namespace mayfly
