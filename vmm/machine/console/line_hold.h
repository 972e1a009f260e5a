// SPDX-License-Identifier: Apache-2.0
// LineHold: how much of a guest's output is written now, where its reader is a pipe or a file: whole lines,
// each by one write(2) instead of one for each character that the guest prints.
//
// The beginning of a line is held back for its end, though not for long, because it may be a prompt: a timer
// interrupts the vCPU that printed it, and goes on until nothing is held, since an interruption may come when
// the vCPU is just between two KVM_RUNs. A terminal gets everything at once. Thread: any, one at a time.
#pragma once

#include <optional>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

class LineHold {
  public:
    static constexpr u64 kHoldNs = 20'000'000;

    /// `fd` is where the output goes. Not owned.
    explicit LineHold(int fd) : fd_(fd) {}
    LineHold(const LineHold&) = delete;
    LineHold& operator=(const LineHold&) = delete;
    ~LineHold();

    /// How many bytes of `pending` are to be written now; its last `fresh_bytes` are new. On the thread of
    /// the vCPU that printed them.
    [[nodiscard]] std::size_t due(std::string_view pending, std::size_t fresh_bytes);
    /// Whether what is held has been so for long enough. After a kick.
    [[nodiscard]] bool is_over() const;
    /// Nothing is held any more. After a kick.
    void end();

  private:
    /// False: without a timer, so that nothing can be held.
    [[nodiscard]] bool start_timer();
    void set_timer(u64 interval_ns);

    int fd_;
    std::optional<bool> holds_;  // not known before the first line that is not whole
    std::optional<u64> since_ns_;
    std::optional<int> timer_;
    bool is_ticking_ = false;
};

}  // namespace mayfly
