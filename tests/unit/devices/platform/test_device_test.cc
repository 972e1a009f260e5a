// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/test_device.h"

#include <catch2/catch.hpp>

#include "tests/support/device_fakes.h"

using namespace mayfly;

namespace {

class FakeHost final : public TestDeviceHost {
  public:
    void set_irq(u8 gsi, bool is_high) override { note("irq", gsi, is_high ? 1 : 0); }
    [[nodiscard]] Status signal_msi(u32 address, u32 data) override { return note("msi", address, data); }
    [[nodiscard]] Status send_by_irqfd(u32 address, u32 data) override {
        return note("irqfd", address, data);
    }
    [[nodiscard]] Status set_loopback(bool is_on, u32 address, u32 data) override {
        return note(is_on ? "loopback on" : "loopback off", address, data);
    }
    [[nodiscard]] Status set_coalesced(bool is_on) override { return note("coalesced", is_on ? 1 : 0, 0); }
    void msi_train(u32 /*address*/, u32 data, u8 count) override { note("train", count, data); }

    struct Call {
        std::string what;
        u32 a, b;
        bool operator==(const Call&) const = default;
    };
    std::vector<Call> calls;
    Status answer = Status::Done;

  private:
    Status note(const char* what, u32 a, u32 b) {
        calls.push_back({what, a, b});
        return answer;
    }
};

using Calls = std::vector<FakeHost::Call>;

struct Fixture {
    FakeHost host;
    TestDevice device{host};

    [[nodiscard]] u32 get(u64 port) { return static_cast<u32>(device.io_read({port - 0x2000, 4})); }
    void set(u64 port, u8 size, u64 value) { device.io_write({port - 0x2000, size}, value); }
};

}  // namespace

TEST_CASE("test device registers read their reset values", "[test_device]") {
    Fixture f;
    for (const u64 port : std::vector<u64>{0x2020, 0x2024, 0x2030, 0x2038, 0x203c, 0x2040}) {
        CHECK(f.get(port) == 0);
    }
    CHECK(read8(f.device, 0x28) == 0);
    CHECK(f.device.io_read({0x100, 4}) == 0);
    CHECK(f.host.calls.empty());
}

TEST_CASE("test device scratch register takes every size", "[test_device]") {
    Fixture f;
    f.device.io_write({0x100, 4}, 0x11223344);
    CHECK(f.device.io_read({0x100, 4}) == 0x11223344);
    CHECK(f.device.io_read({0x101, 1}) == 0x33);
    f.device.io_write({0x102, 2}, 0xaabb);
    CHECK(f.device.io_read({0x100, 4}) == 0xaabb3344);
}

TEST_CASE("test device drives one GSI per port", "[test_device]") {
    Fixture f;
    f.set(0x2000, 1, 1);
    f.set(0x2017, 1, 0x80);
    f.set(0x2000, 1, 0);
    f.set(0x2018, 1, 1);  // past the last
    f.set(0x2004, 4, 1);  // too wide
    CHECK(f.host.calls == Calls{{"irq", 0, 1}, {"irq", 23, 1}, {"irq", 0, 0}});
}

TEST_CASE("test device sends the MSI of its registers", "[test_device]") {
    Fixture f;
    f.set(0x2020, 4, 0xfee00000);
    f.set(0x2024, 4, 0x31);
    CHECK(f.get(0x2020) == 0xfee00000);
    CHECK(f.get(0x2024) == 0x31);
    for (const u8 action : std::vector<u8>{1, 2, 3, 4}) f.set(0x2028, 1, action);
    CHECK(f.host.calls == Calls{{"msi", 0xfee00000, 0x31},
                                {"irqfd", 0xfee00000, 0x31},
                                {"loopback on", 0xfee00000, 0x31},
                                {"loopback off", 0xfee00000, 0x31}});
    CHECK(read8(f.device, 0x28) == 0);
}

TEST_CASE("test device tells the result of the last action", "[test_device]") {
    Fixture f;
    f.host.answer = TestDeviceHost::Status::Unsupported;
    f.set(0x2028, 1, 1);
    CHECK(read8(f.device, 0x28) == 1);
    f.host.answer = TestDeviceHost::Status::Refused;
    f.set(0x2028, 1, 2);
    CHECK(read8(f.device, 0x28) == 2);
    f.host.answer = TestDeviceHost::Status::Done;
    f.set(0x2028, 1, 5);
    CHECK(read8(f.device, 0x28) == 0);
    f.set(0x2028, 1, 99);
    CHECK(read8(f.device, 0x28) == 1);
    CHECK(f.host.calls.size() == 3);
}

