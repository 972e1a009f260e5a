// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/console.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/os/clock.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {
constexpr u8 kCtrlA = 0x01;
constexpr std::size_t kPendingMax = 4096;
constexpr int kBusyRetryMs = 20;

/// Process-wide, because the signal is.
std::atomic<const EventFd*> resized = nullptr;

bool has_room(int fd) {
    pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
    return ::poll(&room, 1, 0) > 0;
}
void tell_keys() {
    log::notice("Ctrl-A x   end the machine");
    log::notice("Ctrl-A a   send a Ctrl-A to the guest; Ctrl-A Ctrl-A does, too");
    log::notice("Ctrl-A h   list these keys; every other key is the guest's");
}
}  // namespace

WindowSize window_size(int terminal) {
    winsize size{};
    if (::ioctl(terminal, TIOCGWINSZ, &size) < 0) return {};
    return {size.ws_col, size.ws_row};
}

void tell_how_to_leave() { log::notice("Ctrl-A x ends the machine, Ctrl-A h lists the keys"); }

bool ConsoleOutput::has_asked_lately() const {
    constexpr u64 kLatelyNs = 2'000'000'000;  // a terminal that answers later than that is not one to work at
    const Lock guard(mutex_);
    return asked_ns_ != 0 && monotonic_ns() - asked_ns_ < kLatelyNs;
}

bool ConsoleOutput::is_looked_at() const { return watch_ != nullptr || (fd_ >= 0 && ::isatty(fd_) == 1); }

void ConsoleOutput::put(u8 byte) {
    const Lock guard(mutex_);
    if (used_ == kBufferBytes) make_room();
    buffer_[used_++] = static_cast<char>(byte);
    has_pending_.store(true, std::memory_order_relaxed);
}

void ConsoleOutput::put(std::span<const u8> bytes) {
    const Lock guard(mutex_);
    while (!bytes.empty()) {
        if (used_ == kBufferBytes) make_room();
        const std::size_t piece = std::min(bytes.size(), kBufferBytes - used_);
        std::memcpy(buffer_.data() + used_, bytes.data(), piece);
        used_ += piece;
        bytes = bytes.subspan(piece);
    }
    has_pending_.store(used_ > shown_, std::memory_order_relaxed);
}

void ConsoleOutput::make_room() {
    flush_locked();
    std::memmove(buffer_.data(), buffer_.data() + kBufferBytes - kKeptBytes, kKeptBytes);
    used_ = flushed_ = shown_ = kKeptBytes;
}

void ConsoleOutput::flush() {
    const Lock guard(mutex_);
    flush_locked();
    // What comes after the guest's end is not to be interrupted.
    hold_.end();
}

void ConsoleOutput::flush_lines() {
    const Lock guard(mutex_);
    const std::size_t fresh_bytes = used_ - shown_;
    show_pending();
    const std::size_t due = hold_.due({buffer_.data() + flushed_, used_ - flushed_}, fresh_bytes);
    if (due == 0) return;
    const std::size_t from = flushed_;
    flushed_ += due;
    write_out(gathered(from, flushed_));
}

void ConsoleOutput::look() {
    const Lock guard(mutex_);
    if (hold_.is_over() || used_ == flushed_) {
        flush_locked();
        hold_.end();
    }
}

std::span<const u8> ConsoleOutput::gathered(std::size_t from, std::size_t to) const {
    // SAFETY: characters are bytes.
    return {reinterpret_cast<const u8*>(buffer_.data()) + from, to - from};
}

void ConsoleOutput::flush_locked() {
    show_pending();
    write_out(gathered(flushed_, used_));
    flushed_ = used_;
}

void ConsoleOutput::pass(std::span<const u8> bytes) {
    const Lock guard(mutex_);
    show(bytes);
    write_out(bytes);
}

void ConsoleOutput::show(std::span<const u8> fresh) {
    if (looks_for_questions_ && questions_.take(fresh)) asked_ns_ = monotonic_ns();
    // Before the bytes are written: a stalled reader must not hide a match.
    if (watch_ != nullptr) watch_->take(fresh, watch_source_);
}

void ConsoleOutput::show_pending() {
    show(gathered(shown_, used_));
    shown_ = used_;
    has_pending_.store(false, std::memory_order_relaxed);
}

