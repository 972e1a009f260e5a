// SPDX-License-Identifier: Apache-2.0
// VerdictSink: how a device tells the machine that the guest wants to end, and with what result.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

enum class Verdict : u8 {
    ExitCode,  ///< the guest wrote `value` to an exit port
    PowerOff,  ///< ACPI S5 or an equivalent
    Reset,     ///< 0xCF9, i8042, ACPI reset register
    Panic,     ///< pvpanic: the guest's kernel crashed
};

/// Any thread; the first verdict counts, later ones are ignored.
class VerdictSink {
  public:
    VerdictSink() = default;
    VerdictSink(const VerdictSink&) = delete;
    VerdictSink& operator=(const VerdictSink&) = delete;
    virtual ~VerdictSink() = default;

    virtual void decide(Verdict verdict, u64 value) = 0;
};

}  // namespace mayfly
