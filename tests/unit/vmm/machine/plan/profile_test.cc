// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/plan/profile.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

struct Asked {
    ProfileChoice profile = ProfileChoice::Auto;
    IrqchipChoice irqchip = IrqchipChoice::Auto;
    u32 cpus = 1;
    PitChoice pit = PitChoice::Auto;
};

Result<MachineShape> shape(Protocol protocol, Asked asked = {}) {
    BootConfig config;
    config.profile = asked.profile;
    config.irqchip = asked.irqchip;
    config.cpus = asked.cpus;
    config.pit = asked.pit;
    return choose_shape(config, protocol);
}

}  // namespace

TEST_CASE("Multiboot kernels get a PC, all others the modern machine", "[profile]") {
    for (const Protocol protocol : {Protocol::Multiboot, Protocol::Multiboot2}) {
        CHECK(shape(protocol)->profile == Profile::Legacy);
        CHECK(shape(protocol)->irqchip == Irqchip::Full);
    }
    for (const Protocol protocol : {Protocol::Pvh, Protocol::Linux}) {
        CHECK(shape(protocol)->profile == Profile::Modern);
        CHECK(shape(protocol)->irqchip == Irqchip::Split);
    }
}

TEST_CASE("the user's options win over the protocol", "[profile]") {
    CHECK(shape(Protocol::Multiboot, {.profile = ProfileChoice::Modern})->profile == Profile::Modern);
    CHECK(shape(Protocol::Pvh, {.profile = ProfileChoice::Legacy})->irqchip == Irqchip::Full);
    CHECK(shape(Protocol::Pvh, {.irqchip = IrqchipChoice::Full})->profile == Profile::Legacy);
    CHECK(shape(Protocol::Pvh, {.irqchip = IrqchipChoice::None})->irqchip == Irqchip::None);
    CHECK(shape(Protocol::Multiboot, {.irqchip = IrqchipChoice::Split})->profile == Profile::Modern);
}

TEST_CASE("every choice has a reason", "[profile]") {
    for (const Protocol protocol : {Protocol::Pvh, Protocol::Multiboot}) {
        CHECK_FALSE(shape(protocol)->why.empty());
        CHECK(shape(protocol, {.profile = ProfileChoice::Legacy})->why == "as requested");
    }
}

TEST_CASE("impossible machines are refused with both words", "[profile]") {
    const auto refused = [](Asked asked, const char* first, const char* second) {
        const Result<MachineShape> result = shape(Protocol::Pvh, asked);
        REQUIRE_FALSE(result);
        CHECK(result.error().kind() == ErrorKind::Invalid);
        CHECK(result.error().message().find(first) != std::string::npos);
        CHECK(result.error().message().find(second) != std::string::npos);
    };
    refused({.profile = ProfileChoice::Modern, .irqchip = IrqchipChoice::Full}, "modern", "full");
    refused({.profile = ProfileChoice::Modern, .irqchip = IrqchipChoice::None}, "modern", "none");
    refused({.profile = ProfileChoice::Legacy, .irqchip = IrqchipChoice::Split}, "legacy", "split");
    refused({.irqchip = IrqchipChoice::None, .cpus = 2}, "--cpus 2", "none");
    refused({.pit = PitChoice::Reinject}, "--pit reinject", "modern");
    refused({.irqchip = IrqchipChoice::None, .pit = PitChoice::Discard}, "--pit discard", "none");
    CHECK(shape(Protocol::Multiboot, {.pit = PitChoice::Discard}));
}

TEST_CASE("late ticks are kept for kernels that may count them, unless that costs AVIC", "[profile]") {
    CHECK(choose_pit(PitChoice::Auto, false, false).reinjects);
    CHECK_FALSE(choose_pit(PitChoice::Auto, false, true).reinjects);
    CHECK(choose_pit(PitChoice::Auto, false, true).why.find("AVIC") != std::string_view::npos);
    CHECK_FALSE(choose_pit(PitChoice::Auto, true, false).reinjects);
    for (const bool has_avic : {false, true}) {
        CHECK(choose_pit(PitChoice::Reinject, true, has_avic).reinjects);
        CHECK_FALSE(choose_pit(PitChoice::Discard, false, has_avic).reinjects);
        CHECK(choose_pit(PitChoice::Discard, false, has_avic).why == "as requested");
    }
}
