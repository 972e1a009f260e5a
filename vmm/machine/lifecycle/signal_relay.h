// SPDX-License-Identifier: Apache-2.0
// SignalRelay: signals that mayfly received for the program of --exec.
//
// Until they can be passed on they act on mayfly.
// Thread: any; offer() also from signal handlers.
#pragma once

#include <atomic>

#include "vmm/error/ints.h"
#include "vmm/os/event_fd.h"

namespace mayfly {

class SignalRelay {
  public:
    /// The program runs from now on; signals for it signal `wake`, until close().
    void open(const EventFd& wake) { wake_.store(&wake, std::memory_order_release); }
    void close() { wake_.store(nullptr, std::memory_order_release); }
    /// False: no program takes it. Async-signal-safe.
    [[nodiscard]] bool offer(int number) noexcept {
        const EventFd* wake = wake_.load(std::memory_order_acquire);
        if (wake == nullptr) return false;
        if (number == kInterrupt) interrupts_.fetch_add(1, std::memory_order_relaxed);
        received_.fetch_or(bit_of(number), std::memory_order_release);
        wake->signal();
        return true;
    }

    /// The signals received since the last call, as bits.
    [[nodiscard]] u64 take() { return received_.exchange(0, std::memory_order_acquire); }
    /// How often SIGINT came in all, counting each one however close together.
    [[nodiscard]] u32 interrupts() const { return interrupts_.load(std::memory_order_relaxed); }
    [[nodiscard]] static constexpr u64 bit_of(int number) { return u64{1} << number; }

  private:
    static constexpr int kInterrupt = 2;  // SIGINT

    std::atomic<const EventFd*> wake_ = nullptr;
    std::atomic<u64> received_ = 0;
    std::atomic<u32> interrupts_ = 0;
};

}  // namespace mayfly
