// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/console_watch.h"

#include <poll.h>

#include <fmt/format.h>

#include "vmm/os/clock.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

struct Compiled {
    std::vector<Expression> expressions;
    std::size_t room;  ///< what is left for others
};

/// `room` is their largest size.
Result<Compiled> compile_all(std::string_view option, const std::vector<std::string>& texts,
                             std::size_t room) {
    Compiled compiled{{}, room};
    compiled.expressions.reserve(texts.size());
    for (const std::string& text : texts) {
        compiled.expressions.push_back(TRY(Expression::compile(option, text)));
        const std::size_t size = compiled.expressions.back().size();
        if (size > compiled.room)
            return fail(
                Error::invalid(visible(fmt::format("{} '{}' is too much: all expressions together have more "
                                                   "than {} characters once repetitions are written out",
                                                   option, text, ConsoleWatch::kInstructionsMax)))
                    .hint("write fewer expressions, or fewer or smaller repetitions {}"));
        compiled.room -= size;
    }
    return compiled;
}

constexpr std::array kSourcesInOrder{WatchSource::Console, WatchSource::Output, WatchSource::Error};

/// The prefix of a line in the log; empty for the console's.
std::string_view name_of(WatchSource source) {
    switch (source) {
        case WatchSource::Console: return "";
        case WatchSource::Output: return "stdout: ";
        case WatchSource::Error: return "stderr: ";
    }
    return "";
}

std::vector<WatchedExpression> unseen(const std::vector<std::string>& texts) {
    std::vector<WatchedExpression> watched;
    watched.reserve(texts.size());
    for (const std::string& text : texts) watched.push_back({.text = text, .line = {}});
    return watched;
}

}  // namespace

Result<std::unique_ptr<ConsoleWatch>> ConsoleWatch::create(const WatchConfig& config, WatchHooks hooks,
                                                           u64 start_ns) {
    Compiled expected = TRY(compile_all("--expect", config.expect, kInstructionsMax));
    Compiled forbidden = TRY(compile_all("--fail-on", config.fail_on, expected.room));
    std::unique_ptr<ConsoleWatch> watch(new ConsoleWatch(std::move(hooks), start_ns));
    bool is_looking = false;
    {
        const Lock guard(watch->mutex_);
        watch->expected_expressions_ = std::move(expected.expressions);
        watch->forbidden_expressions_ = std::move(forbidden.expressions);
        watch->expected_ = unseen(config.expect);
        watch->forbidden_ = unseen(config.fail_on);
        watch->missing_ = config.expect.size();
        is_looking = watch->is_looking();
    }
    if (is_looking) {
        watch->wake_ = TRY(EventFd::create());
        ConsoleWatch* self = watch.get();
        watch->thread_ = TRY(Thread::start([self] { self->look_at_prompts(); }));
    }
    return watch;
}

ConsoleWatch::~ConsoleWatch() {
    if (!thread_) return;
    {
        const Lock guard(mutex_);
        is_finished_ = true;
    }
    wake_->signal();
    thread_->join();
}

void ConsoleWatch::set_log(const WatchConfig& config, UniqueFd file) {
    const Lock guard(mutex_);
    log_.emplace(ConsoleLog::Settings{.path = config.log_path,
                                      .max_bytes = config.log_max_bytes,
                                      .should_give_up = hooks_.should_give_up},
                 std::move(file));
}

void ConsoleWatch::take(std::span<const u8> bytes, WatchSource source) {
    const Lock guard(mutex_);
    if (is_finished_ || bytes.empty()) return;
    now_ns_ = monotonic_ns() - start_ns_;
    // SAFETY: any object's bytes may be looked at as char; the span's length is the view's.
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    tail_.take(text);
    bool has_completed = false;
    Line& line = line_of(source);
    const bool was_between_lines = line.splitter.unfinished().text.empty();
    if (was_between_lines) line.began_ns = now_ns_;
    line.splitter.take(text, [&](const LineSplitter::Piece& piece) {
        mutex_.assume_held();
        take_piece(piece, source);
        has_completed = true;
        line.began_ns = now_ns_;
    });
    if (has_completed && log_) log_->flush();
    ++line.portions;
    if (line.is_waited_for || line.splitter.unfinished().text.empty() || !is_looking()) return;
    line.is_waited_for = true;
    wake_->signal();
}

