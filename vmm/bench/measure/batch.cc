// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/measure/batch.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/bench/measure/statistics.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

// The descriptors' numbers, as ProcessFiles sets them.
constexpr int kTimelineFd = 3;
constexpr int kStatsFd = 4;
constexpr std::size_t kErrorTailBytes = 2048;
constexpr std::size_t kReportMaxBytes = MiB(1);
constexpr u64 kGraceNs = 2'000'000'000;  // from SIGTERM to SIGKILL
/// A pipe's capacity (pipe(7) "Pipe capacity"), and so the most that is in it when a process ends. No more is
/// read at a time: a fast writer would keep us from its deadline and from signals.
constexpr std::size_t kDrainMaxBytes = 65536;

struct Pipe {
    UniqueFd read;
    UniqueFd write;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) < 0) return fail(Error::os("pipe2"));
    Pipe pipe{UniqueFd::adopt(ends[0]), UniqueFd::adopt(ends[1])};
    // Our end only: a program need not expect a stdout that does not block.
    ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);
    return pipe;
}

/// Where mayfly's report goes: no file system is involved.
Result<UniqueFd> make_report_file() {
    const UniqueFd low = UniqueFd::adopt(::memfd_create("mayfly-report", MFD_CLOEXEC));
    if (!low.valid()) return fail(Error::os("memfd_create"));
    UniqueFd high = UniqueFd::adopt(::fcntl(low.get(), F_DUPFD_CLOEXEC, kHandedFdMin));
    if (!high.valid()) return fail(Error::os("F_DUPFD_CLOEXEC"));
    return high;
}

std::string read_report(const UniqueFd& fd) {
    std::string text(kReportMaxBytes, '\0');
    const ssize_t got = ::pread(fd.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

u64 nanoseconds(const timeval& time) {
    return static_cast<u64>(time.tv_sec) * 1'000'000'000 + static_cast<u64>(time.tv_usec) * 1000;
}

u64 since(u64 later_ns, u64 earlier_ns) { return later_ns - std::min(later_ns, earlier_ns); }

}  // namespace

struct BatchRunner::Slot {
    Process process;
    Run run;
    UniqueFd output;  ///< with marks
    UniqueFd error;
    UniqueFd timeline;
    UniqueFd stats;
    MarkWatch console;
    std::vector<NamedCount> seen;  ///< console marks, CLOCK_MONOTONIC
    u64 deadline_ns = 0;
    bool leaves_servers = false;  ///< processes left behind in its group live on
    bool is_over = false;

    void drain_error() {
        std::array<char, 4096> buffer;
        for (std::size_t taken = 0; taken < kDrainMaxBytes;) {
            const ssize_t got = ::read(error.get(), buffer.data(), buffer.size());
            if (got == 0) error = UniqueFd();
            if (got <= 0) return;
            taken += static_cast<std::size_t>(got);
            run.error_tail.append(buffer.data(), static_cast<std::size_t>(got));
            if (run.error_tail.size() > kErrorTailBytes)
                run.error_tail.erase(0, run.error_tail.size() - kErrorTailBytes);
        }
    }

    void drain_output(const std::vector<ConsoleMark>& marks) {
        std::array<char, 16384> buffer;
        for (std::size_t taken = 0; taken < kDrainMaxBytes;) {
            const ssize_t got = ::read(output.get(), buffer.data(), buffer.size());
            const u64 now = monotonic_ns();
            if (got == 0) output = UniqueFd();
            if (got <= 0) return;
            taken += static_cast<std::size_t>(got);
            for (const std::size_t mark : console.take({buffer.data(), static_cast<std::size_t>(got)}))
                seen.push_back({"console: " + marks[mark].name(), now});
        }
    }

    void finish(u64 exit_monotonic_ns, const std::vector<ConsoleMark>& marks) {
        if (error.valid()) drain_error();
        if (output.valid()) drain_output(marks);
        const Process::End end = leaves_servers ? process.reap_alone() : process.reap();
        is_over = true;
        run.exec_monotonic_ns = end.birth.exec_ns;
        run.exit_ns = since(exit_monotonic_ns, end.birth.exec_ns);
        run.user_ns = nanoseconds(end.usage.ru_utime);
        run.system_ns = nanoseconds(end.usage.ru_stime);
        run.waits = static_cast<u64>(end.usage.ru_nvcsw);
        run.preemptions = static_cast<u64>(end.usage.ru_nivcsw);
        run.counts.peak_memory_kib = static_cast<u64>(end.usage.ru_maxrss);
        if (end.birth.exec_errno != 0) {
            run.end = RunEnd::NotStarted;
            run.status = end.birth.exec_errno;
        } else if (run.end == RunEnd::Exited && WIFSIGNALED(end.wait_status)) {
            run.end = RunEnd::Signalled;
            run.status = WTERMSIG(end.wait_status);
        } else if (run.end == RunEnd::Exited) {
            run.status = WEXITSTATUS(end.wait_status);
        }
        collect_reports();
    }

    void collect_reports() {
        if (stats.valid()) {
            run.counts.stats = read_stats(read_report(stats));
            run.lacks_report = !run.counts.stats;
        }
        if (timeline.valid()) {
            const std::optional<BootTimeline> found = read_timeline(read_report(timeline));
            const BootTimeline known = found.value_or(BootTimeline{});
            run.lacks_report = !found;
            const auto add = [&](const NamedCount& event, const std::string& name) {
                run.moments.push_back(
                    {name, since(known.exec_monotonic_ns + event.value, run.exec_monotonic_ns)});
            };
            for (const NamedCount& phase : known.phases)
                add(phase, phase.name == "exit" ? "guest ended" : phase.name);
            for (const NamedCount& mark : known.marks) add(mark, mark.name);
        }
        for (const NamedCount& mark : seen)
            run.moments.push_back({mark.name, since(mark.value, run.exec_monotonic_ns)});
        sort_small(run.moments, [](const Moment& moment) { return moment.at_ns; });
    }
};

Result<BatchRunner> BatchRunner::create(const BenchPlan& plan) {
    UniqueFd null_fd = UniqueFd::adopt(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null_fd.valid()) return fail(Error::os("open").about("/dev/null"));
    sigset_t ending;
    ::sigemptyset(&ending);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&ending, number);
    UniqueFd signals = UniqueFd::adopt(::signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals.valid()) return fail(Error::os("signalfd"));
    sigset_t before;
    ::sigprocmask(SIG_BLOCK, &ending, &before);
    return BatchRunner(plan, std::move(null_fd), std::move(signals), before);
}

