// SPDX-License-Identifier: Apache-2.0
// SignalRelay: signals that mayfly got and the program of --exec is to get.
//
// As long as nobody can pass them on they are mayfly's own.
// Thread: any; offer() also from signal handlers.
#pragma once

#include <atomic>

#include "vmm/error/ints.h"
#include "vmm/os/event_fd.h"

namespace mayfly {

class SignalRelay {
  public:
    /// There is a program from now on; `wake` is signalled for it, until close().
    void open(const EventFd& wake) { wake_.store(&wake, std::memory_order_release); }
    void close() { wake_.store(nullptr, std::memory_order_release); }
    /// False: nobody takes it. Async-signal-safe.
    [[nodiscard]] bool offer(int number) noexcept {
        const EventFd* wake = wake_.load(std::memory_order_acquire);
        if (wake == nullptr) return false;
        if (number == kInterrupt) interrupts_.fetch_add(1, std::memory_order_relaxed);
        received_.fetch_or(bit_of(number), std::memory_order_release);
        wake->signal();
        return true;
    }

    /// The numbers of all that came since the last call, as bits.
    [[nodiscard]] u64 take() { return received_.exchange(0, std::memory_order_acquire); }
    /// How often SIGINT came in all: twice is more than once, however close together.
    [[nodiscard]] u32 interrupts() const { return interrupts_.load(std::memory_order_relaxed); }
    [[nodiscard]] static constexpr u64 bit_of(int number) { return u64{1} << number; }

  private:
    static constexpr int kInterrupt = 2;  // SIGINT

    std::atomic<const EventFd*> wake_ = nullptr;
    std::atomic<u64> received_ = 0;
    std::atomic<u32> interrupts_ = 0;
};

}  // namespace mayfly
