// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/program/program_streams.h"

#include <utility>

#include <unistd.h>

#include "vmm/machine/lifecycle/signals.h"
#include "vmm/os/display.h"
#include "vmm/os/terminal.h"
#include "vmm/text/log.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

using channel::MessageKind;
using channel::RingName;

/// The limit of init's lines: a guest may print any number.
constexpr std::size_t kLineBytesMax = 512;
constexpr u32 kLinesMax = 100;

int input_fd(bool has_terminal) {
    return has_terminal || stdin_kind() == StdinKind::Background ? -1 : STDIN_FILENO;
}

}  // namespace

ProgramStreams::ProgramStreams(const GuestMemory& memory, StopControl& stop, const Options& options,
                               std::function<void()> wake_init)
    : stop_(stop),
      has_terminal_(options.has_terminal),
      port_(*this),
      channel_(memory, std::move(wake_init)),
      outputs_{.out{RingName::Output, STDOUT_FILENO, {channel_, stop}},
               .error{RingName::Error, STDERR_FILENO, {channel_, stop}}},
      files_(options.copies_out, {channel_, stop},
             {.is_turn =
                  [this] { return outputs_.out.reader().has_ended() && outputs_.error.reader().has_ended(); },
              .on_begin = [this] { signals_.on_program_ended(); }}),
      input_(input_fd(options.has_terminal), {channel_, stop}),
      signals_(channel_, stop, options.grace) {
    outputs_.out.sink().tell_of_lost_reader();
    outputs_.error.sink().tell_of_lost_reader();
    outputs_.out.sink().set_name("the program's stdout");
    outputs_.error.sink().set_name("the program's stderr");
    if (options.has_terminal && !display_of(STDOUT_FILENO).is_dumb) outputs_.out.sink().look_for_questions();
}

void ProgramStreams::set_watch(ConsoleWatch* watch) {
    outputs_.out.sink().set_watch(watch, WatchSource::Output);
    outputs_.error.sink().set_watch(watch, WatchSource::Error);
}

Result<void> ProgramStreams::connect() {
    if (has_terminal_) {
        TRY_VOID(typed_.connect({.fd = STDIN_FILENO,
                                 .is_terminal = true,
                                 .deliver = [this](std::span<const u8> bytes) { return type(bytes); },
                                 .resize = [this](WindowSize size) { return resize(size); }},
                                stop_));
        tell_how_to_leave();
        make_terminal_raw(OutputProcessing::Off);
        log::set_raw_terminal(::isatty(STDERR_FILENO) == 1);
    } else {
        relay_window_changes();
    }
    return is_open_ ? start_threads() : Result<void>();
}

std::optional<std::size_t> ProgramStreams::type(std::span<const u8> bytes) {
    const GuestGate::Visit visit(stop_.gate());
    if (!visit) return std::nullopt;
    const std::size_t put = channel_.put(std::as_bytes(bytes)).bytes;
    channel_.tell_of_input();
    return put;
}

bool ProgramStreams::resize(WindowSize size) {
    const GuestGate::Visit visit(stop_.gate());
    return visit && channel_.send({MessageKind::Size, u32{size.rows} << 16 | size.columns});
}

Result<void> ProgramStreams::start_threads() {
    TRY_VOID(signals_.start());
    TRY_VOID(outputs_.out.reader().start());
    TRY_VOID(outputs_.error.reader().start());
    TRY_VOID(files_.start());
    return input_.start();
}

void ProgramStreams::on_open(u32 header_frame) {
    if (!channel_.open(header_frame))
        return stop_.end({EndKind::HostError, 0, "the guest's init did not open a valid channel"});
    is_open_ = true;
    if (const Result<void> started = start_threads(); !started)
        return stop_.end({EndKind::HostError, 0, "the program's streams: " + started.error().message()});
    if (has_terminal_) {
        // It may have changed since the job was packed.
        const WindowSize size = window_size(STDIN_FILENO);
        (void)channel_.send({MessageKind::Size, u32{size.rows} << 16 | size.columns});
        typed_.want();
    } else {
        // As a shell gives a background program an empty input.
        if (!input_.has_source()) channel_.end_input();
        // Init learns whether it can be woken at all.
        (void)channel_.send({MessageKind::None, 0});
    }
}

void ProgramStreams::on_doorbell(u8 wishes) {
    if ((wishes & channel::kProgramRuns) != 0 && on_running_) std::exchange(on_running_, nullptr)();
    if ((wishes & channel::wish_of(RingName::Output)) != 0) outputs_.out.reader().on_doorbell();
    if ((wishes & channel::wish_of(RingName::Error)) != 0) outputs_.error.reader().on_doorbell();
    if ((wishes & channel::wish_of(RingName::Files)) != 0) files_.reader().on_doorbell();
    if ((wishes & channel::wish_of(RingName::Input)) == 0) return;
    input_.on_doorbell();
    if (has_terminal_) typed_.want();
}

void ProgramStreams::on_text(u8 byte) {
    if (byte != '\n') {
        if (text_.line.size() < kLineBytesMax) text_.line += static_cast<char>(byte);
        return;
    }
    const std::string line = std::exchange(text_.line, {});
    if (text_.lines_shown == kLinesMax) return;
    log::error(shown(line));
    if (++text_.lines_shown == kLinesMax) log::error("further lines of init are not shown");
}

bool ProgramStreams::await_written(u64 deadline_ns) const {
    return outputs_.out.reader().await_taken(deadline_ns) &&
           outputs_.error.reader().await_taken(deadline_ns) && files_.reader().await_taken(deadline_ns);
}

void ProgramStreams::finish() {
    RingReader* const readers[] = {&outputs_.out.reader(), &outputs_.error.reader(), &files_.reader()};
    for (RingReader* const reader : readers) reader->begin_to_finish();
    for (RingReader* const reader : readers) reader->await_end();
    log::set_raw_terminal(false);
    if (has_terminal_ && outputs_.out.sink().has_asked_lately()) typed_.settle(outputs_.out.sink().fd());
}

void ProgramStreams::end_threads() {
    signals_.end();
    typed_.end();
    input_.end();
    outputs_.out.reader().end();
    outputs_.error.reader().end();
    files_.reader().end();
}

ProgramState ProgramStreams::save() const {
    return {.port = port_.state(), .channel = channel_.save(), .held_input = input_.held(), .text = text_};
}

bool ProgramStreams::restore(const ProgramState& state) {
    port_.restore(state.port);
    input_.hold(state.held_input);
    text_ = state.text;
    is_open_ = state.channel.is_open;
    return channel_.restore(state.channel);
}

}  // namespace mayfly
