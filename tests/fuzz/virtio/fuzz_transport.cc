// SPDX-License-Identifier: Apache-2.0
// Fuzzes the three transports with a real disk and real queues behind them: register accesses, mostly at
// registers and mostly with values that mean something, between buffers and completions.
//
// Input: a byte for the transport, then operations of a byte and its arguments; see Session. I/O stays in
// flight until the operation that ends it; a reset that waits for I/O gets its end, as from the I/O thread.
// ASan sees an access outside guest memory; the page must show what a trapped read returns.
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>

#include "devices/virtio/block/block.h"
#include "devices/virtio/transport/pci_transport.h"
#include "tests/fuzz/virtio/input_reader.h"
#include "tests/unit/devices/virtio/transport/order_rig.h"
#include "vmm/text/log.h"

namespace mayfly::log {

// Drivers break the device all the time here: nothing is printed.
void warning(std::string_view /*line*/) {}

}  // namespace mayfly::log

namespace {

using namespace mayfly;

constexpr u64 kRamBytes = u64{64} << 10;
constexpr u16 kQueueSize = 16;
constexpr u8 kDevfn = 0x08;
constexpr u32 kConfigBar = 0xe010'0000;
constexpr u32 kTrapBar = 0xc800'0000;
constexpr u16 kPort = 0xc000;
constexpr u64 kMmio = 0xc000'1000;

void require(bool good) {
    if (!good) std::abort();
}

class Session {
  public:
    explicit Session(InputReader input) : input_(input) {
        const auto kind = input_.take<u8>();
        is_mmio_ = kind % 3 == 2;
        const bool is_transitional = kind % 3 == 1;
        auto made = Block::create({.name = "disk0", .queue_count = 2, .queue_size = kQueueSize}, backend_);
        require(made.has_value());
        block_ = std::move(*made);
        core_ = std::make_unique<VirtioCore>(
            *block_, ram_.memory(), worker_,
            is_transitional ? VirtioCore::Kind::Transitional : VirtioCore::Kind::Modern);
        backend_.core = core_.get();
        if (is_mmio_) {
            mmio_.emplace(*core_, edge_, kMmio);
            return;
        }
        pci_.emplace(*core_, world_.window.config_space(kDevfn), msi_, &pin_,
                     PciTransportOptions{.config_address = kConfigBar,
                                         .trap_address = kTrapBar,
                                         .legacy_port = is_transitional ? kPort : u16{0},
                                         .interrupt_line = is_transitional ? u8{10} : u8{0}});
        world_.bus.add(kDevfn, pci_->function());
    }

    void run() {
        while (!input_.is_empty()) {
            switch (input_.take<u8>() % 10) {
                case 0: access(true); break;
                case 1: access(false); break;
                case 2: set_status(); break;
                case 3: accept(); break;
                case 4: set_queue(); break;
                case 5: ring(); break;
                case 6: submit(); break;
                case 7: finish(); break;
                case 8: configure(); break;
                case 9: poke(); break;
            }
            check();
        }
        {
            const Lock lock(core_->mutex());  // the registers may be anywhere by now
            require(core_->write_status(0));
        }
        require(core_->state().status == 0 && block_->in_flight() == 0);
        const auto before = ram_.bytes(Gpa{0}, kRamBytes);
        core_->publish(0);
        require(core_->run_queue(0, 8) == Progress::Waiting);
        require(ram_.bytes(Gpa{0}, kRamBytes) == before);
    }

  private:
    // --- the registers ---

    void write(u64 offset, u8 size_bytes, u64 value) {
        value &= all_ones(size_bytes);
        if (is_mmio_)
            mmio_->io_write({offset, size_bytes}, value);
        else
            world_.mmio_write(kConfigBar + offset, size_bytes, value);
    }

