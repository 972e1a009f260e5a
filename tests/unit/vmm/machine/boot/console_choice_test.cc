// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/console_choice.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

constexpr std::optional<ConsoleDevice> kByDrivers;

BootConfig with(std::string append) {
    BootConfig config;
    config.append = std::move(append);
    return config;
}

/// A ring of 1 << 17 bytes, a boot's log.
PrintkRing usual_ring() {
    PrintkRing ring;
    ring.text_bits = 17;
    return ring;
}

}  // namespace

TEST_CASE("a console that the user names is the console, whatever the kernel", "[console_choice]") {
    for (const bool is_linux : {false, true}) {
        for (const ConsoleDevice device : {ConsoleDevice::Serial, ConsoleDevice::Virtio}) {
            BootConfig config = with("console=ttyS0 console=hvc0");
            config.console_device = device;
            CHECK(console_by_options(config, is_linux) == device);
        }
    }
}

TEST_CASE("a kernel other than Linux has the serial port", "[console_choice]") {
    CHECK(console_by_options(with(""), false) == ConsoleDevice::Serial);
    CHECK(console_by_options(with("console=hvc0"), false) == ConsoleDevice::Serial);
}

TEST_CASE("the command line of a Linux kernel decides where it names a console", "[console_choice]") {
    CHECK(console_by_options(with("console=hvc0"), true) == ConsoleDevice::Virtio);
    CHECK(console_by_options(with("quiet console=ttyS0,115200"), true) == ConsoleDevice::Serial);
    CHECK(console_by_options(with("console=ttyS0 console=hvc0"), true) == ConsoleDevice::Virtio);
    // An early console is for what comes before a driver, which only the serial port has.
    CHECK(console_by_options(with("earlycon"), true) == ConsoleDevice::Serial);
    CHECK(console_by_options(with("earlyprintk=serial"), true) == ConsoleDevice::Serial);
    // Words after -- are init's.
    CHECK(console_by_options(with("quiet -- console=ttyS0"), true) == kByDrivers);
    CHECK(console_by_options(with(""), true) == kByDrivers);
}

TEST_CASE("without mayfly's words nothing names a virtio console to Linux", "[console_choice]") {
    BootConfig config = with("");
    config.has_default_append = false;
    CHECK(console_by_options(config, true) == ConsoleDevice::Serial);
}

TEST_CASE("a virtio console needs its driver and its transport's", "[console_choice]") {
    using D = LinuxDrivers;
    const auto pci = [](D drivers) { return console_by_drivers(TransportChoice::Pci, drivers); };
    const auto mmio = [](D drivers) { return console_by_drivers(TransportChoice::Mmio, drivers); };
    CHECK(pci({}) == ConsoleDevice::Serial);
    CHECK(pci({.has_virtio_console = true, .has_virtio_mmio = false}) == ConsoleDevice::Virtio);
    CHECK(pci({.has_virtio_console = false, .has_virtio_mmio = true}) == ConsoleDevice::Serial);
    CHECK(mmio({.has_virtio_console = true, .has_virtio_mmio = false}) == ConsoleDevice::Serial);
    CHECK(mmio({.has_virtio_console = false, .has_virtio_mmio = true}) == ConsoleDevice::Serial);
    CHECK(mmio({.has_virtio_console = true, .has_virtio_mmio = true}) == ConsoleDevice::Virtio);
}

TEST_CASE("only a Linux guest whose virtio console mayfly chose needs a carrier for its early log",
          "[console_choice]") {
    CHECK(lacks_early_output(with(""), true, ConsoleDevice::Virtio));
    CHECK_FALSE(lacks_early_output(with(""), true, ConsoleDevice::Serial));
    CHECK_FALSE(lacks_early_output(with(""), false, ConsoleDevice::Virtio));
    CHECK_FALSE(lacks_early_output(with("console=hvc0"), true, ConsoleDevice::Virtio));
    CHECK_FALSE(lacks_early_output(with("earlycon=uart8250,io,0x3f8"), true, ConsoleDevice::Virtio));
    BootConfig config;
    config.has_default_append = false;
    CHECK_FALSE(lacks_early_output(config, true, ConsoleDevice::Virtio));
    config.has_default_append = true;
    config.has_test_device = true;
    CHECK_FALSE(lacks_early_output(config, true, ConsoleDevice::Virtio));
}

TEST_CASE("the log is read where it lies, stays there and is printed as usual", "[console_choice]") {
    CHECK(choose_early_output(with(""), std::nullopt) == EarlyOutput::Uart);
    CHECK(choose_early_output(with("quiet"), usual_ring()) == EarlyOutput::Log);
    for (const char* word :
         {"possible_cpus=4", "log_buf_len=1M", "printk.time=0", "console_msg_format=syslog"}) {
        INFO(word);
        CHECK(choose_early_output(with(word), usual_ring()) == EarlyOutput::Uart);
    }
    PrintkRing small = usual_ring();
    small.text_bits = 16;
    CHECK(choose_early_output(with(""), small) == EarlyOutput::Uart);
}

TEST_CASE("Linux moves its log where 4 KiB for each processor exceed half of the log", "[console_choice]") {
    BootConfig config = with("");
    config.cpus = 17;  // 16 more × 4 KiB is half of 128 KiB
    CHECK(choose_early_output(config, usual_ring()) == EarlyOutput::Log);
    config.cpus = 18;
    CHECK(choose_early_output(config, usual_ring()) == EarlyOutput::Uart);
}
