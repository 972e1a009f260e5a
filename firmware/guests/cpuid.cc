// SPDX-License-Identifier: Apache-2.0
// cpuid: what a guest is told of its processor where makers differ: topology, with `cpus=` processors in all,
// frequencies, and that it lacks MONITOR and MWAIT, which KVM does not run.
// Spec: Intel SDM Vol. 2A "CPUID-CPU Identification".
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/cpu.h"
#include "firmware/guests/runtime/report.h"

namespace guest {
namespace {

constexpr u32 kMonitor = 1 << 3;
constexpr u32 kTypeSmt = 1;
constexpr u32 kTypeCore = 2;
constexpr u32 kHypervisorTiming = 0x4000'0010;

/// Leaf 0xb or 0x1f: one thread in a core, `cpus` cores.
void check_topology(u32 leaf, u32 cpus) {
    const CpuidLeaf smt = cpuid(leaf, 0);
    const CpuidLeaf core = cpuid(leaf, 1);
    const CpuidLeaf end = cpuid(leaf, 2);
    Line name;
    name.add("leaf ").add_hex(leaf).add(" threads");
    expect_equal(name.text(), kTypeSmt << 8 | 1, (smt.ecx & 0xff00) | smt.ebx);
    Line cores;
    cores.add("leaf ").add_hex(leaf).add(" cores");
    expect_equal(cores.text(), cpus, core.ebx & 0xffff);
    expect("type of cores", core.ecx == (kTypeCore << 8 | 1));
    u32 bits = 0;
    while (1U << bits < cpus) ++bits;
    expect_equal("bits of cores", bits, core.eax & 0x1f);
    expect_equal("levels end", 0, end.ecx & 0xff00);
    expect_equal("id", apic::id(), smt.edx);
    expect_equal("id of cores", apic::id(), core.edx);
}

/// Leaves 0x15 and 0x16 against what the hypervisor's own leaf says of the TSC.
void check_frequencies(u32 last) {
    const u32 khz = cpuid(0x4000'0000, 0).eax >= kHypervisorTiming ? cpuid(kHypervisorTiming, 0).eax : 0;
    const CpuidLeaf crystal = last >= 0x15 ? cpuid(0x15, 0) : CpuidLeaf{};
    if (khz == 0 || crystal.eax == 0 || crystal.ecx == 0) return pass("leaf 0x15 (not offered)");
    const u64 told = u64{crystal.ecx} * crystal.ebx / crystal.eax / 1000;
    expect_between("leaf 0x15", khz - 1, khz + 1, told);
    if (last < 0x16 || (cpuid(0x16, 0).eax & 0xffff) == 0) return pass("leaf 0x16 (not offered)");
    const CpuidLeaf frequency = cpuid(0x16, 0);
    expect_equal("leaf 0x16", khz / 1000, frequency.eax & 0xffff);
    expect("the most is not less", (frequency.ebx & 0xffff) >= (frequency.eax & 0xffff));
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    apic::enable();
    const u32 last = cpuid(0, 0).eax;
    const u32 cpus = static_cast<u32>(option_value("cpus", 1));
    expect_equal("no monitor", 0, cpuid(1, 0).ecx & kMonitor);
    expect_between("last leaf", 0xb, 0xff, last);
    check_topology(0xb, cpus);
    if (last >= 0x1f && cpuid(0x1f, 0).ebx != 0)
        check_topology(0x1f, cpus);
    else
        pass("leaf 0x1f (not offered)");
    check_frequencies(last);
    return failure_count();
}
