// SPDX-License-Identifier: Apache-2.0
// Chips that are replaced by new ones with their state: a guest sees no difference, whatever it does.
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "devices/platform/absent_ports.h"
#include "devices/platform/acpi_pm1.h"
#include "devices/platform/acpi_sleep.h"
#include "devices/platform/boot_timer.h"
#include "devices/platform/cmos.h"
#include "devices/platform/debug_console.h"
#include "devices/platform/exit_port.h"
#include "devices/platform/i8042.h"
#include "devices/platform/io_apic.h"
#include "devices/platform/pic8259.h"
#include "devices/platform/post_port.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/reset_control.h"
#include "devices/platform/system_control_a.h"
#include "devices/uart/uart16550.h"
#include "tests/support/device_fakes.h"
#include "tests/support/fake_irq_line.h"

using namespace mayfly;

namespace {

struct Clock final : WallClock {
    [[nodiscard]] i64 seconds_since_epoch() const override { return now; }
    i64 now = 1'700'000'000;
};

struct Host final : SerialHost {
    void put(u8 byte) override { text.push_back(byte); }
    void on_input_wanted() override {}
    std::vector<u8> text;
};

struct Messages final : MsiPort {
    void set_message(u16 /*vector*/, u64 at, u32 what) override { sum = sum * 31 + at + what; }
    MsiPath send(u16 /*vector*/) override {
        ++sum;
        return MsiPath::SignalMsi;
    }
    u64 sum = 0;
};

/// The other ends of a chip's wires, which stay.
struct World {
    FakeVerdicts verdicts;
    FakeMarks marks;
    FakeSink sink;
    Clock clock;
    Host host;
    Messages messages;
    FakeIrqLine line;
};

template <typename Chip>
bool restored(Chip& to, const Chip& from) {
    if constexpr (std::is_void_v<decltype(to.restore(from.state()))>) {
        to.restore(from.state());
        return true;
    } else {
        return to.restore(from.state());
    }
}

/// Random accesses of `space_bytes`; after each, the chip is replaced if `carries`. \returns what was read
/// and seen at the outputs.
template <typename Chip>
std::vector<u64> seen(std::function<std::unique_ptr<Chip>(World&)> make, u64 space_bytes, bool carries,
                      std::function<void(Chip&, unsigned)> also) {
    World world;
    std::unique_ptr<Chip> chip = make(world);
    std::mt19937 random(7);
    std::vector<u64> log;
    for (int i = 0; i < 3000; ++i) {
        const auto size = static_cast<u8>(1U << random() % 3);
        const IoAccess at{random() % space_bytes, size};
        const u32 value = static_cast<u32>(random());
        if (at.offset_bytes + size > space_bytes) continue;
        if (random() % 2 == 0)
            chip->io_write(at, value & all_ones(size));
        else
            log.push_back(chip->io_read(at));
        also(*chip, static_cast<unsigned>(random()));
        log.push_back(world.line.level ? 1 : 0);
        log.push_back(world.messages.sum + world.host.text.size());
        if (!carries) continue;
        std::unique_ptr<Chip> other = make(world);
        REQUIRE(restored(*other, *chip));
        chip = std::move(other);
    }
    return log;
}

template <typename Chip>
void carry(
    std::function<std::unique_ptr<Chip>(World&)> make, u64 space_bytes,
    std::function<void(Chip&, unsigned)> also = [](Chip&, unsigned) {}) {
    const bool is_same =
        seen<Chip>(make, space_bytes, true, also) == seen<Chip>(make, space_bytes, false, also);
    CHECK(is_same);
}

}  // namespace

TEST_CASE("a restored chip goes on where the saved one stood", "[restore]") {
    carry<AbsentPorts>([](World&) { return std::make_unique<AbsentPorts>(); }, 0x4d2);
    carry<AcpiPm1>([](World& w) { return std::make_unique<AcpiPm1>(u8{5}, w.verdicts); },
                   AcpiPm1::kSizeBytes);
    carry<AcpiSleep>([](World& w) { return std::make_unique<AcpiSleep>(u8{5}, w.verdicts); },
                     AcpiSleep::kSizeBytes);
    carry<ResetControl>([](World& w) { return std::make_unique<ResetControl>(w.verdicts); }, 1);
    carry<SystemControlA>([](World& w) { return std::make_unique<SystemControlA>(w.verdicts); }, 1);
    carry<Pvpanic>([](World& w) { return std::make_unique<Pvpanic>(w.verdicts); }, 1);
    carry<I8042>([](World& w) { return std::make_unique<I8042>(w.verdicts); }, 2);
    carry<ExitPort>([](World& w) { return std::make_unique<ExitPort>(w.verdicts); }, 4);
    carry<PostPort>([](World& w) { return std::make_unique<PostPort>(w.marks); }, 1);
    carry<BootTimer>([](World& w) { return std::make_unique<BootTimer>(w.marks); }, 1);
    carry<DebugConsole>([](World& w) { return std::make_unique<DebugConsole>(w.sink); }, 1);
    carry<Cmos>(
        [](World& w) {
            return std::make_unique<Cmos>(Cmos::Memory{.below_4g_bytes = 1 << 27, .above_4g_bytes = 0},
                                          w.clock);
        },
        Cmos::kSizeBytes);
    carry<IoApic>([](World& w) { return std::make_unique<IoApic>(w.messages); }, 0x20,
                  [](IoApic& chip, unsigned random) { chip.set_pin(random % 2 != 0); });
    carry<Pic8259>([](World& w) { return std::make_unique<Pic8259>(w.line); }, 6,
                   [](Pic8259& chip, unsigned random) {
                       chip.set_irq(random % 16, random % 32 < 16);
                       if (random % 7 == 0 && chip.has_interrupt()) (void)chip.acknowledge();
                   });
    carry<Uart16550>([](World& w) { return std::make_unique<Uart16550>(w.line, w.host); }, 8,
                     [](Uart16550& chip, unsigned random) {
                         const std::vector<u8> bytes(random % 3, u8{0x55});
                         (void)chip.receive(bytes);
                     });
}

