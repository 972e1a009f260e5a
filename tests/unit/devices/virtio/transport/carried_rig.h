// SPDX-License-Identifier: Apache-2.0
// A device on a transport that can be replaced, between any two of a driver's steps, by a new one that is
// restored from its state: everything on our side of the wire is destroyed and made again; the guest's memory
// stays, and so does the host's side. Offsets and bits are the specification's, restated.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "devices/virtio/block/block.h"
#include "devices/virtio/console.h"
#include "devices/virtio/entropy.h"
#include "devices/virtio/net/net.h"
#include "devices/virtio/transport/pci_transport.h"
#include "tests/support/driver_queue.h"
#include "tests/support/fake_transport.h"
#include "tests/unit/devices/pci/pci_fixture.h"
#include "tests/unit/devices/virtio/block/fake_block_backend.h"
#include "tests/unit/devices/virtio/net/fake_net_backend.h"
#include "vmm/os/clock.h"

namespace mayfly {

enum class Carrier : u8 { Pci, PciPacked, Legacy, Mmio, MmioPacked };
enum class Carried : u8 { Disk, Net, Console, Entropy };

/// The host's side of all kinds, which outlives each device.
struct Ends final : ConsoleSink, EntropySource {
    void write(std::span<const iovec> parts) override {
        for (const iovec& part : parts) text.append(static_cast<const char*>(part.iov_base), part.iov_len);
    }
    void on_room() override {}
    [[nodiscard]] bool fill(std::span<const iovec> parts) override {
        for (const iovec& part : parts) std::memset(part.iov_base, ++last, part.iov_len);
        return true;
    }

    FakeBlockBackend disk;
    FakeNetBackend net;
    std::string text;
    int last = 0;
};

class CarriedRig {
  public:
    CarriedRig(Carrier carrier, Carried kind) : carrier_(carrier), kind_(kind) { build(); }
    CarriedRig(const CarriedRig&) = delete;
    CarriedRig& operator=(const CarriedRig&) = delete;
    ~CarriedRig() { destroy(); }

    [[nodiscard]] bool is_mmio() const {
        return carrier_ == Carrier::Mmio || carrier_ == Carrier::MmioPacked;
    }
    [[nodiscard]] bool is_legacy() const { return carrier_ == Carrier::Legacy; }
    [[nodiscard]] bool is_packed() const {
        return carrier_ == Carrier::PciPacked || carrier_ == Carrier::MmioPacked;
    }

    /// Puts a new device in its place.
    void replace() {
        const Saved saved = save();
        destroy();
        build();
        restore(saved);
    }

    /// Pauses and resumes the same device instead.
    void pause_and_resume() {
        const Lock lock(core_->mutex());
        core_->pause();
        REQUIRE(core_->await_drained(monotonic_ns() + kLongNs));
        core_->resume();
    }

    // --- accesses ---

    u64 read(u64 offset, u8 size_bytes) {
        return mmio_ ? mmio_->io_read({offset, size_bytes})
                     : world_->mmio_read(config_bar + offset, size_bytes);
    }
    void write(u64 offset, u8 size_bytes, u64 value) {
        if (mmio_)
            mmio_->io_write({offset, size_bytes}, value);
        else
            world_->mmio_write(config_bar + offset, size_bytes, value);
    }
    u64 read_port(u64 offset, u8 size_bytes) { return world_->pci_io.io_read({kPort + offset, size_bytes}); }
    void write_port(u64 offset, u8 size_bytes, u64 value) {
        world_->pci_io.io_write({kPort + offset, size_bytes}, value);
    }
    u64 read_live(u64 offset, u8 size_bytes) { return world_->mmio_read(live_bar + offset, size_bytes); }
    u32 config(u16 offset, u8 size_bytes = 4) { return world_->config(kDevfn, offset, size_bytes); }
    void set_config(u16 offset, u8 size_bytes, u32 value) {
        world_->set_config(kDevfn, offset, size_bytes, value);
    }
    [[nodiscard]] bool has_pci() const { return world_.has_value(); }

    u8 status() {
        if (is_legacy()) return static_cast<u8>(read_port(18, 1));
        return static_cast<u8>(mmio_ ? read(0x70, 4) : read(20, 1));
    }
    void set_status(u8 value) {
        if (is_legacy()) return write_port(18, 1, value);
        mmio_ ? write(0x70, 4, value) : write(20, 1, value);
    }
    /// The interrupt status, which a read clears except on MMIO.
    u64 take_isr() {
        if (is_legacy()) return read_port(19, 1);
        if (!mmio_) return read_live(0, 1);
        const u64 was = read(0x60, 4);
        write(0x64, 4, was);
        return was;
    }
    void notify(u16 queue) {
        if (is_legacy()) return write_port(16, 2, queue);
        mmio_ ? write(0x50, 4, queue) : world_->mmio_write(live_bar + 0x800 + queue * 4U, 2, queue);
    }