BatchRunner::~BatchRunner() {
    if (!signals_.valid()) return;
    // A signal that came too late to end a run does not prevent the results.
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    }
    ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
}

Result<BatchRunner::Slot> BatchRunner::start(std::size_t column, RunKind kind, u32 round) {
    const Column& what = plan_->columns[column];
    std::vector<std::string> arguments = what.arguments;
    Pipe error = TRY(make_pipe());
    Pipe output;
    UniqueFd timeline;
    UniqueFd stats;
    ProcessFiles files{null_fd_.get(), null_fd_.get(), error.write.get()};
    if (!plan_->marks.empty()) {
        output = TRY(make_pipe());
        files.output = output.write.get();
    }
    const auto report_to = [&](const char* option, int number) {
        arguments.insert(arguments.begin() + 2, {option, fmt::format("/proc/self/fd/{}", number)});
    };
    if (what.kind == Column::Kind::Mayfly && (kind == RunKind::Timed || kind == RunKind::WarmUp)) {
        timeline = TRY(make_report_file());
        files.third = timeline.get();
        report_to("--timeline-json", kTimelineFd);
    }
    if (what.kind == Column::Kind::Mayfly && kind == RunKind::Counting) {
        stats = TRY(make_report_file());
        files.fourth = stats.get();
        report_to("--stats-json", kStatsFd);
    }
    Process process = TRY(Process::start(what.program, arguments, files, kind == RunKind::Counting));
    Slot slot = watched(std::move(process), std::move(error.read));
    slot.output = std::move(output.read);
    slot.timeline = std::move(timeline);
    slot.stats = std::move(stats);
    slot.run.column = column;
    slot.run.round = round;
    slot.run.kind = kind;
    return slot;
}

