// SPDX-License-Identifier: Apache-2.0
// IrqLine: the output pin of a chip model. The machine decides where it leads.
#pragma once

namespace mayfly {

/// Any thread; implementations lock internally.
class IrqLine {
  public:
    IrqLine() = default;
    IrqLine(const IrqLine&) = delete;
    IrqLine& operator=(const IrqLine&) = delete;
    virtual ~IrqLine() = default;

    /// Drives the pin. Repeating the current level is harmless.
    virtual void set_level(bool is_high) = 0;

    /// One low-high-low edge.
    void pulse() {
        set_level(true);
        set_level(false);
    }
};

/// A pin that leads nowhere.
class UnconnectedIrq final : public IrqLine {
  public:
    void set_level(bool /*is_high*/) override {}
};

}  // namespace mayfly
