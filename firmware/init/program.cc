// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/program.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/resource.h>
#include <linux/signal.h>
#include <linux/signalfd.h>
#include <linux/termios.h>
#include <linux/wait.h>

#include "firmware/init/copy_out.h"
#include "firmware/init/ports.h"
#include "firmware/init/set_up.h"
#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

using channel::RingName;

/// A signal set in Linux's layout.
using SignalSet = u64;
constexpr SignalSet bit_of(u32 signal) { return SignalSet{1} << (signal - 1); }

struct Pipe {
    i32 reading = -1;
    i32 writing = -1;
};

long make_pipe(Pipe& pipe) {
    i32 ends[2] = {-1, -1};
    const long result = system_call(__NR_pipe2, address(ends), O_CLOEXEC);
    pipe = {.reading = ends[0], .writing = ends[1]};
    return result;
}

void close_if_open(i32& file) {
    if (file >= 0) close_file(file);
    file = -1;
}

/// On our end alone: the program's end stays blocking, as programs expect.
void make_non_blocking(i32 file) { system_call(__NR_fcntl, static_cast<u64>(file), F_SETFL, O_NONBLOCK); }

void become_stream(i32 file, u64 stream) { system_call(__NR_dup3, static_cast<u64>(file), stream, 0); }

/// The program's streams, each with an end of ours. With a terminal all ends are one.
struct Ends {
    i32 to_input = -1;
    i32 from_output = -1;
    i32 from_error = -1;
    i32 program_input = -1;
    i32 program_output = -1;
    i32 program_error = -1;

    long make_pipes(bool has_one_output);
    long make_terminal(u16 rows, u16 columns);
    void close_program_ends();
};

long Ends::make_pipes(bool has_one_output) {
    Pipe input;
    Pipe output;
    Pipe error;
    long result = make_pipe(input);
    if (result == 0) result = make_pipe(output);
    if (result == 0 && !has_one_output) result = make_pipe(error);
    if (result != 0) return result;
    *this = {.to_input = input.writing,
             .from_output = output.reading,
             .from_error = error.reading,
             .program_input = input.reading,
             .program_output = output.writing,
             .program_error = has_one_output ? output.writing : error.writing};
    // A pipe as large as the ring, so that the program and init alternate less often. Where that is refused,
    // 64 KiB.
    system_call(__NR_fcntl, static_cast<u64>(to_input), F_SETPIPE_SZ, channel::ring_bytes(RingName::Input));
    system_call(__NR_fcntl, static_cast<u64>(from_output), F_SETPIPE_SZ,
                channel::ring_bytes(RingName::Output));
    make_non_blocking(to_input);
    make_non_blocking(from_output);
    if (from_error >= 0) make_non_blocking(from_error);
    return 0;
}

