// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/terminal.h"

#include <atomic>
#include <cerrno>
#include <csignal>

#include <termios.h>
#include <unistd.h>

namespace mayfly {

namespace {
termios g_saved{};
std::atomic<bool> g_is_raw = false;

void on_fatal_signal(int number) {
    restore_terminal_at_once();
    ::signal(number, SIG_DFL);
    ::raise(number);
}

}  // namespace

StdinKind stdin_kind() {
    if (::isatty(STDIN_FILENO) != 1) return StdinKind::Stream;
    return ::tcgetpgrp(STDIN_FILENO) == ::getpgrp() ? StdinKind::Foreground : StdinKind::Background;
}

bool make_terminal_raw(OutputProcessing output) {
    if (::tcgetattr(STDIN_FILENO, &g_saved) < 0) return false;
    termios raw = g_saved;
    ::cfmakeraw(&raw);
    for (const int number : {SIGSEGV, SIGABRT, SIGILL, SIGFPE}) ::signal(number, on_fatal_signal);
    if (output == OutputProcessing::On) raw.c_oflag |= OPOST;
    g_is_raw.store(true, std::memory_order_release);
    return ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

void restore_terminal() noexcept {
    if (!g_is_raw.exchange(false, std::memory_order_acq_rel)) return;
    // A stopped terminal may keep its output for any time; a signal ends the wait.
    if (::tcsetattr(STDIN_FILENO, TCSAFLUSH, &g_saved) == 0) return;
    ::tcflush(STDIN_FILENO, TCIFLUSH);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &g_saved);
}

void restore_terminal_at_once() noexcept {
    if (!g_is_raw.exchange(false, std::memory_order_acq_rel)) return;
    const int saved_errno = errno;
    ::tcflush(STDIN_FILENO, TCIFLUSH);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &g_saved);
    errno = saved_errno;
}

}  // namespace mayfly
