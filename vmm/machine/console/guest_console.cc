// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/guest_console.h"

#include <poll.h>
#include <unistd.h>

#include "vmm/os/display.h"
#include "vmm/os/terminal.h"
#include "vmm/threads/thread.h"

namespace mayfly {

Result<void> GuestConsole::connect(ConsoleInput::Deliver deliver, ConsoleInput::Resize resize) {
    const StdinKind kind = stdin_kind();
    const bool is_terminal = kind == StdinKind::Foreground;
    TRY_VOID(input_.connect({.fd = kind == StdinKind::Background ? -1 : STDIN_FILENO,
                             .is_terminal = is_terminal,
                             .deliver = std::move(deliver),
                             .resize = std::move(resize)},
                            stop_));
    if (!is_terminal) return {};
    const bool is_seen = output_.fd() >= 0 && ::isatty(output_.fd()) == 1;
    if (is_seen && !display_of(output_.fd()).is_dumb) output_.look_for_questions();
    if (is_seen) tell_how_to_leave();
    make_terminal_raw();
    return {};
}

Result<void> GuestConsole::start_looking(const KvmVcpu& first) {
    const bool is_looked_at = (log_ || early_) && output_.is_looked_at();
    if (!is_looked_at && !(log_ && log_->is_verbose())) return {};
    // A kernel that hangs has no exits; its last output must not wait for the timeout. By a kick, because a
    // vCPU's thread writes the console: there a stalled reader does not block us.
    looker_ = TRY(Thread::start([this, &first] {
        constexpr int kLookMs = 50;
        while (::poll(nullptr, 0, kLookMs), !stop_.is_requested()) {
            if (log_ && log_->has_handed_over()) return;
            const GuestGate::Visit visit(stop_.gate());
            if (!visit) continue;
            if (log_ ? log_->has_more() : early_->has_collected(first)) stop_.vcpus().kick_all();
        }
    }));
    return {};
}

void GuestConsole::end_threads() {
    input_.end();
    if (looker_) looker_->interrupt_and_join(kick_signal());
    looker_.reset();
}

void GuestConsole::serve(const KvmVcpu& vcpu) {
    if (early_) early_->drain(vcpu);
    if (log_) log_->drain();
    debug_.look();
    if (output_.has_pending()) output_.flush_lines();
    output_.look();
}

ConsoleState GuestConsole::save(const KvmVcpu& first) {
    before_exit(first);
    debug_.flush_all();
    output_.flush();
    ConsoleState state;
    if (log_) state.log = log_->save();
    if (early_) state.early = early_->state();
    return state;
}

bool GuestConsole::restore(const ConsoleState& state) {
    if (state.log.has_value() != log_.has_value() || state.early.has_value() != early_.has_value())
        return false;
    if (early_) early_->restore(*state.early);
    if (log_) log_->restore(*state.log);
    return true;
}

void GuestConsole::finish(const KvmVcpu& first) {
    if (early_) early_->drain(first);
    if (log_) log_->finish();
    debug_.finish();
    output_.flush();
    if (output_.has_asked_lately()) input_.settle(output_.fd());
    restore_terminal();
}

}  // namespace mayfly
