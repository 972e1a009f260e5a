// SPDX-License-Identifier: Apache-2.0
// A disk whose I/O stays in flight until it is told to end, and a guest's steps with it on each transport:
// for tests that try every order of them. Offsets and bits are the specification's, restated.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "devices/virtio/block/block.h"
#include "devices/virtio/transport/pci_transport.h"
#include "tests/support/driver_queue.h"
#include "tests/support/fake_transport.h"
#include "tests/unit/devices/pci/pci_fixture.h"
#include "tests/unit/devices/virtio/block/fake_block_backend.h"

namespace mayfly {

/// Ends the I/O in flight while a reset waits for it, as the I/O thread does, after accesses of another
/// processor.
class CancellingBackend final : public BlockBackend {
  public:
    [[nodiscard]] BlockGeometry geometry() const override { return disk.geometry(); }
    [[nodiscard]] std::optional<i32> start(BlockIo& io) override { return disk.start(io); }
    void cancel_all() override {
        if (core == nullptr) return;
        core->mutex().assume_held();
        core->mutex().unlock();
        meanwhile();
        disk.finish_all(-ECANCELED);
        core->mutex().lock();
    }

    FakeBlockBackend disk;
    VirtioCore* core = nullptr;
    std::function<void()> meanwhile = [] {};
};

enum class Way : u8 { Modern, ModernPacked, Legacy, Mixed, Mmio };
enum class Step : u8 {
    Begin,      ///< up to DRIVER, and FEATURES_OK where that exists
    GoodFirst,  ///< queue 0, where its rings are
    GoodSecond,
    BadSecond,  ///< queue 1, outside RAM
    NoSecond,   ///< queue 1 taken back, where a driver can
    AskFirst,   ///< a request, and the doorbell
    AskSecond,
    Finish,  ///< the oldest I/O ends
    Break,   ///< queue 0 breaks the rules
    Go,      ///< DRIVER_OK
    GiveUp,  ///< FAILED
    Reset,
};
constexpr u32 kSteps = static_cast<u32>(Step::Reset) + 1;

class OrderRig {
  public:
    explicit OrderRig(Way way) : way_(way) {
        auto made = Block::create({.name = "disk0", .queue_count = 2, .queue_size = kQueueSize}, backend);
        if (!made) throw std::logic_error("OrderRig");
        block = std::move(*made);
        const bool is_transitional = way == Way::Legacy || way == Way::Mixed;
        core.emplace(*block, ram_.memory(), worker_,
                     is_transitional ? VirtioCore::Kind::Transitional : VirtioCore::Kind::Modern);
        backend.core = &*core;
        backend.disk.is_deferring = true;
        if (way == Way::Mmio) {
            mmio_.emplace(*core, edge_, kMmio);
            return;
        }
        pci_.emplace(*core, world_.window.config_space(kDevfn), msi_, &pin_,
                     PciTransportOptions{.config_address = kConfigBar,
                                         .trap_address = kTrapBar,
                                         .legacy_port = is_transitional ? kPort : u16{0},
                                         .interrupt_line = is_transitional ? u8{10} : u8{0}});
        world_.bus.add(kDevfn, pci_->function());
    }

    void take(Step step) {
        switch (step) {
            case Step::Begin: return begin();
            case Step::GoodFirst: return set_queue(0, Where::Good);
            case Step::GoodSecond: return set_queue(1, Where::Good);
            case Step::BadSecond: return set_queue(1, Where::Outside);
            case Step::NoSecond: return set_queue(1, Where::None);
            case Step::AskFirst: return ask(0);
            case Step::AskSecond: return ask(1);
            case Step::Finish:
                if (!backend.disk.pending.empty()) backend.disk.finish(0);
                return;
            case Step::Break: return break_first();
            case Step::Go: return write_status(way_ == Way::Legacy || way_ == Way::Mixed ? 7 : 15);
            case Step::GiveUp: return write_status(128);
            case Step::Reset: return write_status(0);
        }
    }

    /// Whether another device accepts the state of this one. While nothing is in flight.
    [[nodiscard]] bool can_be_carried() {
        FakeBlockBackend disk;
        auto other = Block::create({.name = "disk1", .queue_count = 2, .queue_size = kQueueSize}, disk);
        if (!other) throw std::logic_error("OrderRig");
        FakeTransportClient transport;
        FakeQueueWorker worker;
        VirtioCore copy(**other, ram_.memory(), worker,
                        is_by_port() ? VirtioCore::Kind::Transitional : VirtioCore::Kind::Modern);
        copy.set_transport(transport);
        const bool is_taken = copy.restore(core->save());
        if (copy.is_running()) (*other)->stop();
        return is_taken;
    }

