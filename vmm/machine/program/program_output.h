// SPDX-License-Identifier: Apache-2.0
// ProgramOutput: what the program of --exec writes to one of its streams, on its way to one of ours.
//
// A reader that has gone is told to init, which closes the program's end. Thread: built and finished by the
// main thread.
#pragma once

#include "vmm/machine/console/console.h"
#include "vmm/machine/program/ring_reader.h"

namespace mayfly {

class ProgramOutput final : private RingTaker {
  public:
    /// `fd` is not owned.
    ProgramOutput(channel::RingName ring, int fd, const ProgramContext& context);

    [[nodiscard]] ConsoleOutput& sink() { return sink_; }
    [[nodiscard]] RingReader& reader() { return reader_; }
    [[nodiscard]] const RingReader& reader() const { return reader_; }

  private:
    bool take(std::span<const std::byte> bytes) override;
    void on_over() override;

    const int fd_;
    ConsoleOutput sink_;
    RingReader reader_;  // ends before what it passes to
};

}  // namespace mayfly
