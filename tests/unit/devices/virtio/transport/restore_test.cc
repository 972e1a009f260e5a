// SPDX-License-Identifier: Apache-2.0
// States to which no driver can have brought a device are refused, and leave it as it was.
#include <catch2/catch.hpp>

#include "tests/unit/devices/virtio/transport/core_rig.h"
#include "tests/unit/devices/virtio/transport/pci_rig.h"

using namespace mayfly;

namespace {

constexpr u64 kVersion1 = u64{1} << 32;
constexpr u64 kPacked = u64{1} << 34;

struct Rig : CoreRig {
    using CoreRig::CoreRig;

    /// The state of a running device, with split or packed rings.
    VirtioCore::State good(u64 features = kVersion1) {
        VirtioCore::State state{
            .negotiated = {.status = 15, .config_generation = 9, .driver_features = features},
            .is_started = true,
            .queues = {}};
        state.queues.push_back({.registers = registers_of(driver), .place = QueuePlace{.position = 3}});
        return state;
    }
    void check_is_new() REQUIRES(core.mutex()) {
        CHECK_FALSE(core.is_running());
        CHECK(core.state().status == 0);
        CHECK(core.state().config_generation == 0);
        CHECK_FALSE(core.queue(0).is_running());
        // It is not paused either.
        core.set_driver_features(kVersion1);
        (void)core.write_status(11);
        core.queue_state(0) = registers_of(driver);
        (void)core.write_status(15);
        const u16 id = driver.add(ChainBuilder().writable(data, 16));
        core.notify(0);
        const auto used = driver.take_used();
        REQUIRE(used);
        CHECK(used->id == id);
    }
    bool restore(const VirtioCore::State& state) {
        const Lock lock(core.mutex());
        const bool is_restored = core.restore(state);
        if (!is_restored) check_is_new();
        return is_restored;
    }
};

template <typename Change>
bool takes(Change change, VirtioCore::Kind kind = VirtioCore::Kind::Modern) {
    Rig rig(kind);
    VirtioCore::State state = rig.good();
    change(state);
    return rig.restore(state);
}

}  // namespace

TEST_CASE("a core is restored only to a state that a driver can have caused", "[restore]") {
    using State = VirtioCore::State;
    CHECK(takes([](State&) {}));
    CHECK(takes([](State& s) { s.queues[0].place.reset(); }));
    CHECK(takes([](State& s) { s.queues[0].place->why_broken = WhyBroken::TableEmpty; }));
    CHECK(takes([](State& s) { s = {.negotiated = {.status = 3}, .is_started = false, .queues = {{}}}; }));
    CHECK_FALSE(takes([](State& s) { s.negotiated.status |= 32; }));
    CHECK_FALSE(takes([](State& s) { s.negotiated.driver_features |= u64{1} << 50 | u64{1} << 20; }));
    CHECK_FALSE(takes([](State& s) { s.negotiated.driver_features = 0; }));
    CHECK(takes([](State& s) { s.negotiated.driver_features = 0; }, VirtioCore::Kind::Transitional));
    CHECK_FALSE(takes([](State& s) { s.negotiated.is_legacy_driver = true; }));
    CHECK_FALSE(takes([](State& s) { s.negotiated.status = 7; }));  // started without FEATURES_OK
    CHECK_FALSE(takes([](State& s) { s.is_started = false; }));     // but a queue runs
    CHECK_FALSE(takes([](State& s) { s.queues[0].registers.is_enabled = false; }));
    CHECK_FALSE(takes([](State& s) { s.queues[0].registers.size = 16; }));  // it has 8
    CHECK_FALSE(takes([](State& s) { s.queues[0].registers.size = 6; }));
    CHECK_FALSE(takes([](State& s) { s.queues[0].registers.size = 0; }));
    CHECK_FALSE(takes([](State& s) { s.queues[0].registers.descriptors = u64{1} << 40; }));
    CHECK_FALSE(takes([](State& s) { s.queues[0].registers.driver_area += 1; }));
    CHECK_FALSE(takes([](State& s) { s.queues[0].registers.device_area = ~u64{0}; }));
    CHECK_FALSE(takes([](State& s) { s.queues.clear(); }));
    CHECK_FALSE(takes([](State& s) { s.queues.emplace_back(); }));
}

