// SPDX-License-Identifier: Apache-2.0
// ProgramOutput: carries one of the streams of --exec's program to one of ours.
//
// Init is told of a lost reader, and closes the program's end. Thread: built and finished by the main thread.
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
    RingReader reader_;  // destroyed before its taker
};

}  // namespace mayfly
