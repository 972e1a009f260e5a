// SPDX-License-Identifier: Apache-2.0
// GuestGate: keeps a machine's helper threads away from the guest's memory, devices and interrupts while it
// is paused. vCPUs have RunControl, and the I/O thread is parked.
//
// Thread: any.
#pragma once

#include "vmm/error/ints.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

class GuestGate {
  public:
    GuestGate() = default;
    GuestGate(const GuestGate&) = delete;
    GuestGate& operator=(const GuestGate&) = delete;

    /// Short: a pause waits for its end.
    class [[nodiscard]] Visit {
      public:
        explicit Visit(GuestGate& gate) : gate_(gate), is_inside_(gate.enter()) {}
        Visit(const Visit&) = delete;
        Visit& operator=(const Visit&) = delete;
        ~Visit() {
            if (is_inside_) gate_.leave();
        }

        /// False: the machine is paused. Try again later.
        explicit operator bool() const { return is_inside_; }

      private:
        GuestGate& gate_;
        bool is_inside_;
    };

    /// Lets no thread in until open(). \returns false where a thread was still inside at `deadline_ns` of the
    /// monotonic clock.
    [[nodiscard]] bool close(u64 deadline_ns);
    void open();

  private:
    [[nodiscard]] bool enter();
    void leave();
    [[nodiscard]] bool is_empty();

    Mutex mutex_;
    u32 inside_ GUARDED_BY(mutex_) = 0;
    bool is_closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace mayfly
