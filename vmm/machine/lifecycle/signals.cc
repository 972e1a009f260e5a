// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/signals.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <span>

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "vmm/os/terminal.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

// Signal handlers cannot get our arguments. Written once, before any handler is installed.
StopControl* g_stop = nullptr;
u64 g_timeout_ms = 0;

/// To the program of --exec, if there is one.
bool relay(int number) { return !g_stop->is_requested() && g_stop->signals().offer(number); }

void end_by(int number) {
    if (number != SIGXCPU && number != SIGALRM && relay(number)) return;
    g_stop->end_from_signal(EndKind::Signal, static_cast<u64>(number));
    // Should a thread miss the kick, say just before it blocks in write(2), the next one reaches it.
    ::alarm(1);
}

/// A bit for each signal received before we knew which ones were ignored at our start; then kArmed.
constexpr u64 kArmed = 1;
std::atomic<u64> g_received = 0;
constexpr u64 bit_of(int number) { return u64{1} << number; }

void on_ending_signal(int number) {
    const int saved_errno = errno;
    const bool is_for_snapshot =
        number == SIGUSR2 && g_stop->snapshot().request(SnapshotMoment::Kind::Signal);
    if (!is_for_snapshot && (g_received.fetch_or(bit_of(number)) & kArmed) != 0) end_by(number);
    errno = saved_errno;
}

void on_alarm(int number) {
    const int saved_errno = errno;
    if (g_timeout_ms == 0) {
        end_by(number);
    } else {
        g_stop->end_from_signal(EndKind::Timeout, g_timeout_ms);
        ::alarm(1);
    }
    errno = saved_errno;
}

/// Does not end the machine, with or without a program.
void on_other_signal(int number) {
    const int saved_errno = errno;
    (void)relay(number);
    errno = saved_errno;
}

/// Our own kicks, and other processes' signals of that number.
void on_kick(int number, siginfo_t* info, void* /*context*/) {
    // SI_TIMER: of a line that is held back (console/line_hold.h).
    const bool is_ours =
        info->si_code == SI_TIMER || (info->si_code == SI_TKILL && info->si_pid == ::getpid());
    if (!is_ours) on_other_signal(number);
}

/// The only file pages that mayfly touches itself are those of a kernel or initrd.
void on_bus_error(int /*number*/) {
    restore_terminal_at_once();
    log::write_stderr("mayfly: a kernel or initrd file shrank, or could not be read, while it was in use\n");
    ::_exit(kStatusFailed);
}

/// \returns whether the signal was ignored.
bool install(int number, void (*handler)(int)) {
    // No SA_RESTART: a kick must end a blocking write to the console too.
    struct sigaction action {};
    action.sa_handler = handler;
    struct sigaction old {};
    return ::sigaction(number, &action, &old) == 0 && old.sa_handler == SIG_IGN;
}

void install_kick() {
    struct sigaction action {};
    action.sa_sigaction = on_kick;
    action.sa_flags = SA_SIGINFO;
    (void)::sigaction(kick_signal(), &action, nullptr);
}

/// Ignored signals stay ignored. One call both reads and replaces the handler: a signal in between waits in
/// g_received.
void install_ending(std::span<const int> numbers) {
    u64 ignored = 0;
    for (const int number : numbers) {
        if (!install(number, on_ending_signal)) continue;
        install(number, SIG_IGN);
        ignored |= bit_of(number);
    }
    const u64 came = g_received.fetch_or(kArmed) & ~ignored;
    for (const int number : numbers) {
        if ((came & bit_of(number)) != 0) end_by(number);
    }
}

}  // namespace

void make_write_signals_errors() {
    install(SIGPIPE, SIG_IGN);
    install(SIGXFSZ, SIG_IGN);
}

void report_bus_errors() { install(SIGBUS, on_bus_error); }

void install_signal_handlers(StopControl& stop) {
    g_stop = &stop;
    install_kick();
    constexpr std::array kEnding{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR2, SIGXCPU};
    // Before the others, which ring it.
    install(SIGALRM, on_alarm);
    install_ending(kEnding);
    // A parent that waits for signals by sigwait or signalfd hands its mask down to us.
    sigset_t needed;
    ::sigemptyset(&needed);
    for (const int number : kEnding) ::sigaddset(&needed, number);
    for (const int number : {kick_signal(), SIGALRM, SIGBUS}) ::sigaddset(&needed, number);
    ::pthread_sigmask(SIG_UNBLOCK, &needed, nullptr);
}

void relay_window_changes() { install(SIGWINCH, on_other_signal); }

Result<void> start_timeout(std::chrono::milliseconds limit) {
    g_timeout_ms = static_cast<u64>(limit.count());
    itimerval timer{};
    timer.it_value.tv_sec = limit.count() / 1000;
    timer.it_value.tv_usec = limit.count() % 1000 * 1000;
    if (::setitimer(ITIMER_REAL, &timer, nullptr) < 0) return fail(Error::os("setitimer"));
    return {};
}

}  // namespace mayfly