    /// The host's actions on the device.
    template <typename Body>
    void under_lock(Body body) {
        const Lock lock(core_->mutex());
        body();
    }
    Console& console() { return static_cast<Console&>(*device_); }
    Net& net() { return static_cast<Net&>(*device_); }
    void set_link(bool is_up) {
        is_link_up_ = is_up;
        ends.net.client->on_net_link(is_up);
    }

    Ends ends;
    FakeMsiPort msi;
    FakeIrqLine pin;
    FakeEdge edge;
    TestRam ram{u64{2} << 20};
    u32 config_bar = 0xe010'0000;
    u32 live_bar = 0xc800'0000;

  private:
    static constexpr u8 kDevfn = 0x08;
    static constexpr u16 kPort = 0xc000;
    static constexpr u64 kMmio = 0xc000'1000;
    static constexpr u64 kLongNs = 20'000'000'000;

    struct Saved {
        VirtioCore::State core;
        std::optional<Block::State> disk;
        std::optional<Net::State> net;
        std::optional<Console::State> console;
        std::optional<MmioTransport::State> mmio;
        std::optional<PciTransport::State> pci;
    };

    std::unique_ptr<VirtioDevice> make_device() {
        switch (kind_) {
            case Carried::Disk:
                return std::move(*Block::create({.name = "disk0", .queue_size = 64}, ends.disk));
            case Carried::Net:
                return std::make_unique<Net>(NetOptions{.name = "net0", .mac = {0x52, 0x54, 0, 1, 2, 3}},
                                             ends.net);
            case Carried::Console: return std::make_unique<Console>("console0", ends, 80, 25);
            case Carried::Entropy: break;
        }
        return std::make_unique<Entropy>("rng0", ends);
    }

    void build() {
        device_ = make_device();
        // As a backend calls its present client.
        if (kind_ == Carried::Net) set_link(is_link_up_);
        core_.emplace(*device_, ram.memory(), worker_,
                      is_legacy() ? VirtioCore::Kind::Transitional : VirtioCore::Kind::Modern);
        if (is_mmio()) {
            mmio_.emplace(*core_, edge, kMmio);
            return;
        }
        world_.emplace();
        pci_.emplace(*core_, world_->window.config_space(kDevfn), msi, &pin,
                     PciTransportOptions{.config_address = 0xe010'0000,
                                         .trap_address = 0xc800'0000,
                                         .legacy_port = is_legacy() ? kPort : u16{0},
                                         .interrupt_line = 10});
        world_->bus.add(kDevfn, pci_->function());
    }

    void destroy() {
        {
            const Lock lock(core_->mutex());
            if (core_->is_running()) device_->stop();
        }
        mmio_.reset();
        world_.reset();
        pci_.reset();
        core_.reset();
        device_.reset();
        // A new machine's pins are low.
        pin.set_level(false);
    }

    Saved save() {
        Saved saved;
        {
            const Lock lock(core_->mutex());
            core_->pause();
            REQUIRE(core_->await_drained(monotonic_ns() + kLongNs));
            saved.core = core_->save();
        }
        if (kind_ == Carried::Disk) saved.disk = static_cast<Block&>(*device_).save();
        if (kind_ == Carried::Net) saved.net = net().save();
        if (kind_ == Carried::Console) saved.console = console().save();
        if (mmio_) saved.mmio = mmio_->save();
        if (pci_) saved.pci = pci_->save();
        return saved;
    }

    void restore(const Saved& saved) {
        {
            const Lock lock(core_->mutex());
            REQUIRE(core_->restore(saved.core));
            if (saved.disk) static_cast<Block&>(*device_).restore(*saved.disk);
            if (saved.net) REQUIRE(net().restore(*saved.net));
            if (saved.console) REQUIRE(console().restore(*saved.console));
        }
        if (saved.mmio) REQUIRE(mmio_->restore(*saved.mmio));
        if (saved.pci) {
            REQUIRE(pci_->restore(*saved.pci));
            world_->bus.registers_restored();
        }
        const Lock lock(core_->mutex());
        core_->resume();
    }

    Carrier carrier_;
    Carried kind_;
    bool is_link_up_ = true;
    FakeQueueWorker worker_;
    std::unique_ptr<VirtioDevice> device_;
    std::optional<VirtioCore> core_;
    std::optional<MmioTransport> mmio_;
    std::optional<PciTransport> pci_;
    std::optional<PciWorld> world_;
};

}  // namespace mayfly
