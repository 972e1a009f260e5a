// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/vcpu/exit_dispatch.h"

#include <cstring>
#include <memory>
#include <vector>

#include <linux/kvm.h>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

struct Access {
    bool is_write;
    u64 offset;
    unsigned size;
    u64 value;
    friend bool operator==(const Access&, const Access&) = default;
};

/// Remembers every access; reads as 0x11, 0x22, ... in each byte, one more for each read.
class Recorder final : public IoDevice {
  public:
    [[nodiscard]] std::string_view name() const override { return "recorder"; }
    [[nodiscard]] u64 io_read(IoAccess at) override {
        const u64 value = (++reads_ * 0x1111'1111'1111'1111) & all_ones(at.size_bytes);
        accesses.push_back({false, at.offset_bytes, at.size_bytes, value});
        return value;
    }
    void io_write(IoAccess at, u64 value) override {
        accesses.push_back({true, at.offset_bytes, at.size_bytes, value});
    }
    void reset() override {}

    std::vector<Access> accesses;

  private:
    u64 reads_ = 0;
};

/// A kvm_run page, a port data page and one more, as the kernel maps them; and a device at port 0x100 and at
/// 4 GiB.
struct Exit {
    static constexpr std::size_t kBytes = 3 * 4096;
    static constexpr u64 kDataOffset = 4096;

    Exit() {
        ports.map(0x100, 16, port_device);
        mmio.map(u64{1} << 32, 4096, mmio_device);
    }
    kvm_run& run() { return *reinterpret_cast<kvm_run*>(buffer.data()); }
    std::byte* data() { return buffer.data() + kDataOffset; }
    RunOutcome dispatch() { return dispatch_exit(buffer, {ports, mmio}, counts); }

    RunOutcome port(bool is_in, u16 number, u8 size, u32 count, u64 offset = kDataOffset) {
        run().exit_reason = KVM_EXIT_IO;
        run().io.direction = is_in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
        run().io.size = size;
        run().io.port = number;
        run().io.count = count;
        run().io.data_offset = offset;
        return dispatch();
    }
    RunOutcome memory(bool is_write, u64 address, u32 size) {
        run().exit_reason = KVM_EXIT_MMIO;
        run().mmio.phys_addr = address;
        run().mmio.len = size;
        run().mmio.is_write = is_write ? 1 : 0;
        return dispatch();
    }
    RunOutcome other(u32 reason) {
        run().exit_reason = reason;
        return dispatch();
    }

    Recorder port_device;
    Recorder mmio_device;
    Bus ports;
    Bus mmio;
    ExitCounts counts;
    std::vector<std::byte> buffer{kBytes};
};

}  // namespace

TEST_CASE("a port write reaches its device with width and value", "[exit_dispatch]") {
    Exit exit;
    const u32 value = 0xdeadbeef;
    std::memcpy(exit.data(), &value, sizeof value);
    CHECK(exit.port(false, 0x104, 4, 1) == RunOutcome::Continue);
    CHECK(exit.port(false, 0x104, 2, 1) == RunOutcome::Continue);
    CHECK(exit.port(false, 0x104, 1, 1) == RunOutcome::Continue);
    CHECK(exit.port_device.accesses ==
          std::vector<Access>{{true, 4, 4, 0xdeadbeef}, {true, 4, 2, 0xbeef}, {true, 4, 1, 0xef}});
}

TEST_CASE("a port read stores the device's answer, and no byte more", "[exit_dispatch]") {
    Exit exit;
    std::memset(exit.data(), 0xcc, 16);
    CHECK(exit.port(true, 0x100, 2, 1) == RunOutcome::Continue);
    u32 found = 0;
    std::memcpy(&found, exit.data(), sizeof found);
    CHECK(found == 0xcccc1111);
}

TEST_CASE("a string instruction is one return and as many accesses as it counts", "[exit_dispatch]") {
    Exit exit;
    for (int i = 0; i < 6; ++i) exit.data()[i] = std::byte(i + 1);
    CHECK(exit.port(false, 0x100, 2, 3) == RunOutcome::Continue);
    CHECK(exit.port_device.accesses ==
          std::vector<Access>{{true, 0, 2, 0x0201}, {true, 0, 2, 0x0403}, {true, 0, 2, 0x0605}});
    CHECK(exit.counts.returns() == 1);
    CHECK(exit.port(true, 0x100, 1, 4) == RunOutcome::Continue);
    const u8 expected[] = {0x11, 0x22, 0x33, 0x44};
    CHECK(std::memcmp(exit.data(), expected, sizeof expected) == 0);
}

