// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/machine_codec.h"

#include <algorithm>

#include "vmm/snapshot/chip_fields.h"
#include "vmm/snapshot/console_fields.h"
#include "vmm/snapshot/format/section_codec.h"
#include "vmm/snapshot/kvm_fields.h"
#include "vmm/snapshot/virtio_fields.h"

namespace mayfly {

namespace {

constexpr u32 kVcpus = section_tag("CPUS");
constexpr u32 kVm = section_tag("VMST");
constexpr u32 kInterrupts = section_tag("INTR");
constexpr u32 kChips = section_tag("CHIP");
constexpr u32 kVirtio = section_tag("VIRT");
constexpr u32 kConsole = section_tag("CONS");
constexpr u32 kProgram = section_tag("PROG");

using Cpuid = std::vector<kvm_cpuid_entry2>;

/// An entry that another vCPU has in this place: its APIC id, for one.
struct CpuidChange {
    u16 place = 0;
    kvm_cpuid_entry2 entry{};
};

/// One behind the other: the shared CPUID, then each vCPU.
struct CodedVcpu {
    std::vector<CpuidChange> changes;
    VcpuState state;  ///< without CPUID
};

struct CodedVcpus {
    Cpuid cpuid;
    std::vector<CodedVcpu> vcpus;
};

template <typename Coder>
void fields(Coder& coder, coded::As<CpuidChange> auto& change) {
    auto& [place, entry] = change;
    coder(place, entry);
}

template <typename Coder>
void fields(Coder& coder, coded::As<CodedVcpu> auto& vcpu) {
    auto& [changes, state] = vcpu;
    coder(changes, state);
}

template <typename Coder>
void fields(Coder& coder, coded::As<CodedVcpus> auto& vcpus) {
    auto& [cpuid, each] = vcpus;
    coder(cpuid, each);
}

bool is_equal(const kvm_cpuid_entry2& a, const kvm_cpuid_entry2& b) {
    return a.function == b.function && a.index == b.index && a.flags == b.flags && a.eax == b.eax &&
           a.ebx == b.ebx && a.ecx == b.ecx && a.edx == b.edx;
}

/// All vCPUs have the same leaves: VERIFYed where they are made.
CodedVcpus coded_vcpus(const std::vector<VcpuState>& vcpus) {
    CodedVcpus coded;
    if (!vcpus.empty()) coded.cpuid = vcpus.front().cpuid;
    for (const VcpuState& vcpu : vcpus) {
        CodedVcpu& one = coded.vcpus.emplace_back();
        one.state = vcpu;
        for (std::size_t place = 0; place < vcpu.cpuid.size(); ++place) {
            if (place < coded.cpuid.size() && is_equal(vcpu.cpuid[place], coded.cpuid[place])) continue;
            one.changes.push_back({static_cast<u16>(place), vcpu.cpuid[place]});
        }
    }
    return coded;
}

/// Nothing where a change has no place.
std::optional<std::vector<VcpuState>> plain_vcpus(CodedVcpus coded) {
    std::vector<VcpuState> vcpus;
    for (CodedVcpu& one : coded.vcpus) {
        one.state.cpuid = coded.cpuid;
        for (const CpuidChange& change : one.changes) {
            if (change.place >= coded.cpuid.size()) return std::nullopt;
            one.state.cpuid[change.place] = change.entry;
        }
        vcpus.push_back(std::move(one.state));
    }
    return vcpus;
}

}  // namespace

std::vector<Section> encode(const MachineState& state) {
    const auto& [vcpus, vm, interrupts, platform, virtio, console, program] = state;
    std::vector<Section> sections;
    sections.push_back(to_section(kVcpus, coded_vcpus(vcpus)));
    sections.push_back(to_section(kVm, vm));
    sections.push_back(to_section(kInterrupts, interrupts));
    sections.push_back(to_section(kChips, platform));
    sections.push_back(to_section(kVirtio, virtio));
    sections.push_back(to_section(kConsole, console));
    if (program) sections.push_back(to_section(kProgram, *program));
    return sections;
}

Result<MachineState> decode_machine_state(std::span<const SectionView> sections) {
    // Not within the braces: where TRY returns, objects that they have begun would leak.
    std::optional<std::vector<VcpuState>> vcpus =
        plain_vcpus(TRY(from_section<CodedVcpus>(sections, kVcpus)));
    if (!vcpus)
        return fail(
            Error::invalid("the snapshot is damaged: its section CPUS changes a leaf that is missing"));
    const VmState vm = TRY(from_section<VmState>(sections, kVm));
    const InterruptsState interrupts = TRY(from_section<InterruptsState>(sections, kInterrupts));
    const PlatformState platform = TRY(from_section<PlatformState>(sections, kChips));
    VirtioDevicesState virtio = TRY(from_section<VirtioDevicesState>(sections, kVirtio));
    const ConsoleState console = TRY(from_section<ConsoleState>(sections, kConsole));
    std::optional<ProgramState> program = TRY(from_section_if_there<ProgramState>(sections, kProgram));
    return MachineState{.vcpus = std::move(*vcpus),
                        .vm = vm,
                        .interrupts = interrupts,
                        .platform = platform,
                        .virtio = std::move(virtio),
                        .console = console,
                        .program = std::move(program)};
}

}  // namespace mayfly