long Ends::make_terminal(u16 rows, u16 columns) {
    const int master = open_file("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0) return master;
    const i32 unlock = 0;
    system_call(__NR_ioctl, static_cast<u64>(master), TIOCSPTLCK, address(&unlock));
    const long slave =
        system_call(__NR_ioctl, static_cast<u64>(master), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) return slave;
    const struct winsize size { .ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0 };
    system_call(__NR_ioctl, static_cast<u64>(master), TIOCSWINSZ, address(&size));
    to_input = from_output = master;
    program_input = program_output = program_error = static_cast<i32>(slave);
    return 0;
}

void Ends::close_program_ends() {
    close_file(program_input);
    if (program_output != program_input) close_file(program_output);
    if (program_error != program_output) close_file(program_error);
}

struct Limit {
    u64 number;
    u64 value;
};
constexpr u64 kNoLimit = ~u64{0};
/// The limits of container engines. The others are Linux's defaults.
constexpr Limit kLimits[] = {{RLIMIT_NOFILE, 1 << 20}, {RLIMIT_NPROC, kNoLimit}, {RLIMIT_CORE, kNoLimit}};

/// The outcome of starting the program.
struct Failure {
    i32 error;  ///< a negated errno
    InitStep step;
};

/// In the child.
Failure become_user(const Job& job) {
    for (const Limit& limit : kLimits) {
        const u64 soft_and_hard[2] = {limit.value, limit.value};
        system_call(__NR_prlimit64, 0, limit.number, address(soft_and_hard));
    }
    system_call(__NR_umask, 022);
    make_directories(job.directory);
    constexpr u64 kGroupsMax = 256;
    u32 groups[kGroupsMax];
    u64 count = 0;
    while (count < kGroupsMax && job.groups[count] != nullptr) {
        groups[count] = decimal(job.groups[count]);
        ++count;
    }
    long result = 0;
    if (job.user != 0 || job.group != 0 || count != 0) {  // else skipped: a kernel may lack support for users
        // /dev/stdout and its like are opened by name.
        constexpr u64 kSameGroup = ~u64{0};
        for (u64 stream = 0; stream < 3; ++stream) system_call(__NR_fchown, stream, job.user, kSameGroup);
        result = system_call(__NR_setgroups, count, address(groups));
        if (result == 0) result = system_call(__NR_setresgid, job.group, job.group, job.group);
        if (result == 0) result = system_call(__NR_setresuid, job.user, job.user, job.user);
    }
    if (result != 0) return {static_cast<i32>(result), InitStep::User};
    // As the user: a directory that only others may enter is refused.
    result = system_call(__NR_chdir, address(job.directory));
    return {static_cast<i32>(result), InitStep::Directory};
}

/// In the child. An error goes into `outcome`, which exec closes.
[[noreturn]] void become_program(const Job& job, const Ends& ends, int outcome) {
    constexpr u64 kSteal = 1;  // from the session that owns it
    become_stream(ends.program_input, 0);
    become_stream(ends.program_output, 1);
    become_stream(ends.program_error, 2);
    system_call(__NR_setsid);
    if (job.has_terminal) system_call(__NR_ioctl, 0, TIOCSCTTY, kSteal);
    const SignalSet none = 0;
    system_call(__NR_rt_sigprocmask, SIG_SETMASK, address(&none), 0, sizeof(none));
    mark(kInitMarkProgram);
    give_up_ports();
    Failure failure = become_user(job);
    if (failure.error == 0)
        failure = {static_cast<i32>(system_call(__NR_execve, address(job.program), address(job.arguments),
                                                address(job.environment))),
                   InitStep::Execute};
    system_call(__NR_write, static_cast<u64>(outcome), address(&failure), sizeof(failure));
    system_call(__NR_exit_group, 127);
    __builtin_unreachable();
}

InitReport report_of(u32 status) {
    const u32 signal = status & 0x7f;  // wait(2): WTERMSIG, and WEXITSTATUS in the next byte
    if (signal != 0) return {InitReport::Kind::Signalled, InitStep::None, static_cast<u16>(signal)};
    return {InitReport::Kind::Exited, InitStep::None, static_cast<u16>(status >> 8 & 0xff)};
}

InitReport failed(InitStep step, long error) {
    return {InitReport::Kind::InitFailed, step, static_cast<u16>(-error)};
}

/// Passes data between the program and the channel, until the program has ended.
class Relay {
  public:
    Relay(const Job& job, Streams& streams, Ends ends, long child, int ended)
        : job_(job), streams_(streams), ends_(ends), child_(child), ended_(ended) {}

    InitReport run();

  private:
    void take_messages();
    void signal_program(u32 number) const;
    void pass_input();
    void leave_input();
    void pass_output(RingName ring, i32& from);
    /// Only the bytes already there: a process that still has the other end may write forever.
    void pass_rest(RingName ring, i32& from);
    /// \returns whether the program is among them.
    bool wait_for_children();
    void end_all_others();
    /// Until there is something to do.
    void sleep();
    [[nodiscard]] bool is_terminal() const { return job_.has_terminal; }

    const Job& job_;
    Streams& streams_;
    Ends ends_;
    long child_;                   // 0: it has ended
    const int ended_;              // readable when a child has ended
    bool has_child_ended_ = true;  // a child may have ended since the last wait
    bool is_hung_up_ = false;      // no process has the terminal's other end open
    u32 status_ = 0;
};

void Relay::signal_program(u32 number) const {
    if (child_ == 0) return;
    // To its whole process group, as from a keyboard.
    const bool is_typed = number == SIGINT || number == SIGQUIT;
    system_call(__NR_kill, static_cast<u64>(is_typed ? -child_ : child_), number);
}

void Relay::take_messages() {
    channel::Message message{};
    while (streams_.take_message(message)) {
        switch (message.kind) {
            case channel::MessageKind::None: break;
            case channel::MessageKind::Signal: signal_program(message.value); break;
            case channel::MessageKind::Size: {
                const struct winsize size {
                    .ws_row = static_cast<u16>(message.value >> 16),
                    .ws_col = static_cast<u16>(message.value), .ws_xpixel = 0, .ws_ypixel = 0
                };
                if (is_terminal() && ends_.from_output >= 0)
                    system_call(__NR_ioctl, static_cast<u64>(ends_.from_output), TIOCSWINSZ, address(&size));
                break;
            }
            case channel::MessageKind::Kill:
                // Every process but us; others may not even be notified.
                system_call(__NR_kill, ~u64{0}, SIGKILL);
                break;
        }
    }
}

void Relay::leave_input() {
    streams_.leave_input();
    if (!is_terminal()) close_file(ends_.to_input);  // else the output uses it as well
    ends_.to_input = -1;
}

void Relay::pass_input() {
    if (ends_.to_input < 0) return;
    const long result = streams_.drain(ends_.to_input);
    const bool is_refused = result < 0 && result != -EAGAIN && result != -EINTR && !is_terminal();
    if (is_refused || streams_.is_input_over()) leave_input();
}

void Relay::pass_output(RingName ring, i32& from) {
    if (from < 0) return;
    if (!streams_.is_left(ring)) {
        // Limited, so that other streams get their turn.
        const long result = streams_.fill(ring, from, channel::ring_bytes(ring)).result;
        // A process may open the terminal again, which is the program's controlling terminal.
        is_hung_up_ = is_terminal() && result == -EIO;
        if (result == Streams::kMore || result == -EAGAIN || result == -EINTR || is_hung_up_) return;
    }
    if (is_terminal()) ends_.to_input = -1;
    close_if_open(from);
    streams_.end_output(ring);
}

void Relay::pass_rest(RingName ring, i32& from) {
    constexpr u32 kTerminalBytes = 1 << 16;
    i32 there = 0;
    if (from >= 0 && !is_terminal())
        system_call(__NR_ioctl, static_cast<u64>(from), FIONREAD, address(&there));
    u32 left = is_terminal() ? kTerminalBytes : static_cast<u32>(there);
    while (from >= 0 && left != 0 && !streams_.is_left(ring)) {
        const auto [bytes, result] = streams_.fill(ring, from, left);
        left -= bytes;
        if (result != Streams::kMore && result != -EINTR) break;
        if (streams_.has_room(ring)) continue;
        take_messages();
        if (streams_.wish(channel::kWishMessages | channel::wish_of(ring))) continue;
        streams_.wake().wait();
    }
    if (from >= 0 && !is_terminal()) close_file(from);
    from = -1;
    streams_.end_output(ring);
}

bool Relay::wait_for_children() {
    has_child_ended_ = false;
    struct signalfd_siginfo told {};
    while (system_call(__NR_read, static_cast<u64>(ended_), address(&told), sizeof(told)) > 0) {
    }
    // Orphans become our children: each is reaped, so that none stays a zombie.
    for (;;) {
        u32 status = 0;
        const long ended = system_call(__NR_wait4, ~u64{0}, address(&status), WNOHANG, 0);
        if (ended <= 0) return false;
        if (ended != child_) continue;
        child_ = 0;
        status_ = status;
        return true;
    }
}

void Relay::sleep() {
    const bool has_input = streams_.has_input();
    const bool has_room = streams_.has_room(RingName::Output);
    const bool has_error_room = streams_.has_room(RingName::Error);
    u32 wishes = channel::kWishMessages;
    if (ends_.to_input >= 0 && !has_input) wishes |= channel::wish_of(RingName::Input);
    if (ends_.from_output >= 0 && !has_room) wishes |= channel::wish_of(RingName::Output);
    if (ends_.from_error >= 0 && !has_error_room) wishes |= channel::wish_of(RingName::Error);
    if (streams_.wish(wishes)) return;
    // Negative descriptors are ignored. A pipe's other end shows its loss unasked; so does a terminal's,
    // which does not count as an event.
    const bool looks_at_input = ends_.to_input >= 0 && (!is_terminal() || (has_input && !is_hung_up_));
    struct pollfd events[] = {
        {.fd = streams_.wake().file(), .events = POLLIN, .revents = 0},
        {.fd = ended_, .events = POLLIN, .revents = 0},
        {.fd = looks_at_input ? ends_.to_input : -1,
         .events = static_cast<short>(has_input ? POLLOUT : 0),
         .revents = 0},
        {.fd = has_room && !is_hung_up_ ? ends_.from_output : -1, .events = POLLIN, .revents = 0},
        {.fd = has_error_room ? ends_.from_error : -1, .events = POLLIN, .revents = 0},
    };
    streams_.wake().wait(events, sizeof(events) / sizeof(*events));
    has_child_ended_ |= events[1].revents != 0;
    if (!is_terminal() && (events[2].revents & POLLERR) != 0) leave_input();
}

/// So that no process changes the files while they are copied.
void Relay::end_all_others() {
    constexpr struct __kernel_timespec kMoment { .tv_sec = 0, .tv_nsec = 10'000'000 };
    constexpr int kMomentsMax = 100;  // a process that hangs in the kernel does not end
    system_call(__NR_kill, ~u64{0}, SIGKILL);
    for (int moment = 0; moment < kMomentsMax;) {
        u32 status = 0;
        const long ended = system_call(__NR_wait4, ~u64{0}, address(&status), WNOHANG, 0);
        if (ended < 0) return;
        if (ended > 0) continue;
        system_call(__NR_nanosleep, address(&kMoment), 0);
        ++moment;
    }
}

InitReport Relay::run() {
    for (;;) {
        take_messages();
        pass_input();
        pass_output(RingName::Output, ends_.from_output);
        pass_output(RingName::Error, ends_.from_error);
        if (has_child_ended_ && wait_for_children()) break;
        sleep();
    }
    pass_rest(RingName::Output, ends_.from_output);
    pass_rest(RingName::Error, ends_.from_error);
    if (*job_.copies_out != nullptr) {
        end_all_others();
        copy_out(job_.copies_out, streams_);
    }
    return report_of(status_);
}

}  // namespace

