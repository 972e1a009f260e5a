// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/console_log.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <fmt/format.h>

#include "vmm/text/log.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr std::size_t kBufferBytes = KiB(32);
constexpr u64 kNsPerSecond = 1'000'000'000;

std::string stamp(u64 at_ns) {
    return fmt::format("[{:5}.{:06}] ", at_ns / kNsPerSecond, at_ns % kNsPerSecond / 1000);
}

bool has_room(int fd, int timeout_ms) {
    pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
    return ::poll(&room, 1, timeout_ms) > 0;
}

}  // namespace

ConsoleLog::ConsoleLog(Settings settings, UniqueFd fd) : settings_(std::move(settings)), fd_(std::move(fd)) {
    struct stat kind {};
    may_stall_ = ::fstat(fd_.get(), &kind) < 0 || !S_ISREG(kind.st_mode);
}

void ConsoleLog::begin_line(u64 at_ns, std::string_view whose) {
    line_began_ns_ = at_ns;
    if (is_full_ || is_broken_) return;
    const std::string prefix = stamp(at_ns).append(whose);
    if (file_bytes_ + prefix.size() > settings_.max_bytes) return stop_at_limit();
    buffer_ += prefix;
    file_bytes_ += prefix.size();
    is_in_line_ = true;
}

void ConsoleLog::put(std::string_view text) {
    if (!is_full_ && !is_broken_) {
        const u64 room = settings_.max_bytes - file_bytes_;
        const std::string_view fits =
            text.substr(0, static_cast<std::size_t>(std::min<u64>(room, text.size())));
        buffer_ += fits;
        buffered_text_bytes_ += fits.size();
        file_bytes_ += fits.size();
        text.remove_prefix(fits.size());
        if (!text.empty()) stop_at_limit();
        if (buffer_.size() >= kBufferBytes) write_out();
    }
    lost_bytes_ += text.size();
}

void ConsoleLog::end_line() {
    if (is_full_ || is_broken_) {
        ++lost_bytes_;
        return;
    }
    buffer_ += '\n';
    ++buffered_text_bytes_;
    ++file_bytes_;  // one more than the limit at most, so that a line keeps its end
    is_in_line_ = false;
}

void ConsoleLog::flush() {
    if (!buffer_.empty()) write_out();
}

void ConsoleLog::finish() {
    if (is_in_line_) {
        // Not a byte of the console, and not counted.
        buffer_ += '\n';
        is_in_line_ = false;
    }
    if (is_full_ && !is_broken_)
        buffer_ += fmt::format("{}mayfly: {} bytes of the console are not in this log\n",
                               stamp(line_began_ns_), lost_bytes_);
    flush();
}

void ConsoleLog::stop_at_limit() {
    is_full_ = true;
    if (is_in_line_) buffer_ += '\n';
    is_in_line_ = false;
    why_lost_ = fmt::format("--log-limit {} was reached", print_size(settings_.max_bytes));
    buffer_ += fmt::format("{}mayfly: the log ends here: {}\n", stamp(line_began_ns_), why_lost_);
    write_out();
}

void ConsoleLog::write_out() {
    std::string_view rest = buffer_;
    while (!rest.empty() && !is_broken_) {
        // A second is only how often the machine's end is checked: no signal need reach this thread.
        if (may_stall_ && !has_room(fd_.get(), 1000)) {
            if (settings_.should_give_up()) fail_with(EAGAIN);
            continue;
        }
        // A pipe that has room takes this much without waiting (POSIX.1-2017, write(), "Pipe or FIFO").
        const std::size_t piece = may_stall_ ? std::min<std::size_t>(rest.size(), PIPE_BUF) : rest.size();
        const ssize_t written = ::write(fd_.get(), rest.data(), piece);
        if (written >= 0) {
            rest.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno != EINTR && errno != EAGAIN) {
            fail_with(errno);
        }
    }
    // Prefixes among the lost bytes count as the console's: the count may be a little too high, never too
    // low.
    lost_bytes_ += std::min<u64>(rest.size(), buffered_text_bytes_);
    buffer_.clear();
    buffered_text_bytes_ = 0;
}

void ConsoleLog::fail_with(int os_errno) {
    is_broken_ = true;
    is_in_line_ = false;
    why_lost_ = fmt::format("write {}: {}", settings_.path,
                            os_errno == EAGAIN ? "its reader has stalled" : std::strerror(os_errno));
    log::warning(fmt::format("--log: {}; the guest goes on without it", why_lost_));
}

}  // namespace mayfly
