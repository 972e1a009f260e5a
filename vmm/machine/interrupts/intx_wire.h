// SPDX-License-Identifier: Apache-2.0
// IntxWire: one level-triggered input of the interrupt controllers that several functions' pins share.
//
// Thread: any; internally locked.
#pragma once

#include "devices/io/irq_line.h"
#include "vmm/machine/interrupts/interrupts.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

class IntxWire {
  public:
    IntxWire(Interrupts& interrupts, u32 gsi) : interrupts_(interrupts), gsi_(gsi) {}
    IntxWire(const IntxWire&) = delete;
    IntxWire& operator=(const IntxWire&) = delete;

    /// The wire is asserted while any of its pins is.
    class Pin final : public IrqLine {
      public:
        explicit Pin(IntxWire& wire) : wire_(wire) {}

        void set_level(bool is_high) override {
            const Lock guard(wire_.mutex_);
            if (is_high == is_high_) return;
            is_high_ = is_high;
            const u32 before = wire_.asserted_;
            wire_.asserted_ = is_high ? before + 1 : before - 1;
            if ((before == 0) != (wire_.asserted_ == 0))
                wire_.interrupts_.set_gsi(wire_.gsi_, wire_.asserted_ != 0);
        }

      private:
        IntxWire& wire_;
        bool is_high_ GUARDED_BY(wire_.mutex_) = false;
    };

  private:
    Interrupts& interrupts_;
    u32 gsi_;
    Mutex mutex_;
    u32 asserted_ GUARDED_BY(mutex_) = 0;  // pins that are high
};

}  // namespace mayfly
