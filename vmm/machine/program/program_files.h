// SPDX-License-Identifier: Apache-2.0
// ProgramFiles: what the program of --exec has left in the guest's files, on its way to ours.
//
// Our init sends them once the program has ended. Thread: built and finished by the main thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vmm/machine/copy_out/file_receiver.h"
#include "vmm/machine/lifecycle/ending.h"
#include "vmm/machine/program/ring_reader.h"

namespace mayfly {

class ProgramFiles final : private RingTaker {
  public:
    struct Hooks {
        /// The program's output is where it belongs: a file may go to the same place.
        std::function<bool()> is_turn;
        /// The first has come: the program has ended.
        std::function<void()> on_begin;
    };
    /// `hooks` are called by a thread of this object's.
    ProgramFiles(std::vector<CopyOut> copies, const ProgramContext& context, Hooks hooks)
        : copies_(std::move(copies)),
          context_(context),
          hooks_(std::move(hooks)),
          reader_(channel::RingName::Files, *this, context) {}

    /// Errors: where there is no place for one of them.
    Result<void> open();
    /// Once the channel is open. Errors: Os.
    Result<void> start() { return copies_.empty() ? Result<void>() : reader_.start(); }
    [[nodiscard]] RingReader& reader() { return reader_; }
    [[nodiscard]] const RingReader& reader() const { return reader_; }
    /// Some of them have come.
    [[nodiscard]] bool has_begun() const { return has_begun_.load(std::memory_order_acquire); }
    /// The machine's end, seen in the light of what became of the files. Once no thread is at work on them.
    [[nodiscard]] Ending judged(Ending ending) const;

  private:
    bool may_take() override { return hooks_.is_turn(); }
    bool take(std::span<const std::byte> bytes) override;
    void on_over() override {}

    const std::vector<CopyOut> copies_;
    const ProgramContext context_;
    const Hooks hooks_;
    std::unique_ptr<FileReceiver> receiver_;
    std::unique_ptr<RecordReader> records_;
    std::atomic<bool> has_begun_ = false;
    std::string protocol_error_;
    RingReader reader_;  // ends before what it passes to
};

}  // namespace mayfly
