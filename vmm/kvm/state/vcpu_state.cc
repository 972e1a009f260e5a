// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/state/vcpu_state.h"

#include <algorithm>

#include <fmt/format.h>

#include "vmm/kvm/counted_table.h"
#include "vmm/kvm/ioctl.h"
#include "vmm/kvm/state/lapic_timer.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

constexpr unsigned long kGetCpuid2 = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x91, kCountedHeaderBytes);
/// struct kvm_msr_list without its indices.
constexpr unsigned long kGetMsrIndexList = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x02, sizeof(u32));

/// struct kvm_xsave is of this size, but not for a C++ compiler: its flexible member makes it larger.
constexpr std::size_t kXsaveBytes = 4096;
constexpr unsigned long kGetXsave = _IOC(_IOC_READ, KVMIO, 0xa4, kXsaveBytes);
constexpr unsigned long kSetXsave = _IOC(_IOC_WRITE, KVMIO, 0xa5, kXsaveBytes);
constexpr unsigned long kGetXsave2 = _IOC(_IOC_READ, KVMIO, 0xcf, kXsaveBytes);

constexpr u32 kMsrTsc = 0x10;
constexpr u32 kMsrWallClock = 0x4b56'4d00;
constexpr u32 kMsrWallClockOld = 0x11;
/// Variable ranges: a base and a mask each.
constexpr u32 kMsrMtrrFirst = 0x200;
constexpr u32 kMsrMtrrEnd = 0x210;
constexpr u32 kMsrTscDeadline = 0x6e0;
/// MSRs of one call; KVM takes no more than 256.
constexpr std::size_t kMsrsAtOnce = 128;
using MsrTable = CountedTable<kvm_msr_entry, kMsrsAtOnce>;
using CpuidEntries = CountedTable<kvm_cpuid_entry2, CpuidTable::kEntriesFromKvm>;

Result<std::vector<u32>> msr_indices(const KvmSystem& system) {
    // The count, then the indices. Asked without room for any, KVM tells how many it has.
    std::vector<u32> list(1);
    (void)kvm_ioctl(system.fd(), kGetMsrIndexList, "KVM_GET_MSR_INDEX_LIST", list.data());
    list.resize(1 + list.front());
    TRY_VOID(kvm_ioctl(system.fd(), kGetMsrIndexList, "KVM_GET_MSR_INDEX_LIST", list.data()));
    list.erase(list.begin());
    // Writing the wall clock's MSRs makes KVM write to the memory at their address.
    std::erase_if(list, [](u32 index) {
        return index == kMsrTsc || index == kMsrWallClock || index == kMsrWallClockOld;
    });
    // KVM does not list the MSRs of memory types.
    for (u32 index = kMsrMtrrFirst; index < kMsrMtrrEnd; ++index) list.push_back(index);
    for (const u32 index :
         {0x250U, 0x258U, 0x259U, 0x268U, 0x269U, 0x26aU, 0x26bU, 0x26cU, 0x26dU, 0x26eU, 0x26fU, 0x2ffU})
        list.push_back(index);
    return list;
}

/// Those that this vCPU has: KVM stops at one that the vCPU lacks.
Result<std::vector<kvm_msr_entry>> get_msrs(const KvmVcpu& vcpu, std::span<const u32> indices) {
    std::vector<kvm_msr_entry> found;
    MsrTable table;
    while (!indices.empty()) {
        table.count = static_cast<u32>(std::min(indices.size(), kMsrsAtOnce));
        for (u32 i = 0; i < table.count; ++i)
            table.entries[i] = {.index = indices[i], .reserved = 0, .data = 0};
        const u32 asked = table.count;
        const u32 got = static_cast<u32>(TRY(kvm_ioctl(vcpu.fd(), kGetMsrs, "KVM_GET_MSRS", &table)));
        found.insert(found.end(), table.entries.begin(), table.entries.begin() + got);
        indices = indices.subspan(got < asked ? got + 1 : got);
    }
    return found;
}

