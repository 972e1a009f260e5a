// SPDX-License-Identifier: Apache-2.0
// What a guest does to its local APIC that makes KVM switch APICv off, and what --stats says of injections.
// Intel SDM Vol. 3A "Local APIC Status and Location": IA32_APIC_BASE; "Local APIC ID Register": bits 31:24.
#include "vmm/report/apicv.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "vmm/report/report.h"

using namespace mayfly;

namespace {

constexpr u64 kEnabled = 1 << 11;
constexpr u64 kX2Apic = 1 << 10;

StatsReport injected(bool has_apicv, bool is_off) {
    StatsReport report;
    report.vcpus = {{{"irq_injections", 6}}, {{"irq_injections", 5}}};
    report.has_apicv = has_apicv;
    report.is_apicv_off = is_off;
    return report;
}

bool says(const StatsReport& report, std::string_view words) {
    return stats_table(report, 400).find(words) != std::string::npos;
}

u64 in_json(const StatsReport& report) {
    return nlohmann::json::parse(stats_json(report))["kvm"]["injected_without_apicv"];
}

}  // namespace

TEST_CASE("a local APIC that is as KVM made it keeps APICv on", "[apicv]") {
    for (const u32 id : {0U, 1U, 63U}) {
        CHECK_FALSE(keeps_apicv_off(0xfee0'0000 | kEnabled, id << 24, id));
        CHECK_FALSE(keeps_apicv_off(0xfee0'0000 | kEnabled | kX2Apic, id, id));
        CHECK_FALSE(keeps_apicv_off(0xfee0'0000, id << 24, id));
    }
}

TEST_CASE("one that is at another address, or has another id, keeps APICv off", "[apicv]") {
    CHECK(keeps_apicv_off(0xfedf'0000 | kEnabled, 0, 0));
    CHECK(keeps_apicv_off(0xfedf'0000 | kEnabled | kX2Apic, 0, 0));
    CHECK(keeps_apicv_off(0xfee0'0000 | kEnabled, 5U << 24, 0));
}

TEST_CASE("a disabled local APIC keeps nothing off, and an x2APIC id never changes", "[apicv]") {
    CHECK_FALSE(keeps_apicv_off(0xfedf'0000, 0, 0));
    CHECK_FALSE(keeps_apicv_off(0xfee0'0000 | kEnabled | kX2Apic, 5U << 24, 0));
}

TEST_CASE("--stats blames the guest only where it switched APICv off", "[apicv]") {
    CHECK(says(injected(true, true), "KVM injected 11 interrupts although it has APICv: the guest switched"));
    CHECK(in_json(injected(true, true)) == 11);
    CHECK(says(injected(true, false), "although it has APICv: those of an 8259, those whose delivery met"));
    CHECK_FALSE(says(injected(true, false), "the guest"));
    CHECK(in_json(injected(true, false)) == 0);
    CHECK_FALSE(says(injected(false, false), "APICv"));
    CHECK(in_json(injected(false, false)) == 0);
}
