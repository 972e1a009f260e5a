// SPDX-License-Identifier: Apache-2.0
#include "vmm/text/log.h"

#include <atomic>
#include <cerrno>
#include <string>

#include <poll.h>
#include <unistd.h>

namespace mayfly::log {

namespace {

bool g_is_verbose = false;  // set once before threads start
std::atomic<bool> g_is_raw = false;

void write_line(std::string_view prefix, std::string_view line) {
    std::string text;
    text.reserve(prefix.size() + line.size() + 2);
    text.append(prefix).append(line).append(g_is_raw.load(std::memory_order_relaxed) ? "\r\n" : "\n");
    write_stderr(text);
}

}  // namespace

void write_stderr(std::string_view text) {
    constexpr int kPatienceMs = 1000;
    while (!text.empty()) {
        const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
            continue;
        }
        // Gives up when stderr itself is gone, or its reader has stalled: a signal that comes meanwhile asks
        // us to go on.
        if (errno != EINTR && errno != EAGAIN) return;
        pollfd room{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
        if (::poll(&room, 1, errno == EINTR ? 0 : kPatienceMs) <= 0) return;
    }
}

void set_raw_terminal(bool is_raw) { g_is_raw.store(is_raw, std::memory_order_relaxed); }

void set_verbose(bool is_verbose) { g_is_verbose = is_verbose; }
bool is_verbose() { return g_is_verbose; }

void notice(std::string_view line) { write_line("mayfly: ", line); }
void error(std::string_view line) { write_line("mayfly: ", line); }
void warning(std::string_view line) { write_line("mayfly: warning: ", line); }
void info(std::string_view line) {
    if (g_is_verbose) write_line("mayfly: ", line);
}

}  // namespace mayfly::log
