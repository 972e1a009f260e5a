// SPDX-License-Identifier: Apache-2.0
// A bus with a window, and a device of a typical shape to put on it: a config BAR whose page also holds the
// MSI-X table, a memory BAR with the pending bits, and an I/O BAR.
#pragma once

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "devices/pci/bar_space.h"
#include "devices/pci/config_ports.h"
#include "devices/pci/config_window.h"
#include "devices/pci/ecam.h"
#include "devices/pci/msix.h"
#include "devices/pci/pci_bus.h"
#include "tests/support/fake_irq_line.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

constexpr u64 kWindowBase = 0xe000'0000;
constexpr u64 kPagesBase = 0xe010'0000;

struct AlignedPage {
    alignas(4096) std::array<std::byte, 4096> bytes;
};

/// Remembers the calls of Msix.
class MsixLog final : public MsixClient {
  public:
    enum class What : u8 { Unmasked, Masked, Delivered };
    struct Event {
        What what;
        u16 vector;
        u64 address;
        u32 data;
        bool operator==(const Event&) const = default;
    };
    void on_vector_unmasked(u16 vector, u64 address, u32 data) override {
        events.push_back({What::Unmasked, vector, address, data});
    }
    void on_vector_masked(u16 vector) override { events.push_back({What::Masked, vector, 0, 0}); }
    void deliver(u16 vector, u64 address, u32 data) override {
        events.push_back({What::Delivered, vector, address, data});
    }
    [[nodiscard]] std::vector<Event> take() { return std::exchange(events, {}); }

    std::vector<Event> events;
};

/// Page of BAR 0: a selector at 0, the selected value at 4 (as with virtio's queue_select), a writable word
/// at 8, and four MSI-X entries at 0x800. BAR 1 (memory, 16 KiB): pending bits at 0x1000. BAR 2 (I/O, 32
/// bytes).
class FakeDevice final : public FunctionClient {
  private:
    static constexpr std::array<u8, 6> body_ = {8, 0x5a, 0, 0, 0, 0};
    static constexpr std::array<u8, 6> mask_ = {0, 0, 0xff, 0xff, 0xff, 0xff};
    AlignedPage first_page_{};

  public:
    static constexpr u32 kTableOffset = 0x800;
    static constexpr u16 kVectors = 4;

