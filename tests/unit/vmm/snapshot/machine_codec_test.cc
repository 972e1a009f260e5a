// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/machine_codec.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/snapshot/filler.h"
#include "vmm/snapshot/chip_fields.h"
#include "vmm/snapshot/console_fields.h"
#include "vmm/snapshot/kvm_fields.h"
#include "vmm/snapshot/virtio_fields.h"

namespace mayfly {

namespace {

using Bytes = std::vector<std::byte>;

constexpr unsigned kMachines = 200;

/// Random in every member.
MachineState any_state(unsigned seed) {
    Filler filler(seed);
    MachineState state;
    auto& [vcpus, vm, interrupts, platform, virtio, console, program] = state;
    filler(vcpus, vm, interrupts, platform, virtio, console, program);
    if (vcpus.empty()) vcpus.emplace_back();
    // KVM reserves the other bytes of an entry.
    std::vector<kvm_cpuid_entry2> leaves(filler.below(20));
    for (auto& leaf : leaves) fields(filler, leaf);
    for (VcpuState& vcpu : vcpus) {
        vcpu.cpuid = leaves;
        for (auto& leaf : vcpu.cpuid) {
            if (filler.below(4) == 0) leaf.ebx = static_cast<u32>(filler.below(256));
        }
    }
    return state;
}

Bytes file_of(const MachineState& state) { return write_state_file(encode(state)); }

Result<MachineState> state_of(std::span<const std::byte> file) {
    const std::vector<SectionView> sections = TRY(read_state_file(file));
    return decode_machine_state(sections);
}

std::string refusal_of(std::span<const std::byte> file) {
    const Result<MachineState> state = state_of(file);
    REQUIRE_FALSE(state.has_value());
    return state.error().message();
}

bool is_equal(const std::vector<kvm_cpuid_entry2>& a, const std::vector<kvm_cpuid_entry2>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0);
}

}  // namespace

TEST_CASE("every member of any machine's state comes back", "[snapshot]") {
    for (unsigned seed = 0; seed < kMachines; ++seed) {
        const MachineState state = any_state(seed);
        const Bytes file = file_of(state);
        const Result<MachineState> again = state_of(file);
        REQUIRE(again.has_value());
        CHECK(file_of(*again) == file);
        REQUIRE(again->vcpus.size() == state.vcpus.size());
        for (std::size_t n = 0; n < state.vcpus.size(); ++n) {
            CHECK(is_equal(again->vcpus[n].cpuid, state.vcpus[n].cpuid));
            CHECK(std::memcmp(&again->vcpus[n].sregs, &state.vcpus[n].sregs, sizeof(kvm_sregs2)) == 0);
            CHECK(again->vcpus[n].xsave == state.vcpus[n].xsave);
        }
        CHECK(again->platform.uart.bytes_out == state.platform.uart.bytes_out);
        CHECK(again->virtio.devices.size() == state.virtio.devices.size());
        CHECK(again->program.has_value() == state.program.has_value());
    }
}

TEST_CASE("two states that differ have different files", "[snapshot]") {
    MachineState state = any_state(1);
    const Bytes file = file_of(state);
    state.vcpus.front().msrs.push_back({.index = 0x10, .reserved = 0, .data = 5});
    CHECK(file_of(state) != file);
}

TEST_CASE("another vCPU's CPUID takes only what differs", "[snapshot]") {
    MachineState state = any_state(2);
    VcpuState vcpu = state.vcpus.front();
    vcpu.cpuid.resize(40);
    state.vcpus.assign(1, vcpu);
    const std::size_t one = file_of(state).size();
    state.vcpus.assign(2, vcpu);
    const std::size_t alike = file_of(state).size() - one;
    state.vcpus[1].cpuid[7].ebx ^= 1;
    const std::size_t differing = file_of(state).size() - one;
    CHECK(alike < one);
    CHECK(differing == alike + sizeof(u16) + 7 * sizeof(u32));
}

TEST_CASE("a snapshot that is cut anywhere is refused", "[snapshot]") {
    const Bytes file = file_of(any_state(3));
    for (std::size_t size = 0; size < file.size(); ++size)
        REQUIRE_FALSE(state_of(std::span(file).first(size)).has_value());
}

TEST_CASE("a snapshot in which a bit has flipped is refused", "[snapshot]") {
    Bytes file = file_of(any_state(4));
    for (std::size_t at = 0; at < file.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            file[at] ^= std::byte{1} << bit;
            REQUIRE_FALSE(state_of(file).has_value());
            file[at] ^= std::byte{1} << bit;
        }
    }
}

TEST_CASE("a snapshot with a right checksum and anything in a section does no harm", "[snapshot]") {
    std::mt19937 random(5);
    const std::vector<Section> sections = encode(any_state(5));
    unsigned refused = 0;
    for (unsigned n = 0; n < 2000; ++n) {
        std::vector<Section> spoilt = sections;
        Bytes& payload = spoilt[random() % spoilt.size()].payload;
        if (payload.empty()) continue;
        for (unsigned changes = random() % 4 + 1; changes > 0; --changes)
            payload[random() % payload.size()] = static_cast<std::byte>(random());
        if (random() % 4 == 0) payload.resize(random() % payload.size());
        if (!state_of(write_state_file(spoilt)).has_value()) ++refused;
    }
    CHECK(refused > 500);
}

TEST_CASE("sections may come in any order, but none twice and none may lack", "[snapshot]") {
    const std::vector<Section> sections = encode(any_state(6));
    std::vector<Section> reversed = sections;
    std::reverse(reversed.begin(), reversed.end());
    CHECK(state_of(write_state_file(reversed)).has_value());
    for (std::size_t n = 0; n < sections.size(); ++n) {
        std::vector<Section> doubled = sections;
        doubled.push_back(sections[n]);
        CHECK(refusal_of(write_state_file(doubled)) ==
              "the snapshot is damaged: it has two sections " + print_tag(sections[n].tag));
        std::vector<Section> lacking = sections;
        lacking.erase(lacking.begin() + static_cast<std::ptrdiff_t>(n));
        if (sections[n].tag == section_tag("PROG")) continue;
        CHECK(refusal_of(write_state_file(lacking)) ==
              "the snapshot is damaged: it lacks its section " + print_tag(sections[n].tag));
    }
}

TEST_CASE("a section of a newer mayfly is refused by its name", "[snapshot]") {
    std::vector<Section> sections = encode(any_state(7));
    sections[2].version = 2;
    CHECK(refusal_of(write_state_file(sections)) ==
          "the snapshot's section INTR has version 2, and this mayfly reads version 1 (another mayfly has "
          "written "
          "it)");
}

TEST_CASE("a change of a CPUID leaf that is missing is refused", "[snapshot]") {
    MachineState state = any_state(8);
    state.vcpus.resize(2, state.vcpus.front());
    state.vcpus[0].cpuid.resize(3);
    state.vcpus[1].cpuid = state.vcpus[0].cpuid;
    state.vcpus[1].cpuid.emplace_back().function = 9;
    CHECK(refusal_of(file_of(state)) ==
          "the snapshot is damaged: its section CPUS changes a leaf that is missing");
}

}  // namespace mayfly