    /// Any place, any width.
    void access(bool is_write) {
        const auto where = input_.take<u16>();
        const u8 size = static_cast<u8>(1U << (where >> 14));
        const u64 value = take_value();
        if (is_mmio_) {
            const u64 offset = where % 0x200;
            is_write ? mmio_->io_write({offset, size}, value & all_ones(size))
                     : require((mmio_->io_read({offset, size}) & ~all_ones(size)) == 0);
            return;
        }
        const u64 offset = where & 0xff8 ? where % 0x1000 : where % 64;
        switch (input_.take<u8>() % 4) {
            case 0: return world_touch(kConfigBar + offset % 0xff8, size, value, is_write);
            case 1: return world_touch(kConfigBar + offset % 64, size, value, is_write);
            case 2: return world_touch(kTrapBar + offset % 0xff8, size, value, is_write);
            case 3: {
                const IoAccess at{u64{kPort} + offset % 0x78, std::min<u8>(size, 4)};
                if (is_write)
                    world_.pci_io.io_write(at, value & all_ones(at.size_bytes));
                else
                    (void)world_.pci_io.io_read(at);
            }
        }
    }

    void world_touch(u64 address, u8 size, u64 value, bool is_write) {
        if (is_write)
            world_.mmio_write(address, size, value & all_ones(size));
        else
            (void)world_.mmio_read(address, size);
    }