    FakeDevice(ConfigPage image, u32 config_bar_address, u16 command)
        : function(image,
                   {.vendor_id = 0x1af4,
                    .device_id = 0x1042,
                    .revision_id = 1,
                    .class_code = 0x01'00'00,
                    .subsystem_vendor_id = 0x1af4,
                    .subsystem_id = 2,
                    .command = command,
                    .interrupt_pin = 1,
                    .bars = {{{BarKind::Memory32, 4096, config_bar_address},
                              {BarKind::Memory32, 0x4000, 0xd000'0000},
                              {BarKind::Io, 32, 0xc000}}},
                    .config_bar = 0},
                   this, &pin) {
        cap_data = static_cast<u8>(function.add_capability(9, body_, mask_) + 4);
        function.intercept_reads(cap_data, 4);
    }

    [[nodiscard]] u64 bar_read(u8 bar, IoAccess at) override {
        const Lock guard(mutex);
        last_bar = bar;
        last = at;
        ++bar_reads;
        if (bar == 0) return load_bytes(page, at.offset_bytes, at.size_bytes);
        if (bar == 1 && at.offset_bytes >= 0x1000 && at.offset_bytes < 0x1008) {
            return msix.pba_read({at.offset_bytes - 0x1000, at.size_bytes});
        }
        return answer;
    }
    void bar_write(u8 bar, IoAccess at, u64 value) override {
        const Lock guard(mutex);
        last_bar = bar;
        last = at;
        last_value = value;
        ++bar_writes;
        if (bar != 0) return;
        if (at.offset_bytes >= kTableOffset && at.offset_bytes < kTableOffset + 64) {
            msix.table_write({at.offset_bytes - kTableOffset, at.size_bytes}, value);
        } else if (at.offset_bytes == 0 && at.size_bytes == 4) {
            store_word<u32>(page, 0, static_cast<u32>(value));
            store_word<u32>(page, 4, static_cast<u32>(value) * 0x01010101);
        } else if (at.offset_bytes == 8 && at.size_bytes == 8) {
            store_word<u64>(page, 8, value);
        }
    }
    void on_decode_changed() override { ++decode_changes; }
    void on_config_write(u16 offset, u8 size_bytes) override {
        const Lock guard(mutex);
        config_writes.push_back({offset, size_bytes});
        msix.on_config_write(offset, size_bytes);
    }
    void on_config_read(u16 offset, u8 size_bytes) override {
        const Lock guard(mutex);
        intercepted.push_back({offset, size_bytes});
        const std::array<std::byte, 4> bytes = {std::byte(++read_count), std::byte{0}, std::byte{0},
                                                std::byte{0xa5}};
        function.refresh(cap_data, bytes);
    }
    void on_config_page_moved(ConfigPage to) override {
        const Lock guard(mutex);
        std::memcpy(to.data(), page.data(), page.size());
        msix.move_table(to.subspan(kTableOffset, 64));
        page = to;
        ++page_moves;
    }

    Mutex mutex;
    FakeIrqLine pin;
    PciFunction function;
    MsixLog log;
    ConfigPage page = first_page_.bytes;
    Msix msix{{.vector_count = kVectors,
               .table_bar = 0,
               .table_offset_bytes = kTableOffset,
               .pba_bar = 1,
               .pba_offset_bytes = 0x1000},
              page.subspan(kTableOffset, 64),
              function,
              log};
    u8 cap_data = 0;
    u8 last_bar = 0xff;
    IoAccess last{};
    u64 last_value = 0;
    u64 answer = 0x1122'3344'5566'7788;
    int bar_reads = 0;
    int bar_writes = 0;
    int decode_changes = 0;
    int page_moves = 0;
    u8 read_count = 0;
    std::vector<std::pair<u16, u8>> config_writes;
    std::vector<std::pair<u16, u8>> intercepted;
};

/// The window's memory as the machine makes it: filled with ones. One exists at a time, and its pages are
/// kept for the next, because a fuzzer makes thousands.
class WindowMemory {
  public:
    WindowMemory() { std::memset(pages_.data(), 0xff, sizeof pages_); }

    // SAFETY: AlignedPage is its bytes and nothing else.
    [[nodiscard]] std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(pages_)); }
    /// A guest's read of the window as memory.
    [[nodiscard]] u64 read(u64 address, u8 size_bytes) {
        return load_bytes(bytes(), address - kWindowBase, size_bytes);
    }

  private:
    static inline std::array<AlignedPage, 512> pages_;
};

struct PciWorld {
    WindowMemory memory;
    ConfigWindow window{memory.bytes(), kWindowBase};
    PciBus bus{window};
    Ecam ecam{bus};
    ConfigPorts ports{bus, nullptr};
    PciMemory pci_memory{bus};
    PciIo pci_io{bus};

    /// Decodes the guest's addresses: the ECAM first, then BARs.
    [[nodiscard]] u64 mmio_read(u64 address, u8 size_bytes) {
        if (is_ecam(address, size_bytes)) return ecam.io_read({address - kWindowBase, size_bytes});
        return pci_memory.io_read({address, size_bytes});
    }
    void mmio_write(u64 address, u8 size_bytes, u64 value) {
        if (is_ecam(address, size_bytes)) {
            ecam.io_write({address - kWindowBase, size_bytes}, value);
        } else {
            pci_memory.io_write({address, size_bytes}, value);
        }
    }
    [[nodiscard]] u32 config(u8 devfn, u16 offset, u8 size_bytes = 4) {
        return static_cast<u32>(ecam.io_read({u64{devfn} * 4096 + offset, size_bytes}));
    }
    void set_config(u8 devfn, u16 offset, u8 size_bytes, u32 value) {
        ecam.io_write({u64{devfn} * 4096 + offset, size_bytes}, value);
    }

  private:
    static bool is_ecam(u64 address, u8 size_bytes) {
        return address >= kWindowBase && address < kPagesBase && size_bytes <= kPagesBase - address;
    }
};

}  // namespace mayfly
