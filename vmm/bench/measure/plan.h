// SPDX-License-Identifier: Apache-2.0
// A benchmark's tasks and results, as plain values.
//
// Times are nanoseconds; a run's moments count from just before its execve(2). Thread: values only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/bench/measure/boot_reports.h"
#include "vmm/bench/measure/marks.h"
#include "vmm/bench/measure/parameters.h"
#include "vmm/error/ints.h"

namespace mayfly {

/// A column of the comparison: mayfly itself, another mayfly, or another command.
struct Column {
    enum class Kind : u8 {
        Mayfly,  ///< the bench adds its report options after argv[1], "boot"
        Qemu,    ///< its own errors and guests share exit statuses
        Command,
    };
    Kind kind = Kind::Command;
    std::string name;
    std::string program;                    ///< for execve(2)
    std::vector<std::string> arguments;     ///< argv, with argv[0]
    std::vector<std::string> boot_words{};  ///< for mayfly and QEMU: BOOT-ARGS
    std::vector<Setting> settings{};        ///< of the --parameters that it uses
    std::string prepare{};                  ///< for sh -c before each batch; empty: nothing
    std::vector<int> successes{0};          ///< exit statuses; any other is a failure
};

struct BenchPlan {
    std::vector<Column> columns;
    std::vector<ConsoleMark> marks;
    u32 runs = 20;
    u32 warmup = 1;
    u32 parallel = 1;
    u64 timeout_ms = 60'000;
    bool is_verbose = false;
};

enum class RunKind : u8 {
    WarmUp,
    Timed,     ///< mayfly writes its timeline, and nothing else
    Bare,      ///< mayfly without any report, right after a timed run: shows the cost of the timeline
    Counting,  ///< not timed: exits, and memory
};

enum class RunEnd : u8 {
    Exited,
    Signalled,
    TimedOut,
    Interrupted,
    NotStarted,
    NoReport,  ///< exited without the report that a mayfly writes
};

/// The counts of a counting run. An empty optional: not permitted, or not available.
struct RunCounts {
    std::optional<BootStats> stats;  ///< of mayfly
    std::optional<u64> kvm_exits;    ///< tracepoint kvm:kvm_exit
    std::optional<u64> kvm_returns;  ///< tracepoint kvm:kvm_userspace_exit
    u64 peak_memory_kib = 0;
};

struct Moment {
    std::string name;
    u64 at_ns = 0;
};

struct Run {
    std::size_t column = 0;
    u32 round = 0;
    RunKind kind = RunKind::Timed;
    RunEnd end = RunEnd::Exited;
    int status = 0;  ///< exit status, signal, or errno of execve, as `end` says
    bool is_good = false;
    bool lacks_report = false;  ///< a report that mayfly should have written is missing
    u64 exec_monotonic_ns = 0;
    u64 exit_ns = 0;  ///< since exec
    u64 user_ns = 0;
    u64 system_ns = 0;
    u64 waits = 0;                ///< voluntary context switches
    u64 preemptions = 0;          ///< involuntary ones
    std::vector<Moment> moments;  ///< in order
    RunCounts counts;
    std::string error_tail;  ///< the end of stderr
};

/// The outcome of one column. A column with failures has failed: it is marked, and not compared.
struct ColumnOutcome {
    std::optional<int> status;        ///< exit status of its first good run
    bool cannot_be_measured = false;  ///< its first run showed that it cannot be measured
    bool is_given_up = false;         ///< that, or its first runs all failed
    u32 failures = 0;                 ///< runs that are in no percentile
    u64 batches_ns = 0;               ///< timed batches, first start to last end
};

struct BenchResult {
    std::vector<Run> runs;  ///< in the order in which they started
    std::vector<ColumnOutcome> columns;
    std::string why_no_tracepoints;  ///< empty: they were counted
    /// KVM without VT-x and AMD-V may have the tracepoint and never reach it.
    bool has_silent_exit_tracepoint = false;
    int signal = 0;  ///< the bench was asked to stop by it; 0: it was not
    std::string load_before;
    std::string load_after;
};

/// "status 3", "ended by signal 9", "no end within --timeout".
[[nodiscard]] std::string describe_end(const Run& run);

/// At most the last 300 bytes of a program's output, on one line.
[[nodiscard]] std::string last_lines(std::string_view text);

}  // namespace mayfly