/// Errors: Host for an MSR that KVM refuses and that has another value.
Result<void> set_msrs(const KvmVcpu& vcpu, std::span<const kvm_msr_entry> entries) {
    MsrTable table;
    while (!entries.empty()) {
        table.count = static_cast<u32>(std::min(entries.size(), kMsrsAtOnce));
        std::copy_n(entries.begin(), table.count, table.entries.begin());
        const u32 asked = table.count;
        const u32 taken = static_cast<u32>(TRY(kvm_ioctl(vcpu.fd(), kSetMsrs, "KVM_SET_MSRS", &table)));
        if (taken < asked) {
            // An MSR that a host never lets us write has kept its value.
            const kvm_msr_entry& refused = entries[taken];
            const std::optional<u64> present = vcpu.msr(refused.index);
            if (!present || *present != refused.data)
                return fail(Error::host(fmt::format("KVM refuses {:#x} for MSR {:#x} of vCPU {}",
                                                    u64{refused.data}, u32{refused.index}, vcpu.id())));
        }
        entries = entries.subspan(taken < asked ? taken + 1 : taken);
    }
    return {};
}

kvm_device_attr tsc_offset_attribute(u64& value) {
    kvm_device_attr attribute{};
    attribute.group = KVM_VCPU_TSC_CTRL;
    attribute.attr = KVM_VCPU_TSC_OFFSET;
    // SAFETY: the kernel takes the address as an integer.
    attribute.addr = reinterpret_cast<std::uintptr_t>(&value);
    return attribute;
}

Result<u64> tsc_offset(const KvmVcpu& vcpu) {
    u64 offset = 0;
    const kvm_device_attr attribute = tsc_offset_attribute(offset);
    TRY_VOID(KVM_IOCTL(vcpu.fd(), KVM_GET_DEVICE_ATTR, &attribute));
    return offset;
}

Result<std::vector<kvm_cpuid_entry2>> cpuid_of(const KvmVcpu& vcpu) {
    CpuidEntries table;
    table.count = CpuidTable::kEntriesFromKvm;
    TRY_VOID(kvm_ioctl(vcpu.fd(), kGetCpuid2, "KVM_GET_CPUID2", &table));
    return std::vector(table.filled().begin(), table.filled().end());
}

Result<void> set_cpuid(const KvmVcpu& vcpu, std::span<const kvm_cpuid_entry2> entries) {
    if (entries.size() > CpuidTable::kEntriesFromKvm)
        return fail(Error::invalid(fmt::format("{} CPUID entries were saved, and KVM takes {}",
                                               entries.size(), CpuidTable::kEntriesFromKvm)));
    CpuidEntries table;
    table.count = static_cast<u32>(entries.size());
    std::ranges::copy(entries, table.entries.begin());
    TRY_VOID(kvm_ioctl(vcpu.fd(), kSetCpuid2, "KVM_SET_CPUID2", &table));
    return {};
}

}  // namespace

