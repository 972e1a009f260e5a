// SPDX-License-Identifier: Apache-2.0
// FakeIrqLine: an interrupt pin that records its changes.
#pragma once

#include "devices/io/irq_line.h"

namespace mayfly {

class FakeIrqLine final : public IrqLine {
  public:
    void set_level(bool is_high) override {
        if (is_high && !level) ++rising_edges;
        level = is_high;
        ++calls;
    }

    bool level = false;
    int rising_edges = 0;
    int calls = 0;
};

}  // namespace mayfly
