// SPDX-License-Identifier: Apache-2.0
// The definition block of the DSDT: the namespace of devices that a guest cannot find by itself.
//
// Only named values, no methods: a guest's interpreter has nothing to run. Thread: any.
// Spec: ACPI 6.5 §5.2.11.1 "Differentiated System Description Table (DSDT)".
#pragma once

#include "firmware/tables/acpi.h"
#include "firmware/tables/byte_writer.h"

namespace mayfly {

/// Appends the part after the DSDT's header.
void write_dsdt_body(ByteWriter& out, const AcpiOptions& options);

}  // namespace mayfly
