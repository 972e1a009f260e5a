// SPDX-License-Identifier: Apache-2.0
// Fuzzes dispatch_exit over a plain kvm_run buffer with real buses and devices behind it.
//
// The input is a series of records: the exit reason (4 bytes), the bytes of kvm_run's union (32), and the
// beginning of the port data page (16). The buffer ends where the heap block ends, so that ASan sees any
// access past it.
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <linux/kvm.h>

#include "devices/platform/absent_ports.h"
#include "devices/platform/acpi_pm1.h"
#include "devices/platform/acpi_sleep.h"
#include "devices/platform/boot_timer.h"
#include "devices/platform/cmos.h"
#include "devices/platform/debug_console.h"
#include "devices/platform/exit_port.h"
#include "devices/platform/i8042.h"
#include "devices/platform/pic8259.h"
#include "devices/platform/post_port.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/reset_control.h"
#include "devices/platform/test_device.h"
#include "devices/uart/uart16550.h"
#include "tests/support/device_fakes.h"
#include "tests/support/fake_irq_line.h"
#include "vmm/machine/vcpu/exit_dispatch.h"

namespace {

using namespace mayfly;

constexpr std::size_t kBufferBytes = 3 * 4096;
constexpr std::size_t kUnionBytes = 32;
constexpr std::size_t kDataBytes = 16;
constexpr std::size_t kRecordBytes = sizeof(u32) + kUnionBytes + kDataBytes;

class CountingSerial final : public SerialHost {
  public:
    void put(u8 /*byte*/) override { ++bytes_; }
    void on_input_wanted() override { ++wanted_; }

  private:
    u64 bytes_ = 0;
    u64 wanted_ = 0;
};

class RefusingHost final : public TestDeviceHost {
  public:
    void set_irq(u8 gsi, bool /*is_high*/) override {
        if (gsi > 23) std::abort();
    }
    Status signal_msi(u32 /*address*/, u32 /*data*/) override { return Status::Done; }
    Status send_by_irqfd(u32 /*address*/, u32 /*data*/) override { return Status::Refused; }
    Status set_loopback(bool /*is_on*/, u32 /*address*/, u32 /*data*/) override { return Status::Done; }
    Status set_coalesced(bool /*is_on*/) override { return Status::Unsupported; }
    void msi_train(u32 /*address*/, u32 /*data*/, u8 /*count*/) override {}
};

/// The machine's chips at the machine's ports, without KVM.
class Chips {
  public:
    Chips() {
        ports_.map(0x20, Pic8259::kBlockBytes, pic_, Pic8259::kMasterOffset);
        ports_.map(0xa0, Pic8259::kBlockBytes, pic_, Pic8259::kSlaveOffset);
        ports_.map(0x4d0, Pic8259::kBlockBytes, pic_, Pic8259::kElcrOffset);
        ports_.map(0x3f8, Uart16550::kSizeBytes, uart_);
        ports_.map(0xe9, DebugConsole::kSizeBytes, debug_console_);
        ports_.map(0x80, PostPort::kSizeBytes, post_port_);
        ports_.map(BootTimer::kPort, BootTimer::kPortSizeBytes, boot_timer_);
        ports_.map(0x70, Cmos::kSizeBytes, cmos_);
        ports_.map(0x60, 1, i8042_, I8042::kDataOffset);
        ports_.map(0x64, 1, i8042_, I8042::kCommandOffset);
        ports_.map(0xcf9, ResetControl::kSizeBytes, reset_control_);
        ports_.map(0x600, AcpiPm1::kSizeBytes, acpi_pm1_);
        ports_.map(0x610, AcpiSleep::kSizeBytes, acpi_sleep_);
        ports_.map(0x505, Pvpanic::kSizeBytes, pvpanic_);
        ports_.map(0xf4, ExitPort::kSizeBytes, exit_port_);
        ports_.map(TestDevice::kPort, TestDevice::kSizeBytes, test_device_);
        ports_.map(TestDevice::kScratchPort, TestDevice::kScratchBytes, test_device_,
                   TestDevice::kScratchOffset);
        absent_ports_.map_onto(ports_, u32{AbsentPorts::kAll} & ~u32{AbsentPorts::kPic});
        mmio_.map(0xc000'0000, BootTimer::kMmioSizeBytes, boot_timer_);
    }

    [[nodiscard]] Buses buses() const { return {ports_, mmio_}; }
    /// A console thread's share of the work, between two exits.
    void type(u8 byte) { (void)uart_.receive({&byte, 1}); }

  private:
    Bus ports_;
    Bus mmio_;
    FakeVerdicts verdicts_;
    FakeMarks marks_;
    FakeSink sink_;
    FakeClock clock_;
    FakeIrqLine irq_;
    FakeIrqLine intr_;
    CountingSerial serial_;
    RefusingHost host_;
    Uart16550 uart_{irq_, serial_};
    Pic8259 pic_{intr_};
    DebugConsole debug_console_{sink_};
    PostPort post_port_{marks_};
    BootTimer boot_timer_{marks_};
    Cmos cmos_{{.below_4g_bytes = u64{128} << 20, .above_4g_bytes = 0}, clock_};
    I8042 i8042_{verdicts_};
    ResetControl reset_control_{verdicts_};
    AcpiPm1 acpi_pm1_{5, verdicts_};
    AcpiSleep acpi_sleep_{5, verdicts_};
    Pvpanic pvpanic_{verdicts_};
    ExitPort exit_port_{verdicts_};
    TestDevice test_device_{host_};
    AbsentPorts absent_ports_;
};

void require(bool good) {
    if (!good) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    Chips chips;
    ExitCounts counts;
    std::vector<std::byte> buffer(kBufferBytes);
    u64 records = 0;
    for (; size >= kRecordBytes; data += kRecordBytes, size -= kRecordBytes) {
        u32 reason = 0;
        std::memcpy(&reason, data, sizeof reason);
        std::memcpy(buffer.data() + offsetof(kvm_run, exit_reason), data, sizeof reason);
        std::memcpy(buffer.data() + offsetof(kvm_run, hw), data + sizeof reason, kUnionBytes);
        std::memcpy(buffer.data() + 4096, data + sizeof reason + kUnionBytes, kDataBytes);
        const RunOutcome outcome = dispatch_exit(buffer, chips.buses(), counts);
        require(outcome <= RunOutcome::Fatal);
        require(!exit_reason_name(reason).empty());
        chips.type(data[sizeof reason]);
        ++records;
    }
    require(counts.returns() == records);
    return 0;
}
