// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/vcpu_check.h"

#include <cstring>
#include <string>

#include <catch2/catch.hpp>

namespace mayfly {

namespace {

constexpr u64 kEnabled = 1U << 11;
constexpr u64 kX2Apic = 1U << 10;

VcpuState vcpu(u32 id, bool is_x2apic) {
    VcpuState state;
    state.lapic.emplace();
    state.sregs.apic_base = 0xfee0'0000 | kEnabled | (is_x2apic ? kX2Apic : 0);
    const u32 value = is_x2apic ? id : id << 24;
    std::memcpy(state.lapic->regs + 0x20, &value, sizeof value);
    return state;
}

std::string refusal_of(const std::vector<VcpuState>& vcpus, std::size_t count = 2) {
    const Result<void> checked = check_vcpus(vcpus, count);
    REQUIRE_FALSE(checked.has_value());
    return checked.error().message();
}

}  // namespace

TEST_CASE("vCPUs with their own APICs in their place are restored", "[snapshot]") {
    CHECK(check_vcpus(std::vector{vcpu(0, false), vcpu(1, true)}, 2).has_value());
    VcpuState without;
    without.sregs.apic_base = 0x1000;
    CHECK(check_vcpus(std::vector{without}, 1).has_value());
}

TEST_CASE("a vCPU whose APIC KVM would accept, and then not virtualise, is refused", "[snapshot]") {
    std::vector<VcpuState> vcpus{vcpu(0, false), vcpu(1, true)};
    SECTION("another number") {
        CHECK(refusal_of(vcpus, 3) == "the snapshot is damaged: it has 2 vCPUs, and its machine 3");
    }
    SECTION("a moved base") {
        vcpus[1].sregs.apic_base += 0x1000;
        CHECK(refusal_of(vcpus) == "vCPU 1 of the snapshot has moved its local APIC, which is not restored");
    }
    SECTION("a foreign id") {
        vcpus[0] = vcpu(1, false);
        CHECK(refusal_of(vcpus) == "vCPU 0 of the snapshot has the APIC id 1, which is not restored");
    }
    SECTION("a base that comes by an MSR") {
        vcpus[1].msrs.push_back({.index = 0x1b, .reserved = 0, .data = 0xfee0'1800});
        CHECK(refusal_of(vcpus) ==
              "vCPU 1 of the snapshot has the APIC's base as an MSR, which is not restored");
    }
}

}  // namespace mayfly
