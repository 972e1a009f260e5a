// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/kvm_answers.h"

#include <memory>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

std::unique_ptr<KvmAnswers> answers() {
    auto made = std::make_unique<KvmAnswers>();
    made->host.flavour = KvmFlavour::Vmx;
    made->run_bytes = 12288;
    CpuidTable& table = made->cpuid;
    table.find_or_add(0, 0, false).ebx = 0x756e'6547;  // "Genu"
    table.find_or_add(1, 0, false).ebx = 0x0304'0800;
    table.find_or_add(4, 0, true).eax = 0x121;
    table.find_or_add(4, 1, true).eax = 0x122;
    table.find_or_add(0xb, 0, true).edx = 3;
    return made;
}

}  // namespace

TEST_CASE("the CPU that was asked makes no difference", "[kvm_answers]") {
    const auto one = answers();
    const auto other = answers();
    other->cpuid.find(1)->ebx = 0x0904'0800;  // APIC id 9 for 3
    other->cpuid.find(0xb)->edx = 9;
    CHECK(mean_the_same(*one, *other));
}

TEST_CASE("every value that a guest sees makes a difference", "[kvm_answers]") {
    const auto one = answers();
    const auto other = answers();
    REQUIRE(mean_the_same(*one, *other));
    SECTION("a feature") { other->cpuid.find(1)->ecx = 1; }
    SECTION("a cache") { other->cpuid.find(4, 1)->ebx = 1; }
    SECTION("a leaf") { other->cpuid.find_or_add(7, 0, true).ebx = 1; }
    SECTION("a subleaf less") { other->cpuid.remove(4); }
    SECTION("the vendor") { other->cpuid.find(0)->ebx = 0; }
    SECTION("the kind of KVM") { other->host.flavour = KvmFlavour::Svm; }
    SECTION("what its hardware does") { other->host.has_hardware_ipi = true; }
    SECTION("the deadline timer") { other->has_tsc_deadline = true; }
    SECTION("the size of a vCPU's mapping") { other->run_bytes = 4096; }
    CHECK_FALSE(mean_the_same(*one, *other));
}