    /// The driver forgets too. After a reset.
    void forget() {
        for (DriverQueue& driver : drivers) driver.restart();
    }

    CancellingBackend backend;
    std::unique_ptr<Block> block;
    std::optional<VirtioCore> core;

  private:
    enum class Where : u8 { None, Good, Outside };
    static constexpr u16 kQueueSize = 8;
    static constexpr u8 kDevfn = 0x08;
    static constexpr u32 kConfigBar = 0xe010'0000;
    static constexpr u32 kTrapBar = 0xc800'0000;
    static constexpr u16 kPort = 0xc000;
    static constexpr u64 kMmio = 0xc000'1000;
    static constexpr u64 kOutside = u64{1} << 40;

    [[nodiscard]] bool is_by_port() const { return way_ == Way::Legacy || way_ == Way::Mixed; }

    void write(u64 offset, u8 size_bytes, u64 value) {
        if (mmio_)
            mmio_->io_write({offset, size_bytes}, value);
        else
            world_.mmio_write(kConfigBar + offset, size_bytes, value);
    }
    void write_port(u64 offset, u8 size_bytes, u64 value) {
        world_.pci_io.io_write({kPort + offset, size_bytes}, value);
    }
    void write_status(u8 value) {
        if (is_by_port()) return write_port(18, 1, value);
        mmio_ ? write(0x70, 4, value) : write(20, 1, value);
    }

    void begin() {
        write_status(3);
        if (is_by_port()) return;
        const u64 features = u64{1} << 32 | u64{1} << 9 | (way_ == Way::ModernPacked ? u64{1} << 34 : 0);
        for (u32 word = 0; word < 2; ++word) {
            write(mmio_ ? 0x24 : 8, 4, word);
            write(mmio_ ? 0x20 : 12, 4, features >> (32 * word) & 0xffff'ffff);
        }
        write_status(11);
    }

    void set_queue(u16 index, Where where) {
        const QueueSetup setup = drivers[index].setup();
        if (way_ == Way::Legacy) {
            write_port(14, 2, index);
            const u64 page = where == Where::Good ? setup.descriptors.value / 4096 : 0xf'ffff;
            return write_port(8, 4, where == Where::None ? 0 : page);
        }
        write(mmio_ ? 0x30 : 22, mmio_ ? 4 : 2, index);
        const std::array<Gpa, 3> areas{setup.descriptors, setup.driver_area, setup.device_area};
        for (u64 i = 0; i < areas.size(); ++i) {
            const u64 at = areas[i].value + (where == Where::Outside ? kOutside : 0);
            const u64 offset = mmio_ ? 0x80 + 0x10 * i : 32 + 8 * i;
            write(offset, 4, at & 0xffff'ffff);
            write(offset + 4, 4, at >> 32);
        }
        if (mmio_) return write(0x44, 4, where == Where::None ? 0 : 1);
        write(28, 2, where == Where::None ? 0 : 1);
    }

    void ring(u16 index) {
        if (is_by_port()) return write_port(16, 2, index);
        if (mmio_) return write(0x50, 4, index);
        world_.mmio_write(kTrapBar + 0x800 + index * 4U, 2, index);
    }

    void ask(u16 index) {
        if (drivers[index].room() >= 3)
            drivers[index].add(
                ChainBuilder().readable(data_, 16).writable(data_ + 512, 512).writable(data_ + 1024, 1));
        ring(index);
    }

    void break_first() {
        DriverQueue& driver = drivers[0];
        if (way_ == Way::ModernPacked) {
            for (u16 i = 0; i < kQueueSize; ++i) driver.write_descriptor(i, 0, 0, 0, 0x80);
        } else {
            *ram_.at<u16>(driver.avail_idx_at()) = 100;
        }
        ring(0);
    }

    DriverQueue make_driver() {
        (void)ram_.allocate(0, 4096);  // where a legacy driver's queue begins
        return DriverQueue(ram_, {.size = kQueueSize, .is_packed = way_ == Way::ModernPacked});
    }

    Way way_;
    TestRam ram_{u64{64} << 10};
    Gpa data_ = ram_.allocate(4096);

  public:
    std::array<DriverQueue, 2> drivers{make_driver(), make_driver()};

  private:
    FakeQueueWorker worker_;
    FakeMsiPort msi_;
    FakeIrqLine pin_;
    FakeEdge edge_;
    PciWorld world_;
    std::optional<MmioTransport> mmio_;
    std::optional<PciTransport> pci_;
};

}  // namespace mayfly