void ConsoleWatch::take_piece(const LineSplitter::Piece& piece, WatchSource source) {
    if (log_) {
        log_piece(piece, source);
        if (piece.is_end) log_->end_line();
    }
    look(piece, {.is_line_start = piece.is_start, .is_line_end = piece.is_end});
}

void ConsoleWatch::log_piece(const LineSplitter::Piece& piece, WatchSource source) {
    // A line too long for one piece may be interrupted by lines of other sources, and continues after them.
    const bool is_interrupted = !piece.is_start && (logged_ != source || !log_->is_in_line());
    if (log_->is_in_line() && (piece.is_start || is_interrupted)) log_->end_line();
    if (piece.is_start || is_interrupted) log_->begin_line(line_of(source).began_ns, name_of(source));
    logged_ = source;
    log_->put(piece.text);
}

void ConsoleWatch::look(const LineSplitter::Piece& piece, TextEnds ends) {
    if (!is_looking() || gives_up()) return;
    const std::function<bool()> give_up = [this] {
        mutex_.assume_held();
        return gives_up();
    };
    const std::string_view line = escapes_.apply(piece.text);
    const auto note = [&](WatchedExpression& watched) {
        mutex_.assume_held();
        watched.is_seen = true;
        watched.seen_ns = now_ns_;
        watched.line = shown(line);
    };
    for (std::size_t i = 0; i < forbidden_.size() && !is_over_; ++i) {
        if (!forbidden_expressions_[i].matches(line, ends, give_up)) continue;
        note(forbidden_[i]);
        return decide(WatchVerdict::FailedOn);
    }
    for (std::size_t i = 0; i < expected_.size() && !is_over_; ++i) {
        if (expected_[i].is_seen || !expected_expressions_[i].matches(line, ends, give_up)) continue;
        note(expected_[i]);
        if (--missing_ == 0 && hooks_.ends_when_expected) decide(WatchVerdict::Expected);
    }
}

void ConsoleWatch::decide(WatchVerdict verdict) {
    is_over_ = true;
    hooks_.decide(verdict);
}

bool ConsoleWatch::gives_up() {
    constexpr u64 kGiveUpNs = u64{kGiveUpMs} * 1'000'000;
    if (is_over_) return true;
    if (!hooks_.should_give_up()) return false;
    const u64 now_ns = monotonic_ns();
    if (give_up_since_ns_ == 0) give_up_since_ns_ = now_ns;
    is_over_ = now_ns - give_up_since_ns_ > kGiveUpNs;
    return is_over_;
}

void ConsoleWatch::look_at_prompts() {
    for (;;) {
        pollfd wake{.fd = wake_->fd().get(), .events = POLLIN, .revents = 0};
        (void)::poll(&wake, 1, -1);
        (void)wake_->take();
        do {
            // Ends early only when the watch does.
            (void)::poll(&wake, 1, kStandstillMs);
        } while (look_at_standstill());
        const Lock guard(mutex_);
        if (is_finished_) return;
    }
}

bool ConsoleWatch::look_at_standstill() {
    const Lock guard(mutex_);
    if (is_finished_) return false;
    bool is_waiting = false;
    for (Line& line : lines_) is_waiting |= look_at_standstill(line);
    return is_waiting;
}

bool ConsoleWatch::look_at_standstill(Line& line) {
    const LineSplitter::Piece unfinished = line.splitter.unfinished();
    const bool is_wanted = line.is_waited_for && !unfinished.text.empty() && is_looking();
    if (is_wanted && line.portions != line.portions_seen) {
        line.portions_seen = line.portions;
        return true;
    }
    line.is_waited_for = false;
    if (!is_wanted) return false;
    now_ns_ = monotonic_ns() - start_ns_;
    look(unfinished, {.is_line_start = unfinished.is_start, .is_line_end = true});
    return false;
}

void ConsoleWatch::finish() {
    const Lock guard(mutex_);
    if (is_finished_) return;
    now_ns_ = monotonic_ns() - start_ns_;
    for (const WatchSource source : kSourcesInOrder) {
        line_of(source).splitter.finish([&](const LineSplitter::Piece& piece) {
            mutex_.assume_held();
            if (log_) log_piece(piece, source);
            look(piece, {.is_line_start = piece.is_start, .is_line_end = true});
        });
    }
    if (log_) log_->finish();
    is_finished_ = true;
}

}  // namespace mayfly