BatchRunner::Slot BatchRunner::watched(Process process, UniqueFd error) const {
    return {.process = std::move(process),
            .run = {},
            .output = {},
            .error = std::move(error),
            .timeline = {},
            .stats = {},
            .console = MarkWatch(plan_->marks),
            .seen = {},
            .deadline_ns = monotonic_ns() + plan_->timeout_ms * 1'000'000};
}

Result<Run> BatchRunner::prepare(const std::string& command) {
    Pipe error = TRY(make_pipe());
    const ProcessFiles files{null_fd_.get(), null_fd_.get(), error.write.get()};
    Process process = TRY(Process::start("/bin/sh", {"sh", "-c", command}, files, false));
    error.write = UniqueFd();
    std::vector<Slot> slots;
    slots.push_back(watched(std::move(process), std::move(error.read)));
    slots.front().leaves_servers = true;
    TRY_VOID(watch(slots));
    return std::move(slots.front().run);
}

void BatchRunner::take_signal(std::vector<Slot>& slots) {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
    const bool is_second = signal_ != 0;
    signal_ = static_cast<int>(info.ssi_signo);
    kill_at_ns_ = is_second ? 0 : monotonic_ns() + kGraceNs;
    for (Slot& slot : slots) {
        if (slot.is_over) continue;
        slot.run.end = RunEnd::Interrupted;
        slot.process.signal(SIGTERM);
    }
}

void BatchRunner::end_overdue(std::vector<Slot>& slots) const {
    const u64 now = monotonic_ns();
    for (Slot& slot : slots) {
        if (slot.is_over || now < std::min(slot.deadline_ns, kill_at_ns_)) continue;
        if (slot.run.end == RunEnd::Exited) slot.run.end = RunEnd::TimedOut;
        slot.process.signal(SIGKILL);
        slot.deadline_ns = now + kGraceNs;
    }
}

Result<void> BatchRunner::watch(std::vector<Slot>& slots) {
    std::vector<pollfd> fds;
    for (;;) {
        fds.assign(1, {signals_.get(), POLLIN, 0});
        u64 next_ns = kill_at_ns_;
        bool is_all_over = true;
        for (const Slot& slot : slots) {
            is_all_over = is_all_over && slot.is_over;
            fds.push_back({slot.is_over ? -1 : slot.process.pidfd().get(), POLLIN, 0});
            fds.push_back({slot.is_over ? -1 : slot.output.get(), POLLIN, 0});
            fds.push_back({slot.is_over ? -1 : slot.error.get(), POLLIN, 0});
            if (!slot.is_over) next_ns = std::min(next_ns, slot.deadline_ns);
        }
        if (is_all_over) return {};
        const u64 wait_ms = since(next_ns, monotonic_ns()) / 1'000'000 + 1;
        const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(std::min<u64>(wait_ms, 60'000)));
        const u64 now = monotonic_ns();
        if (ready < 0 && errno != EINTR) return fail(Error::os("poll"));
        if (fds[0].revents != 0) take_signal(slots);
        for (std::size_t i = 0; i < slots.size(); ++i) {
            Slot& slot = slots[i];
            if (slot.is_over) continue;
            if (fds[1 + 3 * i].revents != 0) {
                slot.finish(now, plan_->marks);
                continue;
            }
            if (fds[2 + 3 * i].revents != 0) slot.drain_output(plan_->marks);
            if (fds[3 + 3 * i].revents != 0) slot.drain_error();
        }
        end_overdue(slots);
    }
}

Result<std::vector<Run>> BatchRunner::run(std::size_t column, RunKind kind, u32 round, u32 count) {
    std::vector<Slot> slots;
    slots.reserve(count);
    Result<void> status;
    for (u32 i = 0; i < count && status; ++i) {
        Result<Slot> slot = start(column, kind, round);
        if (slot) {
            slots.push_back(std::move(*slot));
        } else {
            status = fail(std::move(slot).error());
            for (Slot& started : slots) started.process.signal(SIGKILL);
        }
    }
    const Result<void> watched = watch(slots);
    if (!status) return fail(std::move(status).error());
    if (!watched) return fail(watched.error());
    std::vector<Run> runs;
    runs.reserve(slots.size());
    for (Slot& slot : slots) runs.push_back(std::move(slot.run));
    return runs;
}

}  // namespace mayfly