void ConsoleOutput::write_out(std::span<const u8> fresh) {
    const auto kept = static_cast<std::size_t>(std::min<u64>(fresh.size(), room_bytes_));
    room_bytes_ -= kept;
    cut_bytes_ += fresh.size() - kept;
    std::size_t done = fd_ < 0 ? kept : 0;
    while (done < kept) {
        // A stalled reader must not keep us from ending.
        if (stop_.is_abrupt() && !has_room(fd_)) break;
        const ssize_t written = ::write(fd_, fresh.data() + done, kept - done);
        if (written > 0) {
            done += static_cast<std::size_t>(written);
            continue;
        }
        if (written < 0 && errno == EAGAIN) {
            // Another process made our stdout non-blocking. The second is only how often a stop is checked.
            pollfd room{.fd = fd_, .events = POLLOUT, .revents = 0};
            ::poll(&room, 1, 1000);
        } else if (!(written < 0 && errno == EINTR)) {
            const int error = errno;
            fd_ = -1;
            if ((error == EPIPE || error == EBADF) && tells_of_lost_reader_)
                has_lost_reader_.store(true, std::memory_order_relaxed);
            else
                stop_.end({EndKind::HostError, 0,
                           std::string("cannot write ").append(name_) + ": " + std::strerror(error)});
            break;
        }
    }
}

Result<void> ConsoleInput::connect(Wiring wiring, StopControl& stop) {
    wiring_ = std::move(wiring);
    stop_ = &stop;
    // A stream is not read before the guest wants it.
    return wiring_.is_terminal ? start() : Result<void>();
}

void ConsoleInput::watch_size() {
    size_ = window_size(wiring_.fd);
    // The handler wakes the input's thread, which checks the size itself.
    resized.store(&*wake_, std::memory_order_release);
    struct sigaction action {};
    action.sa_handler = [](int) {
        const int saved = errno;
        if (const EventFd* wake = resized.load(std::memory_order_acquire)) wake->signal();
        errno = saved;
    };
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGWINCH, &action, nullptr);
}

Result<void> ConsoleInput::start() {
    is_started_ = true;
    wake_ = TRY(EventFd::create());
    if (wiring_.is_terminal && wiring_.resize) watch_size();
    thread_ = TRY(Thread::start([this] { read_loop(); }));
    return {};
}

void ConsoleInput::end() {
    if (!thread_) return;
    is_over_.store(true, std::memory_order_release);
    // It may be blocked in read(2), where another reader was faster.
    thread_->interrupt_and_join(kick_signal());
    thread_.reset();
    const EventFd* wake = &*wake_;
    resized.compare_exchange_strong(wake, nullptr, std::memory_order_acq_rel);
}

void ConsoleInput::want() {
    if (wiring_.fd < 0) return;  // also before connect()
    if (!is_started_) {
        if (const Result<void> started = start(); !started)
            stop_->end({EndKind::HostError, 0, "console input: " + started.error().message()});
    }
    if (wake_) wake_->signal();
}

bool ConsoleInput::filter(std::vector<u8>& bytes) {
    if (!wiring_.is_terminal) return false;
    std::vector<u8> kept;
    for (const u8 byte : bytes) {
        if (is_after_escape_) {
            is_after_escape_ = false;
            if (byte == 'x') return true;
            if (byte == 'h' || byte == '?')
                tell_keys();
            else
                kept.push_back(byte == 'a' ? kCtrlA : byte);  // of any other the prefix is lost
        } else if (byte == kCtrlA) {
            is_after_escape_ = true;
        } else {
            kept.push_back(byte);
        }
    }
    bytes = std::move(kept);
    return false;
}

void ConsoleInput::quit() {
    // A guest that has ended may still have output for a stalled reader: then this kicks again.
    stop_->end_from_signal(EndKind::Quit, 0);
    // Should a vCPU miss the kick, say just before it blocks in write(2), the next one reaches it; and the
    // main thread's last words are written when that thread has left its vCPU. settle() needs the typed
    // bytes.
    while (!is_over_.load(std::memory_order_acquire)) {
        pollfd typed{.fd = wiring_.fd, .events = POLLIN, .revents = 0};
        if (::poll(&typed, 1, 100) > 0) {
            std::array<u8, 256> chunk;
            const ssize_t got = ::read(wiring_.fd, chunk.data(), chunk.size());
            if (got <= 0) wiring_.fd = -1;
            if (got > 0 && is_settling_.load(std::memory_order_acquire))
                look_for_answer({chunk.data(), static_cast<std::size_t>(got)});
        }
        stop_->vcpus().kick_all();
        ::tgkill(::getpid(), ::getpid(), kick_signal());
    }
}

