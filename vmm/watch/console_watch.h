// SPDX-License-Identifier: Apache-2.0
// ConsoleWatch: watches the guest's console: matches --expect and --fail-on, keeps the last lines, and writes
// the log. The console's own output is unchanged.
//
// Whole lines are matched as they come. The unfinished last line, such as a prompt, is matched once it has
// not changed for kStandstillMs, by the watch's own thread: matching at each byte would be quadratic, and
// would take half a word for the end.
// Thread: take() any, with the console's output lock held; create() and finish() the main thread.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/os/event_fd.h"
#include "vmm/threads/mutex.h"
#include "vmm/threads/thread.h"
#include "vmm/watch/console_log.h"
#include "vmm/watch/console_tail.h"
#include "vmm/watch/expression.h"
#include "vmm/watch/line_splitter.h"
#include "vmm/watch/plain_text.h"
#include "vmm/watch/watch_config.h"

namespace mayfly {

enum class WatchVerdict : u8 {
    Expected,  ///< every --expect expression has matched
    FailedOn,  ///< a --fail-on expression has matched
};

/// The source of a line: each source has its own lines.
enum class WatchSource : u8 { Console, Output, Error };

struct WatchHooks {
    /// Whether Expected counts as a verdict: not where a program's own end decides.
    bool ends_when_expected = true;
    /// Called once at most, on whichever thread; must not call back.
    std::function<void(WatchVerdict)> decide;
    /// Whether mayfly is ending and must not wait, for the log's reader or for expressions to be matched. At
    /// any time; once true, it stays true.
    std::function<bool()> should_give_up;
};

/// The outcome of one expression.
struct WatchedExpression {
    std::string text;
    bool is_seen = false;
    u64 seen_ns = 0;   ///< since mayfly's start
    std::string line;  ///< the matching line, as shown() makes it
};

class ConsoleWatch {
  public:
    static constexpr int kStandstillMs = 5;
    /// How long lines are still matched once mayfly is ending, so that earlier lines get their verdict.
    static constexpr int kGiveUpMs = 50;
    /// Of all expressions together: some third of a second for the worst text of 4 KiB.
    static constexpr std::size_t kInstructionsMax = 10'000;

    /// `start_ns` is mayfly's start on the monotonic clock. Errors: Invalid for an expression.
    static Result<std::unique_ptr<ConsoleWatch>> create(const WatchConfig& config, WatchHooks hooks,
                                                        u64 start_ns);
    ConsoleWatch(const ConsoleWatch&) = delete;
    ConsoleWatch& operator=(const ConsoleWatch&) = delete;
    ~ConsoleWatch();

    /// Starts the log of `config` in its file, which is open for writing. Before the guest runs.
    void set_log(const WatchConfig& config, UniqueFd file);

    void take(std::span<const u8> bytes, WatchSource source = WatchSource::Console);
    /// The console has ended: matches its unfinished line, and completes the log.
    void finish();

    // After finish().
    [[nodiscard]] const std::vector<WatchedExpression>& expected() const {
        const Lock guard(mutex_);
        return expected_;
    }
    [[nodiscard]] const std::vector<WatchedExpression>& forbidden() const {
        const Lock guard(mutex_);
        return forbidden_;
    }
    [[nodiscard]] std::vector<std::string> tail(std::size_t lines_max) const {
        const Lock guard(mutex_);
        return tail_.lines(lines_max);
    }
    [[nodiscard]] const ConsoleLog* log() const {
        const Lock guard(mutex_);
        return log_ ? &*log_ : nullptr;
    }

  private:
    ConsoleWatch(WatchHooks hooks, u64 start_ns) : hooks_(std::move(hooks)), start_ns_(start_ns) {}

    /// The line of one source that has not ended.
    struct Line {
        LineSplitter splitter;
        u64 began_ns = 0;
        bool is_waited_for = false;  ///< the thread waits for a standstill
        u64 portions = 0;            ///< how often bytes came
        u64 portions_seen = 0;       ///< by the thread
    };
    static constexpr std::size_t kSources = 3;

    void take_piece(const LineSplitter::Piece& piece, WatchSource source) REQUIRES(mutex_);
    void log_piece(const LineSplitter::Piece& piece, WatchSource source) REQUIRES(mutex_);
    [[nodiscard]] Line& line_of(WatchSource source) REQUIRES(mutex_) {
        return lines_[static_cast<std::size_t>(source)];
    }
    /// Whether any expression may still change the outcome.
    [[nodiscard]] bool is_looking() const REQUIRES(mutex_) {
        return !is_over_ && (missing_ > 0 || !forbidden_.empty());
    }
    void look(const LineSplitter::Piece& piece, TextEnds ends) REQUIRES(mutex_);
    void decide(WatchVerdict verdict) REQUIRES(mutex_);
    /// Whether the time for matching is over. Lines that were not looked at count as not seen.
    bool gives_up() REQUIRES(mutex_);
    void look_at_prompts();
    /// Whether an unfinished line still needs waiting.
    bool look_at_standstill();
    bool look_at_standstill(Line& line) REQUIRES(mutex_);

    const WatchHooks hooks_;
    const u64 start_ns_;
    mutable Mutex mutex_;
    std::array<Line, kSources> lines_ GUARDED_BY(mutex_);
    WatchSource logged_ GUARDED_BY(mutex_) = WatchSource::Console;  // whose line the log is in
    ConsoleTail tail_ GUARDED_BY(mutex_);
    std::optional<ConsoleLog> log_ GUARDED_BY(mutex_);
    std::vector<Expression> expected_expressions_ GUARDED_BY(mutex_);
    std::vector<Expression> forbidden_expressions_ GUARDED_BY(mutex_);
    std::vector<WatchedExpression> expected_
        GUARDED_BY(mutex_);  // as many as the expressions, and in their order
    std::vector<WatchedExpression> forbidden_ GUARDED_BY(mutex_);
    std::size_t missing_ GUARDED_BY(mutex_) = 0;
    bool is_over_ GUARDED_BY(mutex_) = false;      // decided, or given up
    u64 give_up_since_ns_ GUARDED_BY(mutex_) = 0;  // when should_give_up() first returned true; 0: not yet
    bool is_finished_ GUARDED_BY(mutex_) = false;
    u64 now_ns_ GUARDED_BY(mutex_) = 0;  // since start, of the bytes in process
    EscapeFilter escapes_ GUARDED_BY(mutex_);

    std::optional<EventFd> wake_;
    std::optional<Thread> thread_;
};

}  // namespace mayfly
