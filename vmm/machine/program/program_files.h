// SPDX-License-Identifier: Apache-2.0
// ProgramFiles: carries the files of --copy-out from the guest to the host.
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
        /// The program's output has been written: a file may go to the same place.
        std::function<bool()> is_turn;
        /// The first file has come: the program has ended.
        std::function<void()> on_begin;
    };
    /// A thread of this object calls `hooks`.
    ProgramFiles(std::vector<CopyOut> copies, const ProgramContext& context, Hooks hooks)
        : copies_(std::move(copies)),
          context_(context),
          hooks_(std::move(hooks)),
          reader_(channel::RingName::Files, *this, context) {}

    /// Errors: where one of them has no place.
    Result<void> open();
    /// Once the channel is open. Errors: Os.
    Result<void> start() { return copies_.empty() ? Result<void>() : reader_.start(); }
    [[nodiscard]] RingReader& reader() { return reader_; }
    [[nodiscard]] const RingReader& reader() const { return reader_; }
    /// Whether some files have come.
    [[nodiscard]] bool has_begun() const { return has_begun_.load(std::memory_order_acquire); }
    /// The machine's ending, adjusted to the outcome of the copies. Once no thread works on them.
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
    RingReader reader_;  // destroyed before its taker
};

}  // namespace mayfly
