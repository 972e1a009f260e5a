// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/snapshot/snapshot_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "vmm/snapshot/format/section_codec.h"
#include "vmm/snapshot/machine_codec.h"
#include "vmm/snapshot/vcpu_check.h"

namespace mayfly {

namespace {

constexpr u32 kMemory = section_tag("MEMO");
constexpr std::array kKnown{
    section_tag("MACH"), section_tag("HOST"), section_tag("DISK"), kMemory,
    section_tag("CPUS"), section_tag("VMST"), section_tag("INTR"), section_tag("CHIP"),
    section_tag("VIRT"), section_tag("CONS"), section_tag("PROG")};

Result<void> check_known(std::span<const SectionView> sections) {
    for (const SectionView& section : sections) {
        if (!section.is_critical || std::find(kKnown.begin(), kKnown.end(), section.tag) != kKnown.end())
            continue;
        return fail(
            Error::invalid(fmt::format("the snapshot has a section {}, which this mayfly does not know",
                                       print_tag(section.tag)))
                .hint("another mayfly has written it"));
    }
    return {};
}

/// What one section says must fit what another says.
Result<void> check_agreement(const Snapshot& snapshot) {
    const BootConfig& config = snapshot.machine.config;
    if (snapshot.memory.ram_bytes != config.memory_bytes)
        return fail(Error::invalid(
            fmt::format("the snapshot is damaged: it lists {} bytes of memory, and its machine "
                        "has {}",
                        snapshot.memory.ram_bytes, config.memory_bytes)));
    return check_vcpus(snapshot.state.vcpus, snapshot.machine.plan.cpus);
}

Result<Snapshot> decode(SnapshotFiles files) {
    TRY_VOID(check_known(files.sections));
    HostRecord host = TRY(decode_host_record(files.sections));
    MachineRecord machine = TRY(decode_machine_record(files.sections));
    MachineState state = TRY(decode_machine_state(files.sections));
    MemoryRecord memory = TRY(from_section<MemoryRecord>(files.sections, kMemory));
    std::vector<DiskIdentity> disks = TRY(decode_disk_identities(files.sections));
    Snapshot snapshot{.host = std::move(host),
                      .machine = std::move(machine),
                      .state = std::move(state),
                      .memory = std::move(memory),
                      .disks = std::move(disks),
                      .memory_file = std::move(files.memory)};
    TRY_VOID(check_agreement(snapshot));
    return snapshot;
}

}  // namespace

std::vector<std::byte> encode_snapshot(const Machine& machine, const MachineState& state,
                                       const MemoryRecord& memory, const std::vector<DiskIdentity>& disks,
                                       std::string maker) {
    std::vector<Section> sections = encode(state);
    const MachineRecord record{.config = machine.config(), .plan = machine.plan()};
    sections.push_back(encode(record));
    sections.push_back(encode(this_host(record.plan.host.flavour, std::move(maker))));
    sections.push_back(to_section(kMemory, memory));
    sections.push_back(encode(disks));
    return write_state_file(sections);
}

Result<Snapshot> load_snapshot(const std::string& directory) {
    Result<Snapshot> snapshot = decode(TRY(open_snapshot(directory)));
    if (!snapshot) return fail(std::move(snapshot).error().about(directory + "/state"));
    return snapshot;
}

}  // namespace mayfly