std::size_t prepare_restoring(KvmVm& vm) {
    // With it a pending exception keeps its address, which otherwise is in CR2 or DR6 already: KVM has it
    // since Linux 4.20, and one that lacks it loses nothing where no guest of the guest runs.
    (void)vm.enable(KVM_CAP_EXCEPTION_PAYLOAD, 1);
    // And a pending triple fault of the guest is included (Linux 6.0).
    (void)vm.enable(KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
    return std::max(kXsaveBytes, static_cast<std::size_t>(std::max(0, vm.check(KVM_CAP_XSAVE2))));
}

Result<VcpuSaving> prepare_saving(const KvmSystem& system, KvmVm& vm, bool has_kernel_apic,
                                  KvmFlavour flavour) {
    if (vm.check(KVM_CAP_SREGS2) <= 0 || vm.check(KVM_CAP_VCPU_ATTRIBUTES) <= 0)
        return fail(Error::host("this KVM does not show the whole state of a vCPU")
                        .hint("needs Linux 5.16 or newer"));
    const std::size_t xsave_bytes = prepare_restoring(vm);
    return VcpuSaving{.msrs = TRY(msr_indices(system)),
                      .xsave_bytes = xsave_bytes,
                      .has_kernel_apic = has_kernel_apic,
                      .may_hide_expiry = flavour == KvmFlavour::Vmx || flavour == KvmFlavour::Unknown};
}

Result<VcpuState> save_vcpu(const KvmVcpu& vcpu, const VcpuSaving& saving) {
    const UniqueFd& fd = vcpu.fd();
    VcpuState state;
    if (saving.has_kernel_apic) state.lapic = TRY(settled_lapic(vcpu, saving.may_hide_expiry));
    state.lapic_wall_ns = wall_ns();
    TRY_VOID(KVM_IOCTL(fd, KVM_GET_MP_STATE, &state.mp_state));
    TRY_VOID(KVM_IOCTL(fd, KVM_GET_REGS, &state.regs));
    TRY_VOID(KVM_IOCTL(fd, KVM_GET_SREGS2, &state.sregs));
    state.xsave.resize(saving.xsave_bytes);
    if (saving.xsave_bytes > kXsaveBytes) {
        TRY_VOID(kvm_ioctl(fd, kGetXsave2, "KVM_GET_XSAVE2", state.xsave.data()));
    } else {
        TRY_VOID(kvm_ioctl(fd, kGetXsave, "KVM_GET_XSAVE", state.xsave.data()));
    }
    TRY_VOID(KVM_IOCTL(fd, KVM_GET_XCRS, &state.xcrs));
    TRY_VOID(KVM_IOCTL(fd, KVM_GET_DEBUGREGS, &state.debugregs));
    state.tsc_offset = TRY(tsc_offset(vcpu));
    state.msrs = TRY(get_msrs(vcpu, saving.msrs));
    TRY_VOID(KVM_IOCTL(fd, KVM_GET_VCPU_EVENTS, &state.events));
    state.cpuid = TRY(cpuid_of(vcpu));
    return state;
}

Result<void> restore_vcpu(KvmVcpu& vcpu, const VcpuState& state, std::size_t xsave_bytes) {
    if (state.xsave.size() < xsave_bytes)
        return fail(Error::invalid(fmt::format("{} bytes of XSAVE state were saved, and KVM takes {}",
                                               state.xsave.size(), xsave_bytes)));
    const UniqueFd& fd = vcpu.fd();
    TRY_VOID(set_cpuid(vcpu, state.cpuid));
    TRY_VOID(KVM_IOCTL(fd, KVM_SET_SREGS2, &state.sregs));
    TRY_VOID(KVM_IOCTL(fd, KVM_SET_REGS, &state.regs));
    // Without a LAPIC in the kernel KVM takes the APIC base from here.
    vcpu.run_page().cr8 = state.sregs.cr8;
    TRY_VOID(KVM_IOCTL(fd, KVM_SET_XCRS, &state.xcrs));
    TRY_VOID(kvm_ioctl(fd, kSetXsave, "KVM_SET_XSAVE", state.xsave.data()));
    TRY_VOID(KVM_IOCTL(fd, KVM_SET_DEBUGREGS, &state.debugregs));
    if (state.lapic) {
        const kvm_lapic_state lapic = lapic_later(*state.lapic, ns_since_wall(state.lapic_wall_ns));
        TRY_VOID(KVM_IOCTL(fd, KVM_SET_LAPIC, &lapic));
    }
    std::vector<kvm_msr_entry> msrs = state.msrs;
    const auto deadline = std::stable_partition(
        msrs.begin(), msrs.end(), [](const kvm_msr_entry& msr) { return msr.index != kMsrTscDeadline; });
    TRY_VOID(set_msrs(vcpu, std::span(msrs.begin(), deadline)));
    u64 offset = state.tsc_offset;
    const kvm_device_attr attribute = tsc_offset_attribute(offset);
    TRY_VOID(KVM_IOCTL(fd, KVM_SET_DEVICE_ATTR, &attribute));
    // A deadline is a value of the TSC, and only a LAPIC timer in that mode keeps it.
    TRY_VOID(set_msrs(vcpu, std::span(deadline, msrs.end())));
    kvm_vcpu_events events = state.events;
    // A machine without system management mode lacks its events.
    if (events.smi.smm == 0 && events.smi.pending == 0) events.flags &= ~u32{KVM_VCPUEVENT_VALID_SMM};
    TRY_VOID(KVM_IOCTL(fd, KVM_SET_VCPU_EVENTS, &events));
    TRY_VOID(KVM_IOCTL(fd, KVM_SET_MP_STATE, &state.mp_state));
    return {};
}

}  // namespace mayfly
