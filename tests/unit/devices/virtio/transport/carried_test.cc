// SPDX-License-Identifier: Apache-2.0
// A driver works with each device on each transport and kind of ring; between any two of its steps, the
// device is replaced by one restored from its state. The driver sees no difference.
#include <functional>
#include <string>
#include <vector>

#include "tests/unit/devices/virtio/transport/carried_rig.h"

using namespace mayfly;

namespace {

constexpr u64 bit(unsigned number) { return u64{1} << number; }
constexpr u16 kSize = 16;

/// A driver's actions, and its observations.
class Driver {
  public:
    Driver(Carrier carrier, Carried kind) : it_(carrier, kind), kind_(kind) {
        for (u32 i = 0; i < queue_count(); ++i) {
            (void)it_.ram.allocate(0, 4096);  // where a legacy driver's queue begins
            queues_.emplace_back(
                it_.ram, DriverQueue::Options{
                             .size = size_of_queue(), .is_packed = it_.is_packed(), .has_event_idx = true});
        }
    }

    /// After step `after` (each, when negative) the device stands still, and is `replaced` or not. \returns
    /// what the driver saw, and separately the final output.
    struct Seen {
        std::string all;
        std::string out;
    };
    Seen run(int after, bool is_replaced) {
        int number = 0;
        for (const auto& step : steps()) {
            step();
            look();
            if (after < 0 || number == after) is_replaced ? it_.replace() : it_.pause_and_resume();
            log_ += fmt::format("step {}\n", number++);
        }
        log_ += fmt::format("edges {} messages {}\n", it_.edge.edges, fmt::join(it_.msi.sent, " "));
        std::string out = it_.ends.text;
        for (const auto& frame : it_.ends.net.sent) out += fmt::format("frame of {}\n", frame.size());
        out.append(reinterpret_cast<const char*>(it_.ends.disk.bytes.data()), it_.ends.disk.bytes.size());
        return {log_, out};
    }
    int step_count() { return static_cast<int>(steps().size()); }

  private:
    [[nodiscard]] u16 queue_count() const {
        return kind_ == Carried::Net ? 3 : kind_ == Carried::Console ? 2 : 1;
    }
    /// A legacy driver has to take the largest.
    [[nodiscard]] u16 size_of_queue() const {
        if (!it_.is_legacy()) return kSize;
        return kind_ == Carried::Net ? 256 : 64;
    }
    void see(const char* what, u64 value) { log_ += fmt::format("{} {:#x}\n", what, value); }

    std::vector<std::function<void()>> steps() {
        std::vector<std::function<void()>> all{
            [this] { it_.set_status(1); },
            [this] { it_.set_status(3); },
            [this] { negotiate(); },
            [this] {
                if (!it_.is_legacy()) it_.set_status(11);
            },
            [this] { set_vectors(); },
        };
        for (u16 queue = 0; queue < queue_count(); ++queue)
            all.emplace_back([this, queue] { set_queue(queue); });
        all.emplace_back([this] { it_.set_status(it_.is_legacy() ? 7 : 15); });
        for (int round = 0; round < 3; ++round) {
            add_work(all);
            if (round == 0) all.emplace_back([this] { change_masks(true); });
            if (round == 1) all.emplace_back([this] { change_masks(false); });
            if (round == 1) all.emplace_back([this] { move_bars(); });
        }
        all.emplace_back([this] { break_ring(); });
        all.emplace_back([this] { see("isr", it_.take_isr()); });
        all.emplace_back([this] { start_again(); });
        add_work(all);
        return all;
    }