TEST_CASE("test device counts the doorbell at three sizes", "[test_device]") {
    Fixture f;
    f.set(0x202c, 1, 1);
    f.set(0x202c, 2, 1);
    f.set(0x202c, 4, 1);
    CHECK(f.get(0x2030) == 3);
}

TEST_CASE("test device counts a single write as one return", "[test_device]") {
    Fixture f;
    for (const u8 value : std::vector<u8>{1, 2, 200}) f.set(0x2034, 1, value);
    CHECK(f.get(0x2038) == 3);
    CHECK(f.get(0x203c) == 203);
    CHECK(f.get(0x2040) == 3);
}

TEST_CASE("test device counts a batch of collected writes as one return", "[test_device]") {
    Fixture f;
    f.device.begin_batch();
    for (int i = 0; i < 100; ++i) f.set(0x2034, 1, 1);
    f.device.end_batch();
    f.device.begin_batch();  // other devices' writes only
    f.device.end_batch();
    f.device.begin_batch();
    f.set(0x2034, 1, 1);
    f.device.end_batch();
    f.set(0x2034, 1, 1);
    CHECK(f.get(0x2038) == 102);
    CHECK(f.get(0x203c) == 102);
    CHECK(f.get(0x2040) == 3);
}

TEST_CASE("test device starts a train of MSIs", "[test_device]") {
    Fixture f;
    f.set(0x2024, 4, 0x41);
    f.set(0x2044, 1, 0);
    f.set(0x2044, 1, 255);
    CHECK(f.host.calls == Calls{{"train", 255, 0x41}});
}

TEST_CASE("test device registers read all ones at unsuitable sizes", "[test_device]") {
    Fixture f;
    CHECK(f.device.io_read({0x20, 1}) == 0xff);
    CHECK(f.device.io_read({0x20, 2}) == 0xffff);
    CHECK(f.device.io_read({0x20, 8}) == 0xffffffffffffffff);
    CHECK(f.device.io_read({0x00, 4}) == 0xffffffff);
    f.set(0x2020, 2, 0x1234);
    CHECK(f.get(0x2020) == 0);
}

TEST_CASE("test device reset switches off everything that the guest switched on", "[test_device]") {
    Fixture f;
    f.set(0x2005, 1, 1);
    f.set(0x2028, 1, 3);
    f.set(0x2028, 1, 5);
    f.host.calls.clear();
    f.device.reset();
    CHECK(f.host.calls == Calls{{"irq", 5, 0}, {"loopback off", 0, 0}, {"coalesced", 0, 0}});
    f.host.calls.clear();
    f.device.reset();
    CHECK(f.host.calls.empty());
}

TEST_CASE("a restored test device shows its earlier actions, and does not repeat them", "[test_device]") {
    Fixture f;
    f.device.io_write({0x100, 4}, 0x12345678);
    f.set(0x2003, 1, 1);
    f.set(0x2020, 4, 0xfee00000);
    f.set(0x202c, 4, 1);
    Fixture other;
    REQUIRE(other.device.restore(f.device.state()));
    CHECK(other.device.io_read({0x100, 4}) == 0x12345678);
    CHECK(other.get(0x2020) == 0xfee00000);
    CHECK(other.get(0x2030) == f.get(0x2030));
    CHECK(other.device.state().irq_levels == 1U << 3);
    CHECK(other.host.calls.empty());
    TestDevice::State impossible = f.device.state();
    impossible.irq_levels = 1U << 24;
    CHECK_FALSE(other.device.restore(impossible));
    impossible = f.device.state();
    impossible.last_status = static_cast<TestDeviceHost::Status>(3);
    CHECK_FALSE(other.device.restore(impossible));
    CHECK(other.device.state().irq_levels == 1U << 3);
}

TEST_CASE("test device survives any access", "[test_device]") {
    Fixture f;
    CHECK(hammer(f.device, 0x48) == 0);
    CHECK(hammer(f.device, 4, 0x100) == 0);
    f.device.reset();
    CHECK(f.get(0x2030) == 0);
}
