// SPDX-License-Identifier: Apache-2.0
// What mayfly takes a host for, by its module's parameters. Linux 6.18, arch/x86/kvm/svm/avic.c and svm.c,
// and arch/x86/kvm/vmx/vmx.c: kvm_amd.avic and enable_ipiv, kvm_intel.enable_ipiv.
#include "vmm/kvm/host_kind.h"

#include <catch2/catch.hpp>

using namespace mayfly;

TEST_CASE("AVIC with x2AVIC keeps x2APIC and sends IPIs by hardware", "[host_kind]") {
    const HostKind host =
        host_kind({.flavour = KvmFlavour::Svm, .avic = "Y", .enable_ipiv = "", .has_x2avic = true});
    CHECK(host.has_avic);
    CHECK(host.has_hardware_ipi);
    CHECK_FALSE(host.hide_x2apic);
    CHECK(host.has_hypercalls);
}

TEST_CASE("AVIC without x2AVIC hides x2APIC, whose registers would all be intercepted", "[host_kind]") {
    CHECK(host_kind({.flavour = KvmFlavour::Svm, .avic = "1", .enable_ipiv = "Y", .has_x2avic = false})
              .hide_x2apic);
}

TEST_CASE("AVIC whose IPIs KVM leaves to software is told by the module", "[host_kind]") {
    const HostKind host =
        host_kind({.flavour = KvmFlavour::Svm, .avic = "Y", .enable_ipiv = "N", .has_x2avic = true});
    CHECK(host.has_avic);
    CHECK_FALSE(host.has_hardware_ipi);
}

TEST_CASE("SVM without AVIC has none of it", "[host_kind]") {
    for (const char* const avic : {"N", "0", ""}) {
        const HostKind host =
            host_kind({.flavour = KvmFlavour::Svm, .avic = avic, .enable_ipiv = "Y", .has_x2avic = true});
        CHECK_FALSE(host.has_avic);
        CHECK_FALSE(host.has_hardware_ipi);
        CHECK_FALSE(host.hide_x2apic);
    }
}

TEST_CASE("VMX sends IPIs by hardware where its parameter says so, and never hides x2APIC", "[host_kind]") {
    for (const bool is_on : {true, false}) {
        const HostKind host = host_kind(
            {.flavour = KvmFlavour::Vmx, .avic = "Y", .enable_ipiv = is_on ? "Y" : "N", .has_x2avic = false});
        CHECK(host.has_hardware_ipi == is_on);
        CHECK_FALSE(host.has_avic);
        CHECK_FALSE(host.hide_x2apic);
    }
    CHECK_FALSE(host_kind({.flavour = KvmFlavour::Vmx, .avic = "", .enable_ipiv = "", .has_x2avic = false})
                    .has_hardware_ipi);
}

TEST_CASE("hypercalls reach every KVM but PVM's", "[host_kind]") {
    CHECK_FALSE(host_kind({.flavour = KvmFlavour::Pvm, .avic = "", .enable_ipiv = "", .has_x2avic = false})
                    .has_hypercalls);
    CHECK(host_kind({}).has_hypercalls);
}

// KVM api.rst "KVM_SET_TSS_ADDR" and "KVM_SET_IDENTITY_MAP_ADDR": required on Intel-based hosts.
TEST_CASE("VMX gets its pages for real mode, and so does a KVM whose module is hidden", "[host_kind]") {
    CHECK(wants_tss_address(KvmFlavour::Vmx));
    CHECK(wants_tss_address(KvmFlavour::Unknown));
    CHECK_FALSE(wants_tss_address(KvmFlavour::Svm));
    CHECK_FALSE(wants_tss_address(KvmFlavour::Pvm));
}
