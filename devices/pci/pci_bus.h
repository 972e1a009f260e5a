// SPDX-License-Identifier: Apache-2.0
// PciBus: bus 0 with its host bridge. Finds the function behind a configuration access and the BAR behind an
// address; Ecam, ConfigPorts, PciMemory and PciIo bring the accesses.
//
// Overlapping BARs: the lowest function number wins, then the lowest BAR. Inside the ConfigWindow only config
// BARs decode, as it shows them, so that a trapped read finds what a read of the window's memory would.
//
// Thread: add() before the vCPUs run; everything else from any thread, internally locked. Lock order,
// outermost first: the I/O bus's lock of an IoDevice; config_mutex_; the device's own lock (client
// callbacks); then, none calling out, decode_mutex_ and PciFunction's command_status_. config_mutex_ is held
// over every callback but bar_read() and bar_write(), over which nothing is held. So a client may call its
// PciFunction's set_intx(), set_status(), refresh() and queries with its lock held, but not config_read() or
// config_write() of the bus. Spec: PCI Local Bus Specification 3.0 §6.2.5 "Base Addresses".
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "devices/io/io_device.h"
#include "devices/pci/config_window.h"
#include "devices/pci/pci_function.h"
#include "vmm/error/ints.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

class PciBus final {
  public:
    /// `window` outlives the bus. The host bridge is function 0.
    explicit PciBus(ConfigWindow& window);
    PciBus(const PciBus&) = delete;
    PciBus& operator=(const PciBus&) = delete;

    [[nodiscard]] static constexpr u8 devfn(u8 device, u8 function) {
        return static_cast<u8>((device << 3) | (function & 7));
    }

    /// `function` was built with window.config_space(devfn) as its image, lives as long as the bus, and is
    /// added once, to a free number (VERIFY). Calls on_config_page_moved() if it has a config BAR.
    void add(u8 devfn, PciFunction& function);

    /// 1 to 4 bytes within one dword (VERIFY): the caller splits. Absent functions read all ones.
    [[nodiscard]] u32 config_read(u8 devfn, u16 offset, u8 size_bytes);
    void config_write(u8 devfn, u16 offset, u8 size_bytes, u32 value);

    /// The BAR of `kind` that holds the whole access answers; otherwise all ones, and ignored.
    [[nodiscard]] u64 bar_read(BarKind kind, IoAccess at);
    void bar_write(BarKind kind, IoAccess at, u64 value);

    /// Resets every function to what firmware would have left. The devices behind them are reset by their
    /// owners.
    void reset();
    /// After PciFunction::restore() of one or more: decodes BARs as their registers say. Before the guest
    /// runs.
    void registers_restored();

  private:
    struct Range {
        u64 base;
        u64 size_bytes;
        PciFunction* function;
        BarKind kind;
        u8 bar;
        bool is_in_window;  // a config BAR that the window shows
    };
    struct Hit {
        FunctionClient* client = nullptr;
        u8 bar = 0;
        IoAccess at{};
    };
    [[nodiscard]] Hit find(BarKind kind, IoAccess at);
    void rebuild_decoding();
    void follow_registers();

    ConfigWindow& window_;
    PciFunction host_bridge_;
    std::array<PciFunction*, pci::FUNCTIONS_PER_BUS> functions_{};

    Mutex config_mutex_;
    Mutex decode_mutex_;
    std::vector<Range> ranges_
        GUARDED_BY(decode_mutex_);  // of BARs that decode, by function and BAR; capacity for all
    std::size_t bar_count_ = 0;
};

}  // namespace mayfly