TEST_CASE("an unanswered port reads as all ones", "[exit_dispatch]") {
    Exit exit;
    CHECK(exit.port(true, 0x9000, 4, 1) == RunOutcome::Continue);
    u32 found = 0;
    std::memcpy(&found, exit.data(), sizeof found);
    CHECK(found == 0xffffffff);
    CHECK(exit.port(false, 0x9000, 4, 1) == RunOutcome::Continue);
    CHECK(exit.port_device.accesses.empty());
}

TEST_CASE("port exits whose data lies outside of the buffer are fatal and touch nothing", "[exit_dispatch]") {
    Exit exit;
    CHECK(exit.port(false, 0x100, 1, 1, Exit::kBytes) == RunOutcome::Fatal);
    CHECK(exit.port(false, 0x100, 1, 1, Exit::kBytes + 1) == RunOutcome::Fatal);
    CHECK(exit.port(false, 0x100, 1, 1, ~u64{0}) == RunOutcome::Fatal);
    CHECK(exit.port(true, 0x100, 4, 1, Exit::kBytes - 3) == RunOutcome::Fatal);
    CHECK(exit.port(true, 0x100, 1, 0xffff'ffff) == RunOutcome::Fatal);
    CHECK(exit.port(true, 0x100, 4, 0x4000'0001) == RunOutcome::Fatal);
    CHECK(exit.port_device.accesses.empty());
    CHECK(exit.port(true, 0x100, 4, 1, Exit::kBytes - 4) == RunOutcome::Continue);
}

TEST_CASE("port exits of a width that no instruction has are fatal", "[exit_dispatch]") {
    Exit exit;
    for (const u8 size : {u8{0}, u8{3}, u8{5}, u8{8}, u8{255}})
        CHECK(exit.port(true, 0x100, size, 1) == RunOutcome::Fatal);
    CHECK(exit.port_device.accesses.empty());
}

TEST_CASE("an MMIO write reaches its device, an MMIO read its answer", "[exit_dispatch]") {
    Exit exit;
    const u64 value = 0x0102'0304'0506'0708;
    std::memcpy(exit.run().mmio.data, &value, sizeof value);
    CHECK(exit.memory(true, (u64{1} << 32) + 8, 8) == RunOutcome::Continue);
    CHECK(exit.memory(true, (u64{1} << 32) + 1, 1) == RunOutcome::Continue);
    CHECK(exit.mmio_device.accesses == std::vector<Access>{{true, 8, 8, value}, {true, 1, 1, 8}});
    CHECK(exit.memory(false, u64{1} << 32, 4) == RunOutcome::Continue);
    u32 found = 0;
    std::memcpy(&found, exit.run().mmio.data, sizeof found);
    CHECK(found == 0x1111'1111);
}

TEST_CASE("an MMIO access of an odd length arrives in power-of-two pieces", "[exit_dispatch]") {
    Exit exit;
    for (u8 i = 0; i < 8; ++i) exit.run().mmio.data[i] = static_cast<u8>(i + 1);
    CHECK(exit.memory(true, u64{1} << 32, 7) == RunOutcome::Continue);
    CHECK(exit.mmio_device.accesses ==
          std::vector<Access>{{true, 0, 4, 0x0403'0201}, {true, 4, 2, 0x0605}, {true, 6, 1, 7}});
    exit.mmio_device.accesses.clear();
    CHECK(exit.memory(false, u64{1} << 32, 3) == RunOutcome::Continue);
    CHECK(exit.mmio_device.accesses == std::vector<Access>{{false, 0, 2, 0x1111}, {false, 2, 1, 0x22}});
}

TEST_CASE("unanswered MMIO reads as all ones", "[exit_dispatch]") {
    Exit exit;
    CHECK(exit.memory(false, 0xd000'0000, 8) == RunOutcome::Continue);
    u64 found = 0;
    std::memcpy(&found, exit.run().mmio.data, sizeof found);
    CHECK(found == ~u64{0});
}

TEST_CASE("MMIO exits of an impossible length are fatal", "[exit_dispatch]") {
    Exit exit;
    for (const u32 size : {0U, 9U, 0xffff'ffffU})
        CHECK(exit.memory(true, u64{1} << 32, size) == RunOutcome::Fatal);
    CHECK(exit.mmio_device.accesses.empty());
}

TEST_CASE("an MMIO access that wraps around the address space is harmless", "[exit_dispatch]") {
    Exit exit;
    CHECK(exit.memory(false, ~u64{0} - 2, 8) == RunOutcome::Continue);
    CHECK(exit.memory(true, ~u64{0}, 8) == RunOutcome::Continue);
}

TEST_CASE("every exit that ends or pauses a vCPU is told apart", "[exit_dispatch]") {
    Exit exit;
    CHECK(exit.other(KVM_EXIT_HLT) == RunOutcome::Halted);
    CHECK(exit.other(KVM_EXIT_IRQ_WINDOW_OPEN) == RunOutcome::WindowOpen);
    CHECK(exit.other(KVM_EXIT_INTR) == RunOutcome::Continue);
    CHECK(exit.other(KVM_EXIT_SET_TPR) == RunOutcome::Continue);
    CHECK(exit.other(KVM_EXIT_SHUTDOWN) == RunOutcome::TripleFault);
}

TEST_CASE("system events become their outcomes", "[exit_dispatch]") {
    Exit exit;
    const auto event = [&](u32 type) {
        exit.run().system_event.type = type;
        return exit.other(KVM_EXIT_SYSTEM_EVENT);
    };
    CHECK(event(1) == RunOutcome::PowerOff);  // KVM_SYSTEM_EVENT_SHUTDOWN
    CHECK(event(2) == RunOutcome::Reset);     // KVM_SYSTEM_EVENT_RESET
    CHECK(event(3) == RunOutcome::Panic);     // KVM_SYSTEM_EVENT_CRASH
    CHECK(event(0) == RunOutcome::Fatal);
    CHECK(event(77) == RunOutcome::Fatal);
}

TEST_CASE("an internal error is an emulation failure only when it says so", "[exit_dispatch]") {
    Exit exit;
    exit.run().internal.suberror = 1;  // KVM_INTERNAL_ERROR_EMULATION
    CHECK(exit.other(KVM_EXIT_INTERNAL_ERROR) == RunOutcome::EmulationFailure);
    exit.run().internal.suberror = 2;
    CHECK(exit.other(KVM_EXIT_INTERNAL_ERROR) == RunOutcome::Fatal);
}

TEST_CASE("every other exit is fatal, known by name, and counted", "[exit_dispatch]") {
    Exit exit;
    const std::vector<u32> handled{
        KVM_EXIT_IO,      KVM_EXIT_MMIO,     KVM_EXIT_HLT,          KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_INTR,
        KVM_EXIT_SET_TPR, KVM_EXIT_SHUTDOWN, KVM_EXIT_SYSTEM_EVENT, KVM_EXIT_INTERNAL_ERROR};
    for (u32 reason = 0; reason < 100; ++reason) {
        if (std::find(handled.begin(), handled.end(), reason) != handled.end()) continue;
        CHECK(exit.other(reason) == RunOutcome::Fatal);
    }
    CHECK(exit.other(0xffff'ffff) == RunOutcome::Fatal);
    CHECK(exit.counts.returns() == 100 - handled.size() + 1);
}

TEST_CASE("exit reasons have the kernel's names", "[exit_dispatch]") {
    CHECK(exit_reason_name(0) == "KVM_EXIT_UNKNOWN");
    CHECK(exit_reason_name(2) == "KVM_EXIT_IO");
    CHECK(exit_reason_name(5) == "KVM_EXIT_HLT");
    CHECK(exit_reason_name(6) == "KVM_EXIT_MMIO");
    CHECK(exit_reason_name(8) == "KVM_EXIT_SHUTDOWN");
    CHECK(exit_reason_name(9) == "KVM_EXIT_FAIL_ENTRY");
    CHECK(exit_reason_name(17) == "KVM_EXIT_INTERNAL_ERROR");
    CHECK(exit_reason_name(24) == "KVM_EXIT_SYSTEM_EVENT");
    CHECK(exit_reason_name(37) == "KVM_EXIT_NOTIFY");
    CHECK(exit_reason_name(39) == "KVM_EXIT_MEMORY_FAULT");
    CHECK_FALSE(exit_reason_name(1000).empty());
}