void ConsoleInput::settle(int output_fd) {
    // ECMA-48 DSR: "are you well?" is answered in turn, by every terminal that answers anything.
    constexpr std::string_view kQuestion = "\x1b[5n";
    constexpr u64 kAnswerNs = 500'000'000;
    Result<EventFd> answered = EventFd::create();
    if (!is_started_ || !answered || !has_room(output_fd)) return;
    answered_.emplace(std::move(*answered));
    is_settling_.store(true, std::memory_order_release);
    // Kicks of a quit() are still on their way.
    while (::write(output_fd, kQuestion.data(), kQuestion.size()) < 0) {
        if (errno != EINTR || !has_room(output_fd)) return;
    }
    const u64 deadline_ns = monotonic_ns() + kAnswerNs;
    for (u64 now_ns = monotonic_ns(); now_ns < deadline_ns; now_ns = monotonic_ns()) {
        pollfd come{.fd = answered_->fd().get(), .events = POLLIN, .revents = 0};
        // A kick interrupts it, as does a second Ctrl-A x; half a second is not too long for either.
        if (::poll(&come, 1, static_cast<int>((deadline_ns - now_ns) / 1'000'000) + 1) > 0) return;
    }
}

void ConsoleInput::look_for_answer(std::span<const u8> bytes) {
    constexpr std::string_view kBegins = "\x1b[";  // then a digit and "n"
    constexpr std::size_t kAnswerBytes = 4;
    for (const u8 byte : bytes) {
        answer_ += static_cast<char>(byte);
        if (answer_.size() > kAnswerBytes) answer_.erase(0, 1);
        if (byte == 'n' && answer_.size() == kAnswerBytes && answer_.starts_with(kBegins))
            answered_->signal();
    }
}

bool ConsoleInput::follow_size() {
    const WindowSize now = window_size(wiring_.fd);
    if (now == size_) return true;
    if (!wiring_.resize(now)) return false;
    size_ = now;
    return true;
}

void ConsoleInput::read_loop() {
    std::vector<u8> pending;
    bool is_open = true;
    bool is_busy = false;  // the device was at work
    while ((is_open || !pending.empty()) && !is_over_.load(std::memory_order_acquire)) {
        // A terminal is read even when the guest does not: Ctrl-A x must get through.
        const bool wants_more = is_open && (pending.empty() || wiring_.is_terminal);
        std::array<pollfd, 2> events{
            pollfd{.fd = wants_more ? wiring_.fd : -1, .events = POLLIN, .revents = 0},
            pollfd{.fd = wake_->fd().get(), .events = POLLIN, .revents = 0}};
        if (::poll(events.data(), events.size(), is_busy ? kBusyRetryMs : -1) < 0) continue;  // EINTR
        is_busy = false;
        if (events[1].revents != 0) (void)wake_->take();
        if (wiring_.resize) is_busy = !follow_size();
        if (events[0].revents != 0) {
            std::array<u8, 256> chunk;
            const ssize_t got = ::read(wiring_.fd, chunk.data(), chunk.size());
            if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) is_open = false;
            if (got > 0) {
                std::vector<u8> bytes(chunk.begin(), chunk.begin() + got);
                if (is_settling_.load(std::memory_order_acquire)) look_for_answer(bytes);
                if (filter(bytes)) return quit();
                // Input for a guest that does not read is lost in the end, as on a real line.
                const std::size_t room = kPendingMax - std::min(pending.size(), kPendingMax);
                bytes.resize(std::min(bytes.size(), room));
                pending.insert(pending.end(), bytes.begin(), bytes.end());
            }
        }
        if (pending.empty()) continue;
        const std::optional<std::size_t> taken = wiring_.deliver(pending);
        is_busy |= !taken;
        pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(taken.value_or(0)));
    }
}

}  // namespace mayfly
