// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/signals.h"

#include <array>
#include <cerrno>
#include <string_view>

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "vmm/os/terminal.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

// Signal handlers take no argument of ours. Written once, before any handler is installed.
StopControl* g_stop = nullptr;
u64 g_timeout_ms = 0;

void on_ending_signal(int number) {
    const int saved_errno = errno;
    g_stop->end_from_signal(EndKind::Signal, static_cast<u64>(number));
    // Should a thread miss the kick, say just before it blocks in write(2), the next one reaches it.
    ::alarm(1);
    errno = saved_errno;
}

void on_alarm(int number) {
    if (g_timeout_ms == 0) return on_ending_signal(number);
    const int saved_errno = errno;
    g_stop->end_from_signal(EndKind::Timeout, g_timeout_ms);
    ::alarm(1);
    errno = saved_errno;
}

void on_kick(int /*number*/) {}

/// The only file pages that mayfly touches itself are those of a kernel or initrd.
void on_bus_error(int /*number*/) {
    restore_terminal_at_once();
    log::write_stderr("mayfly: a kernel or initrd file shrank, or could not be read, while it was in use\n");
    ::_exit(kStatusFailed);
}

void on_fatal_signal(int number) {
    restore_terminal_at_once();
    ::signal(number, SIG_DFL);
    ::raise(number);
}

void install(int number, void (*handler)(int), bool keep_ignored) {
    struct sigaction action {};
    action.sa_handler = handler;
    // No SA_RESTART: a kick must end a blocking write to the console too.
    if (keep_ignored) {
        struct sigaction old {};
        if (::sigaction(number, nullptr, &old) == 0 && old.sa_handler == SIG_IGN) return;
    }
    ::sigaction(number, &action, nullptr);
}

}  // namespace

void make_write_signals_errors() {
    install(SIGPIPE, SIG_IGN, false);
    install(SIGXFSZ, SIG_IGN, false);
}

void report_bus_errors() { install(SIGBUS, on_bus_error, false); }

void install_signal_handlers(StopControl& stop) {
    g_stop = &stop;
    install(kick_signal(), on_kick, false);
    constexpr std::array kEnding{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR2, SIGXCPU};
    for (const int number : kEnding) install(number, on_ending_signal, true);
    install(SIGALRM, on_alarm, false);
    for (const int number : {SIGSEGV, SIGABRT, SIGILL, SIGFPE}) install(number, on_fatal_signal, false);
    // A parent that waits for signals by sigwait or signalfd hands its mask down to us.
    sigset_t needed;
    ::sigemptyset(&needed);
    for (const int number : kEnding) ::sigaddset(&needed, number);
    for (const int number : {kick_signal(), SIGALRM, SIGBUS}) ::sigaddset(&needed, number);
    ::pthread_sigmask(SIG_UNBLOCK, &needed, nullptr);
}

Result<void> start_timeout(std::chrono::milliseconds limit) {
    g_timeout_ms = static_cast<u64>(limit.count());
    itimerval timer{};
    timer.it_value.tv_sec = limit.count() / 1000;
    timer.it_value.tv_usec = limit.count() % 1000 * 1000;
    if (::setitimer(ITIMER_REAL, &timer, nullptr) < 0) return fail(Error::os("setitimer"));
    return {};
}

}  // namespace mayfly
