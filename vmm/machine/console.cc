// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <unistd.h>

namespace mayfly {

namespace {
constexpr u8 kCtrlA = 0x01;
constexpr std::size_t kPendingMax = 4096;

bool has_room(int fd) {
    pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
    return ::poll(&room, 1, 0) > 0;
}
}  // namespace

void ConsoleOutput::put(u8 byte) {
    if (fd_ < 0) return;
    const std::lock_guard<std::mutex> guard(mutex_);
    if (used_ == kBufferBytes) flush_locked();
    if (used_ == kBufferBytes) return;  // the machine is ending: nobody takes more
    buffer_[used_++] = byte;
    has_pending_.store(true, std::memory_order_relaxed);
}

void ConsoleOutput::flush() {
    const std::lock_guard<std::mutex> guard(mutex_);
    flush_locked();
}

void ConsoleOutput::flush_locked() {
    std::size_t done = 0;
    while (done < used_) {
        if (stop_.is_abrupt() && !has_room(fd_)) {
            done = used_;  // a reader that has stalled must not keep us from ending
            break;
        }
        const ssize_t written = ::write(fd_, buffer_.data() + done, used_ - done);
        if (written > 0) {
            done += static_cast<std::size_t>(written);
            continue;
        }
        if (written < 0 && errno == EAGAIN) {
            // Somebody made our stdout non-blocking. A second is only how often a stop is looked for.
            pollfd room{.fd = fd_, .events = POLLOUT, .revents = 0};
            ::poll(&room, 1, 1000);
        } else if (!(written < 0 && errno == EINTR)) {
            fd_ = -1;
            stop_.end({EndKind::HostError, 0,
                       std::string("cannot write the guest's console: ") + std::strerror(errno)});
            done = used_;
        }
    }
    std::memmove(buffer_.data(), buffer_.data() + done, used_ - done);
    used_ -= done;
    has_pending_.store(used_ > 0, std::memory_order_relaxed);
}

Result<void> SerialConsole::connect_input(int fd, bool is_terminal, Uart16550& uart, const Bus& ports,
                                          StopControl& stop) {
    wake_ = TRY(EventFd::create());
    fd_ = fd;
    is_terminal_ = is_terminal;
    uart_ = &uart;
    ports_ = &ports;
    stop_ = &stop;
    if (is_terminal) start();
    return {};
}

void SerialConsole::start() {
    is_started_ = true;
    // Ends with the process: it may be blocked in read(2), and owns nothing that needs closing.
    Result<Thread> thread = Thread::start([this] { read_loop(); });
    if (!thread) return stop_->end({EndKind::HostError, 0, "console input: " + thread.error().message()});
    thread->detach();
}

void SerialConsole::on_input_wanted() {
    if (fd_ < 0) return;
    if (!is_started_) start();
    wake_->signal();
}

bool SerialConsole::filter(std::vector<u8>& bytes) {
    if (!is_terminal_) return false;
    std::vector<u8> kept;
    for (const u8 byte : bytes) {
        if (is_after_escape_) {
            is_after_escape_ = false;
            if (byte == 'x') return true;
            kept.push_back(byte);  // Ctrl-A Ctrl-A sends one, anything else loses the prefix
        } else if (byte == kCtrlA) {
            is_after_escape_ = true;
        } else {
            kept.push_back(byte);
        }
    }
    bytes = std::move(kept);
    return false;
}

void SerialConsole::deliver(std::vector<u8>& pending) {
    const std::unique_lock<std::mutex> lock = ports_->lock(*uart_);
    const std::size_t taken = uart_->receive(pending);
    pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(taken));
}

void SerialConsole::quit() {
    stop_->end({EndKind::Quit, 0, {}});
    // Should a vCPU miss the kick, say just before it blocks in write(2), the next one reaches it.
    for (;;) {
        ::poll(nullptr, 0, 100);
        stop_->kick_all();
    }
}

void SerialConsole::read_loop() {
    std::vector<u8> pending;
    bool is_open = true;
    while (is_open || !pending.empty()) {
        // A terminal is read even when the guest does not: Ctrl-A x must get through.
        const bool wants_more = is_open && (pending.empty() || is_terminal_);
        std::array<pollfd, 2> events{pollfd{.fd = wants_more ? fd_ : -1, .events = POLLIN, .revents = 0},
                                     pollfd{.fd = wake_->fd().get(), .events = POLLIN, .revents = 0}};
        if (::poll(events.data(), events.size(), -1) < 0) continue;  // EINTR
        if (events[1].revents != 0) (void)wake_->take();
        if (events[0].revents != 0) {
            std::array<u8, 256> chunk;
            const ssize_t got = ::read(fd_, chunk.data(), chunk.size());
            if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) is_open = false;
            if (got > 0) {
                std::vector<u8> bytes(chunk.begin(), chunk.begin() + got);
                if (filter(bytes)) return quit();
                // What is typed at a guest that does not read is lost in the end, as on a real line.
                const std::size_t room = kPendingMax - std::min(pending.size(), kPendingMax);
                bytes.resize(std::min(bytes.size(), room));
                pending.insert(pending.end(), bytes.begin(), bytes.end());
            }
        }
        if (!pending.empty()) deliver(pending);
    }
}

}  // namespace mayfly