TEST_CASE("a packed ring has no place behind its end", "[restore]") {
    for (const u16 position : {u16{7}, u16{0x8007}, u16{8}, u16{0x8008}, u16{0x7fff}}) {
        Rig rig;
        VirtioCore::State state = rig.good(kVersion1 | kPacked);
        state.queues[0].place->position = position;
        CHECK(rig.restore(state) == ((position & 0x7fff) < 8));
    }
}

TEST_CASE("a broken ring is still broken after a restore", "[restore]") {
    Rig rig;
    VirtioCore::State state = rig.good();
    state.queues[0].place->why_broken = WhyBroken::AvailIdxBackwards;
    REQUIRE(rig.restore(state));
    const Lock lock(rig.core.mutex());
    CHECK(rig.core.queue(0).is_broken());
    CHECK(rig.core.queue(0).why_broken() == "avail.idx went backwards");
    CHECK(rig.core.save().queues[0].place == state.queues[0].place);
}

TEST_CASE("a restored core stands still until it is resumed", "[restore]") {
    Rig rig;
    VirtioCore::State state = rig.good();
    state.queues[0].place->position = 0;
    const u16 id = rig.driver.add(ChainBuilder().writable(rig.ram.allocate(16), 16));
    REQUIRE(rig.restore(state));
    const Lock lock(rig.core.mutex());
    CHECK(rig.device.starts == 1);
    CHECK(rig.transport.config_interrupts == 0);
    CHECK_FALSE(rig.driver.take_used());
    rig.core.resume();
    CHECK(rig.driver.take_used()->id == id);
}

TEST_CASE("virtio-mmio: an interrupt status has two bits", "[restore]") {
    Rig rig;
    FakeEdge edge;
    MmioTransport mmio(rig.core, edge, 0xc000'1000);
    CHECK(mmio.restore({.interrupt_status = 3}));
    CHECK_FALSE(mmio.restore({.interrupt_status = 4}));
}

namespace {

template <typename Change>
bool pci_takes(Change change) {
    PciTransport::State state;
    {
        PciRig rig;
        rig.start();
        rig.set_msix(true);
        rig.set_entry(1, 0xfee0'0000, 0x41, true);
        rig.set(common::kConfigVector, 2, 1);
        state = rig.transport.save();
    }
    change(state);
    PciRig rig;
    const u32 command = rig.config(PciRig::kDevfn, 4);
    const bool is_restored = rig.transport.restore(state);
    if (!is_restored) CHECK(rig.config(PciRig::kDevfn, 4) == command);
    return is_restored;
}

}  // namespace

TEST_CASE("a PCI function is restored only to a state that a guest can have caused", "[restore]") {
    using State = PciTransport::State;
    CHECK(pci_takes([](State&) {}));
    CHECK(pci_takes([](State& s) { s.function.registers[0x3c] = 11; }));           // Interrupt Line
    CHECK_FALSE(pci_takes([](State& s) { s.function.registers[0] ^= 1; }));        // Vendor ID
    CHECK_FALSE(pci_takes([](State& s) { s.function.registers[0x18] |= 0x10; }));  // a BAR's low bits
    CHECK_FALSE(pci_takes([](State& s) { s.function.registers[0x34] = 0; }));      // Capabilities Pointer
    CHECK_FALSE(pci_takes([](State& s) { s.function.registers[0xf0] = 1; }));
    CHECK_FALSE(pci_takes([](State& s) { s.registers.isr = 4; }));
    CHECK_FALSE(pci_takes([](State& s) { s.registers.config_vector = 3; }));  // of 0 to 2
    CHECK_FALSE(pci_takes([](State& s) { s.queue_vectors[1] = 3; }));
    CHECK_FALSE(pci_takes([](State& s) { s.queue_vectors.pop_back(); }));
    CHECK_FALSE(pci_takes([](State& s) { s.msix.table.pop_back(); }));
    CHECK_FALSE(pci_takes([](State& s) { s.msix.table[0].address |= 1; }));
    CHECK_FALSE(pci_takes([](State& s) { s.msix.table[0].data_and_control |= u64{2} << 32; }));
    CHECK(pci_takes([](State& s) { s.msix.pending[0] = 2; }));        // masked
    CHECK_FALSE(pci_takes([](State& s) { s.msix.pending[0] = 8; }));  // no such vector
    CHECK_FALSE(pci_takes([](State& s) {
        s.msix.table[1].data_and_control &= ~(u64{1} << 32);
        s.msix.pending[0] = 2;  // and not masked
    }));
    CHECK_FALSE(pci_takes([](State& s) { s.msix.pending.clear(); }));
}