InitReport run_program(const Job& job, Streams& streams) {
    Ends ends;
    long result =
        job.has_terminal ? ends.make_terminal(job.rows, job.columns) : ends.make_pipes(job.has_one_output);
    if (result < 0) return failed(InitStep::Channel, result);
    if (ends.from_error < 0) streams.end_output(RingName::Error);
    const SignalSet ended_set = bit_of(SIGCHLD);
    system_call(__NR_rt_sigprocmask, SIG_SETMASK, address(&ended_set), 0, sizeof(ended_set));
    const long ended = system_call(__NR_signalfd4, ~u64{0}, address(&ended_set), sizeof(ended_set),
                                   SFD_CLOEXEC | SFD_NONBLOCK);
    if (ended < 0) return failed(InitStep::Fork, ended);
    Pipe outcome;
    result = make_pipe(outcome);
    if (result < 0) return failed(InitStep::Fork, result);
    const long child = system_call(__NR_fork);
    if (child < 0) return failed(InitStep::Fork, child);
    if (child == 0) become_program(job, ends, outcome.writing);
    close_file(outcome.writing);
    ends.close_program_ends();
    Failure failure{};
    do {
        result =
            system_call(__NR_read, static_cast<u64>(outcome.reading), address(&failure), sizeof(failure));
    } while (result == -EINTR);
    close_file(outcome.reading);
    if (result == sizeof(failure)) {
        const bool is_directory = failure.step == InitStep::Directory;
        say(is_directory ? "cannot enter " : "cannot execute ", is_directory ? job.directory : job.program,
            ": ", error_name(-failure.error));
        return failed(failure.step, failure.error);
    }
    if (job.tells_start) ring_monitor(channel::kProgramRuns);
    return Relay(job, streams, ends, child, static_cast<int>(ended)).run();
}

}  // namespace mayfly::init