namespace {

template <typename Chip, typename Change>
bool takes(Chip& chip, Change change) {
    typename Chip::State state = chip.state();
    change(state);
    return chip.restore(state);
}

}  // namespace

TEST_CASE("a state that no guest can have written into a chip is refused", "[restore]") {
    World world;
    AcpiPm1 pm1(5, world.verdicts);
    CHECK_FALSE(takes(pm1, [](auto& s) { s.control = 1; }));
    CHECK_FALSE(takes(pm1, [](auto& s) { s.enable = 0x8000; }));
    AcpiSleep sleep(5, world.verdicts);
    CHECK_FALSE(takes(sleep, [](auto& s) { s.sleep_type = 0x80; }));
    ResetControl reset(world.verdicts);
    CHECK_FALSE(takes(reset, [](auto& s) { s.rst_cnt = 1; }));
    SystemControlA control(world.verdicts);
    CHECK_FALSE(takes(control, [](auto& s) { s.value = 4; }));
    AbsentPorts absent;
    CHECK_FALSE(takes(absent, [](auto& s) { s.drive_status_reads = 64; }));
    CHECK_FALSE(takes(absent, [](auto& s) { s.system_control_b = 4; }));
    Cmos cmos({.below_4g_bytes = 1 << 27, .above_4g_bytes = 0}, world.clock);
    CHECK_FALSE(takes(cmos, [](auto& s) { s.index = 128; }));
    CHECK_FALSE(takes(cmos, [](auto& s) { s.offset_seconds = i64{1} << 62; }));
    CHECK_FALSE(takes(cmos, [](auto& s) { s.offset_seconds = -(i64{1} << 62); }));
    CHECK_FALSE(takes(cmos, [](auto& s) { s.cells[10] |= 0x80; }));
    IoApic apic(world.messages);
    CHECK_FALSE(takes(apic, [](auto& s) { s.entry_low = 1U << 20; }));
    CHECK_FALSE(takes(apic, [](auto& s) { s.entry_high = 1; }));
    CHECK_FALSE(takes(apic, [](auto& s) {
        s.entry_low = 0;
        s.is_pending = true;
    }));
    Pic8259 pic(world.line);
    CHECK_FALSE(takes(pic, [](auto& s) { s.master.elcr = 1; }));
    CHECK_FALSE(takes(pic, [](auto& s) { s.slave.vector_base = 1; }));
    CHECK_FALSE(takes(pic, [](auto& s) { s.slave.lowest_priority = 8; }));
    CHECK_FALSE(takes(pic, [](auto& s) { s.master.expect = static_cast<Pic8259::Expect>(4); }));
    Uart16550 uart(world.line, world.host);
    CHECK_FALSE(takes(uart, [](auto& s) { s.ier = 0x10; }));
    CHECK_FALSE(takes(uart, [](auto& s) { s.mcr = 0x80; }));
    CHECK_FALSE(takes(uart, [](auto& s) { s.fcr = 0x40; }));  // without its lowest bit
    CHECK_FALSE(takes(uart, [](auto& s) { s.line_errors = 0x40; }));
    CHECK_FALSE(takes(uart, [](auto& s) { s.modem_deltas = 0x10; }));
    CHECK_FALSE(takes(uart, [](auto& s) { s.fifo_count = 2; }));  // without FIFOs
    CHECK_FALSE(takes(uart, [](auto& s) { s.fifo_head = 16; }));
    CHECK(takes(uart, [](auto& s) {
        s.fcr = 1;
        s.fifo_count = 16;
    }));
    CHECK_FALSE(takes(uart, [](auto& s) {
        s.fcr = 1;
        s.fifo_count = 17;
    }));
}
