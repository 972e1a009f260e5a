// SPDX-License-Identifier: Apache-2.0
// ACPI's power registers, of hardware-reduced machines and of machines with fixed hardware.
// Spec: ACPI 6.5 §4.8.3 "Fixed Hardware Registers".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::acpi_power {

// Hardware-reduced: ACPI 6.5 §4.8.3.7 "Sleep Control and Status Registers". One byte each.
constexpr u64 kSleepControl = 0;
constexpr u64 kSleepStatus = 1;
constexpr u8 kSleepTypeShift = 2;
constexpr u8 kSleepTypeMask = 0x1c;
constexpr u8 kSleepEnable = 0x20;

// Fixed hardware: ACPI 6.5 §4.8.3.1 "PM1 Event Grouping", §4.8.3.2 "PM1 Control Grouping". 16 bits each, here
// in one block: status, enable, control.
constexpr u64 kPm1Status = 0;
constexpr u64 kPm1Enable = 2;
constexpr u64 kPm1Control = 4;
constexpr u16 kPm1EnableMask = 0x4721;  // TMR, GBL, PWRBTN, SLPBTN, RTC, PCIEXP_WAKE_DIS
constexpr u16 kSciEnable = 0x0001;
constexpr u16 kBmRld = 0x0002;
constexpr u16 kPm1SleepTypeShift = 10;
constexpr u16 kPm1SleepTypeMask = 0x1c00;
constexpr u16 kPm1SleepEnable = 0x2000;

}  // namespace mayfly::acpi_power