    void add_work(std::vector<std::function<void()>>& all) {
        switch (kind_) {
            case Carried::Disk:
                all.emplace_back([this] { request(1); });
                all.emplace_back([this] { take(0); });
                all.emplace_back([this] { request(0); });
                all.emplace_back([this] { take(0); });
                all.emplace_back([this] { write_config(32, 1, 0); });  // writeback
                return;
            case Carried::Net:
                all.emplace_back([this] { give_buffers(); });
                all.emplace_back([this] {
                    it_.ends.net.waiting.push_back(FakeNetBackend::Bytes(12 + 3000, std::byte{7}));
                    it_.notify(0);
                });
                all.emplace_back([this] { take(0); });
                all.emplace_back([this] { send(1, 12 + 100); });
                all.emplace_back([this] { take(1); });
                all.emplace_back([this] { command(); });
                all.emplace_back([this] { take(2); });
                all.emplace_back([this] { it_.set_link(false); });
                all.emplace_back([this] { it_.set_link(true); });
                return;
            case Carried::Console:
                all.emplace_back([this] { send(1, 200'000); });
                for (int i = 0; i < 4; ++i) all.emplace_back([this] { it_.notify(1); });
                all.emplace_back([this] { take(1); });
                all.emplace_back([this] { give_buffers(); });
                all.emplace_back([this] { type(); });
                all.emplace_back([this] { take(0); });
                all.emplace_back([this] {
                    it_.under_lock([&] { it_.console().resize(static_cast<u16>(++columns_), 30); });
                });
                return;
            case Carried::Entropy:
                all.emplace_back([this] { receive(0, 64); });
                all.emplace_back([this] { take(0); });
                return;
        }
    }

    // --- steps ---

    void negotiate() {
        u64 wanted = bit(29);
        if (kind_ == Carried::Disk) wanted |= bit(9) | bit(11);
        if (kind_ == Carried::Net) wanted |= bit(15) | bit(16) | bit(17) | bit(23) | bit(5);
        if (kind_ == Carried::Console) wanted |= bit(0);
        if (it_.is_legacy()) {
            see("offered", it_.read_port(0, 4));
            it_.write_port(4, 4, wanted);
            return;
        }
        wanted |= bit(32) | (it_.is_packed() ? bit(34) : 0);
        for (u32 word = 0; word < 2; ++word) {
            it_.write(it_.is_mmio() ? 0x14 : 0, 4, word);
            see("offered", it_.read(it_.is_mmio() ? 0x10 : 4, 4));
            it_.write(it_.is_mmio() ? 0x24 : 8, 4, word);
            it_.write(it_.is_mmio() ? 0x20 : 12, 4, wanted >> (32 * word) & 0xffff'ffff);
        }
    }

    /// The capability of MSI-X.
    u16 msix_at() {
        u16 at = static_cast<u16>(it_.config(0x34, 1));
        while (at != 0 && it_.config(at, 1) != 0x11)
            at = static_cast<u16>(it_.config(static_cast<u16>(at + 1), 1));
        return at;
    }
    void set_entry(u32 vector, bool is_masked) {
        const u64 at = 0x800 + vector * 16U;
        it_.write(at, 4, 0xfee0'0000 | vector << 12);
        it_.write(at + 4, 4, 0);
        it_.write(at + 8, 4, 0x40 + vector);
        it_.write(at + 12, 4, is_masked ? 1 : 0);
    }
    void set_vectors() {
        if (!it_.has_pci() || it_.is_legacy()) return;
        for (u32 vector = 0; vector <= queue_count(); ++vector) set_entry(vector, false);
        it_.set_config(static_cast<u16>(msix_at() + 2), 2, 0x8000);
        it_.write(16, 2, queue_count());
    }
    void change_masks(bool is_masked) {
        if (!it_.has_pci()) return;
        if (it_.is_legacy()) return it_.set_config(4, 2, is_masked ? 0x407 : 7);  // Interrupt Disable
        set_entry(0, is_masked);
    }
    void move_bars() {
        if (!it_.has_pci()) return;
        it_.config_bar = 0xe010'3000;
        it_.live_bar = 0xc900'0000;
        it_.set_config(0x18, 4, it_.config_bar);
        it_.set_config(0x20, 4, it_.live_bar);
    }

    void set_queue(u16 index) {
        const QueueSetup setup = queues_[index].setup();
        if (it_.is_legacy()) {
            it_.write_port(14, 2, index);
            see("size", it_.read_port(12, 2));
            return it_.write_port(8, 4, setup.descriptors.value / 4096);
        }
        const bool is_mmio = it_.is_mmio();
        it_.write(is_mmio ? 0x30 : 22, is_mmio ? 4 : 2, index);
        it_.write(is_mmio ? 0x38 : 24, is_mmio ? 4 : 2, setup.size);
        const std::array<Gpa, 3> areas{setup.descriptors, setup.driver_area, setup.device_area};
        for (u64 i = 0; i < areas.size(); ++i) {
            const u64 offset = is_mmio ? 0x80 + 0x10 * i : 32 + 8 * i;
            it_.write(offset, 4, areas[i].value & 0xffff'ffff);
            it_.write(offset + 4, 4, areas[i].value >> 32);
        }
        if (!is_mmio) it_.write(26, 2, index);
        it_.write(is_mmio ? 0x44 : 28, is_mmio ? 4 : 2, 1);
    }

    template <typename T>
    Gpa place(const T& value) {
        return it_.ram.place(std::as_bytes(std::span(value)));
    }

    void request(u32 type) {
        const Gpa header = place(std::array<u32, 4>{type, 0, 3 + type, 0});
        const Gpa status = it_.ram.allocate(1);
        ChainBuilder chain;
        chain.readable(header, 16);
        type == 1 ? chain.readable(data_, 512) : chain.writable(data_, 512);
        queues_[0].want_interrupt();
        queues_[0].add(chain.writable(status, 1));
        it_.notify(0);
    }
    void give_buffers() {
        queues_[0].want_interrupt();
        for (u32 i = 0; i < 4; ++i) queues_[0].add(ChainBuilder().writable(data_ + i * 1600, 1600));
        it_.notify(0);
    }
    void receive(u16 queue, u32 size_bytes) {
        queues_[queue].want_interrupt();
        queues_[queue].add(ChainBuilder().writable(data_, size_bytes));
        it_.notify(queue);
    }
    void send(u16 queue, u32 size_bytes) {
        queues_[queue].want_interrupt();
        queues_[queue].add(ChainBuilder().readable(data_, size_bytes));
        it_.notify(queue);
    }
    /// Another MAC address.
    void command() {
        const std::array<u8, 8> bytes{1, 1, 0x52, 0x54, 9, 9, 9, ++address_};
        queues_[2].want_interrupt();
        queues_[2].add(ChainBuilder().readable(place(bytes), 8).writable(data_, 1));
        it_.notify(2);
    }
    void type() {
        const std::string_view text = "typed";
        it_.under_lock([&] {
            see("taken", it_.console().receive({reinterpret_cast<const u8*>(text.data()), text.size()}));
        });
    }
    void take(u16 queue) {
        while (const auto used = queues_[queue].take_used())
            log_ += fmt::format("queue {} gives {} with {} bytes, first {:#x}\n", queue, used->id,
                                used->written_bytes, *it_.ram.at<u32>(data_));
    }
    void break_ring() {
        if (it_.is_packed()) {
            for (u16 i = 0; i < size_of_queue(); ++i) queues_[0].write_descriptor(i, 0, 0, 0, 0x8080);
            for (u16 i = 0; i < size_of_queue(); ++i) queues_[0].write_descriptor(i, 0, 0, 0, 0x80);
            it_.notify(0);
            for (u16 i = 0; i < size_of_queue(); ++i) queues_[0].write_descriptor(i, 0, 0, 0, 0x8000);
        } else {
            *it_.ram.at<u16>(queues_[0].avail_idx_at()) += 1000;
        }
        it_.notify(0);
    }
    void start_again() {
        it_.set_status(0);
        for (DriverQueue& queue : queues_) queue.restart();
        it_.set_status(3);
        negotiate();
        if (!it_.is_legacy()) it_.set_status(11);
        if (it_.has_pci() && !it_.is_legacy()) it_.write(16, 2, queue_count());
        for (u16 queue = 0; queue < queue_count(); ++queue) set_queue(queue);
        it_.set_status(it_.is_legacy() ? 7 : 15);
    }
    void write_config(u16 offset, u8 size_bytes, u64 value) {
        if (it_.is_legacy()) return it_.write_port(20U + offset, size_bytes, value);
        it_.write(0x100U + offset, size_bytes, value);
    }

    // --- the driver's view after each step ---

    void look() {
        see("status", it_.status());
        if (it_.has_pci()) {
            for (u16 at = 0; at < 0x40; at = static_cast<u16>(at + 4)) see("config", it_.config(at));
            see("pin", it_.pin.level ? 1 : 0);
        }
        if (it_.is_legacy()) {
            for (u32 at = 0; at < 18; at += 2) see("port", it_.read_port(at, 2));
            for (u32 at = 0; at < 40; ++at) see("config byte", it_.read_port(20 + at, 1));
            return;
        }
        if (it_.is_mmio()) {
            for (const u32 at : {0x10U, 0x34U, 0x44U, 0x60U, 0xfcU}) see("register", it_.read(at, 4));
        } else {
            for (u32 at = 0; at < 56; at += 4) see("register", it_.read(at, 4));
            see("vectors", it_.config(static_cast<u16>(msix_at())));
            for (u32 at = 0x800; at < 0x840; at += 8) see("table", it_.read(at, 8));
            see("pending", it_.read_live(0x100, 8));
        }
        for (u32 at = 0x100; at < 0x140; at += 4) see("device", it_.read(at, 4));
    }

    CarriedRig it_;
    Carried kind_;
    std::vector<DriverQueue> queues_;
    Gpa data_ = it_.ram.allocate(256 << 10);
    int columns_ = 100;
    u8 address_ = 0;
    std::string log_;
};

constexpr std::array kCarriers{Carrier::Pci, Carrier::PciPacked, Carrier::Legacy, Carrier::Mmio,
                               Carrier::MmioPacked};

void carry(Carried kind) {
    for (const Carrier carrier : kCarriers) {
        CAPTURE(static_cast<int>(carrier));
        const int steps = Driver(carrier, kind).step_count();
        const std::string out = Driver(carrier, kind).run(steps, false).out;
        for (int after = -1; after < steps; ++after) {
            CAPTURE(after);
            const Driver::Seen without = Driver(carrier, kind).run(after, false);
            const Driver::Seen seen = Driver(carrier, kind).run(after, true);
            REQUIRE(without.all.find("queue 0 gives") != std::string::npos);
            CHECK(without.out == out);
            CHECK(seen.out == out);
            if (seen.all == without.all) continue;
            const auto differs =
                std::mismatch(seen.all.begin(), seen.all.end(), without.all.begin(), without.all.end());
            const auto at = static_cast<std::size_t>(differs.first - seen.all.begin());
            const std::size_t from = seen.all.rfind("step", at);
            FAIL("with: ..." + seen.all.substr(from, at - from + 40) + "\n\nwithout: ..." +
                 without.all.substr(from, at - from + 40));
        }
    }
}

}  // namespace

TEST_CASE("a disk is saved and restored between any two steps", "[carried]") { carry(Carried::Disk); }
TEST_CASE("a network is saved and restored between any two steps", "[carried]") { carry(Carried::Net); }
TEST_CASE("a console is saved and restored between any two steps", "[carried]") { carry(Carried::Console); }
TEST_CASE("a source of entropy is saved and restored between any two steps", "[carried]") {
    carry(Carried::Entropy);
}
