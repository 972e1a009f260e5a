// SPDX-License-Identifier: Apache-2.0
// Profile: which of the two machines a guest gets, and why.
//
// modern: split irqchip, MSIs only, hardware-reduced ACPI. legacy: a PC with IOAPIC, 8259s, 8254, MP table.
#pragma once

#include <string>
#include <string_view>

#include "vmm/error/result.h"
#include "vmm/machine/plan/config.h"

namespace mayfly {

enum class Irqchip : u8 { Split, Full, None };

[[nodiscard]] std::string_view to_string(Irqchip kind);

enum class Profile : u8 { Modern, Legacy };

[[nodiscard]] std::string_view to_string(Profile profile);

struct MachineShape {
    Profile profile = Profile::Modern;
    Irqchip irqchip = Irqchip::Split;
    std::string why;  ///< one clause for -v
};

/// Errors: Invalid for impossible combinations: a split irqchip in `legacy`, two vCPUs without LAPIC, --pit
/// without an 8254.
Result<MachineShape> choose_shape(const BootConfig& config, Protocol protocol);

struct PitMode {
    bool reinjects = true;
    std::string_view why;  ///< one clause for -v
};

/// Of a machine that has an 8254.
[[nodiscard]] PitMode choose_pit(PitChoice choice, bool is_linux, bool has_avic);

}  // namespace mayfly