    u64 take_value() {
        constexpr std::array<u64, 12> kValues{0, 1, 2, 3, 7, 11, 15, 16, 17, 0xffff, 0xffff'ffff, ~u64{0}};
        const auto choice = input_.take<u8>();
        return choice < 0xe0 ? kValues[choice % kValues.size()] : input_.take<u64>();
    }

    void write_status(u8 value) {
        if (is_mmio_)
            write(0x70, 4, value);
        else
            write(20, 1, value);
    }

    void set_status() {
        constexpr std::array<u8, 8> kSteps{0, 1, 3, 11, 15, 15, 7, 131};
        const u8 value = kSteps[input_.take<u8>() % kSteps.size()];
        const bool is_by_port = !is_mmio_ && (input_.take<u8>() & 1) != 0;
        if (is_by_port)
            world_.pci_io.io_write({u64{kPort} + 18, 1}, value);
        else
            write_status(value);
    }

    void accept() {
        const u64 features = (input_.take<u8>() & 7) != 0
                                 ? core_->offered_features() & ~(u64{input_.take<u8>()} << 28)
                                 : input_.take<u64>();
        for (u32 word = 0; word < 2; ++word) {
            write(is_mmio_ ? 0x24 : 8, 4, word);
            write(is_mmio_ ? 0x20 : 12, 4, features >> (32 * word));
        }
    }

    /// Where the driver's queue is, or nearly.
    void set_queue() {
        const auto choice = input_.take<u8>();
        const u16 index = choice % 3;
        const QueueSetup setup = drivers_[index % 2].setup();
        const u16 size = (choice & 0x10) != 0 ? static_cast<u16>(take_value()) : setup.size;
        const u64 shift = (choice & 0x20) != 0 ? take_value() : 0;
        write(is_mmio_ ? 0x30 : 22, is_mmio_ ? 4 : 2, index);
        write(is_mmio_ ? 0x38 : 24, is_mmio_ ? 4 : 2, size);
        const std::array<Gpa, 3> areas{setup.descriptors, setup.driver_area, setup.device_area};
        for (u64 i = 0; i < areas.size(); ++i) {
            const u64 at = areas[i].value + ((choice >> 6) == i ? shift : 0);
            const u64 offset = is_mmio_ ? 0x80 + 0x10 * i : 32 + 8 * i;
            write(offset, 4, at);
            write(offset + 4, 4, at >> 32);
        }
        if ((choice & 8) == 0) write(is_mmio_ ? 0x44 : 28, is_mmio_ ? 4 : 2, 1);
        if (is_mmio_ || (choice & 4) == 0) return;
        world_.pci_io.io_write({u64{kPort} + 14, 2}, index);
        const u64 page = setup.descriptors.value / 4096 + shift % 16;
        world_.pci_io.io_write({u64{kPort} + 8, 4}, shift == ~u64{0} ? 0 : page);
    }

    void ring() {
        const u32 queue = static_cast<u32>(take_value());
        if (is_mmio_) return write(0x50, 4, queue);
        world_.mmio_write(kTrapBar + 0x800 + queue % 512 * 4, 2, 0);
        world_.pci_io.io_write({u64{kPort} + 16, 2}, queue & 0xffff);
    }

    /// A read of a sector, good except for the pokes.
    void submit() {
        const auto choice = input_.take<u8>();
        DriverQueue& driver = drivers_[choice & 1];
        if (driver.room() < 3) driver.restart();
        *ram_.at<u64>(data_) = 0;
        *ram_.at<u64>(data_ + 8) = choice >> 4;
        driver.add(ChainBuilder().readable(data_, 16).writable(data_ + 512, 512).writable(data_ + 1024, 1));
        disk_.is_deferring = (choice & 8) != 0;
        if (is_mmio_)
            write(0x50, 4, choice & 1);
        else
            world_.mmio_write(kTrapBar + 0x800 + (choice & 1) * 4, 2, 0);
    }

    void finish() {
        if (!disk_.pending.empty()) disk_.finish(0, (input_.take<u8>() & 1) != 0 ? -EIO : 0);
    }

    /// Configuration space: MSI-X, BARs, the access capability.
    void configure() {
        const auto where = input_.take<u8>();
        const u64 value = take_value();
        if (is_mmio_) {
            const Lock guard(core_->mutex());
            return core_->config_changed();
        }
        const u8 size = static_cast<u8>(1U << (where % 3));
        const u16 offset = static_cast<u16>((where & 0xfc) % 0xc0);
        if ((value & 0x100) != 0) return (void)world_.config(kDevfn, offset, size);
        world_.set_config(kDevfn, offset, size, static_cast<u32>(value & all_ones(size)));
    }

    void poke() {
        const auto where = input_.take<u16>();
        const auto value = input_.take<u16>();
        std::memcpy(ram_.at(Gpa{where % (kRamBytes - 2)}), &value, sizeof value);
    }

    DriverQueue make_driver() {
        (void)ram_.allocate(0, 4096);  // where a legacy driver's queue begins
        return DriverQueue(ram_, {.size = kQueueSize});
    }

    // --- what always holds ---

    void check() {
        const VirtioCore::Negotiated& state = core_->state();
        u32 in_flight = 0;
        for (const BlockIo* io : disk_.pending) {
            // SAFETY: a block device's operations are runs.
            const auto& run = static_cast<const BlockRun&>(*io);
            for (const BlockSlot* slot = run.first; slot != nullptr; slot = slot->next_in_run) {
                require(core_->queue(slot->queue).is_running());
                ++in_flight;
            }
        }
        require(block_->in_flight() == in_flight);
        require(core_->is_running() || in_flight == 0);
        if ((state.status & 4) != 0) require(core_->is_running() || (state.status & 64) != 0);
        if (is_mmio_) return require(mmio_->io_read({0x70, 4}) == state.status);
        require(pin_.level == (pin_expected_or_masked()));
        const std::optional<u32> base = pci_->function().bar_address(2);
        if (!base || *base != kConfigBar) return;
        require(world_.memory.read(kConfigBar + 20, 1) == state.status);
        for (const u64 at : {0U, 8U, 16U, 24U, 32U, 40U, 48U, 0x100U, 0x120U, 0x800U, 0x808U})
            require(world_.memory.read(kConfigBar + at, 8) == world_.mmio_read(kConfigBar + at, 8));
    }

    /// PCI Local Bus Specification 3.0 §6.2.3 "Device Status": the pin is the status bit unless disabled.
    bool pin_expected_or_masked() {
        const u32 command_status = world_.config(kDevfn, 4);
        return (command_status & 1U << 19) != 0 && (command_status & 1U << 10) == 0;
    }

    InputReader input_;
    TestRam ram_{kRamBytes};
    std::array<DriverQueue, 2> drivers_{make_driver(), make_driver()};
    Gpa data_ = ram_.allocate(4096);
    CancellingBackend backend_;
    FakeBlockBackend& disk_ = backend_.disk;
    std::unique_ptr<Block> block_;
    FakeQueueWorker worker_;
    FakeMsiPort msi_;
    FakeIrqLine pin_;
    FakeEdge edge_;
    bool is_mmio_ = false;
    std::unique_ptr<VirtioCore> core_;
    PciWorld world_;
    std::optional<MmioTransport> mmio_;
    std::optional<PciTransport> pci_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    Session(InputReader({data, size})).run();
    return 0;
}
