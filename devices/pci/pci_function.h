// SPDX-License-Identifier: Apache-2.0
// PciFunction: the configuration space of one type 00h function, its BARs, capabilities and INTx pin.
//
// The space is a page that a guest may read as memory, so the page is the state: a write is complete only
// when reads return its result. The function does not know its bus address; PciBus routes.
//
// Thread: config_read(), config_write() and reset() under the bus's configuration lock. set_intx(),
// set_status() and refresh() under the device's lock or none; a lock of this function, which is the innermost
// of all, guards the Command and Status registers. The rest: any.
// Spec: PCI Local Bus Specification 3.0 §6.1 "Configuration Space Organization"; PCI Express Base
// Specification 3.0 §7.5 "PCI-Compatible Configuration Registers".
#pragma once

#include <array>
#include <bitset>
#include <optional>
#include <span>

#include "devices/io/irq_line.h"
#include "devices/pci/config_page.h"
#include "devices/pci/function_client.h"
#include "devices/pci/pci_spec.h"
#include "vmm/error/ints.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

enum class BarKind : u8 { None, Memory32, Io };

struct PciBar {
    BarKind kind = BarKind::None;
    u32 size_bytes = 0;  ///< a power of two; at least 16 for memory, 4 for I/O
    u32 address = 0;     ///< the address that firmware would have chosen; a multiple of the size
};

class PciFunction final {
  public:
    static constexpr u8 kNoBar = 0xff;

    struct Options {
        u16 vendor_id = 0;
        u16 device_id = 0;
        u8 revision_id = 0;
        u32 class_code = 0;  ///< base class, sub-class, interface: 0x010000 is SCSI storage
        u16 subsystem_vendor_id = 0;
        u16 subsystem_id = 0;
        u16 command = 0;           ///< as firmware would have left it
        u8 interrupt_pin = 0;      ///< 1 is INTA#; 0 none
        u8 interrupt_line = 0xff;  ///< the input of the PIC, for guests that ask no table
        std::array<PciBar, pci::BASE_ADDRESSES> bars{};
        /// Which BAR (Memory32, 4 KiB) has its content in a page of the ConfigWindow.
        u8 config_bar = kNoBar;
    };

    /// `image` is overwritten whole. It, the client and the line outlive the function; client and line may be
    /// null (a function without BARs; no pin).
    PciFunction(ConfigPage image, const Options& options, FunctionClient* client, IrqLine* intx);
    PciFunction(const PciFunction&) = delete;
    PciFunction& operator=(const PciFunction&) = delete;

    // Building it, before the guest runs.

    /// Appends to the list a capability whose bytes after ID and next pointer are `body`; `write_mask` says
    /// which of their bits a guest may change (the rest of a shorter mask: none). \returns its offset.
    u8 add_capability(u8 id, std::span<const u8> body, std::span<const u8> write_mask);
    /// Trapped reads of the dwords that hold these bytes call on_config_read() first.
    void intercept_reads(u16 offset, u16 size_bytes);
    void set_multifunction();

    // Accesses.

    /// Within one dword (VERIFY): the caller splits.
    [[nodiscard]] u32 config_read(u16 offset, u8 size_bytes);
    /// \returns whether an enabled BAR moved or decoding changed. The caller makes the client's callbacks.
    [[nodiscard]] bool config_write(u16 offset, u8 size_bytes, u32 value);
    /// Sets what the options say; capabilities as added. The pin falls.
    void reset();

    /// Its registers. They do not hold the level that the device asks for: call set_intx() again.
    struct State {
        std::array<u8, 256> registers{};
    };
    [[nodiscard]] State save() const;
    /// Under the bus's configuration lock; PciBus::registers_restored() follows. False: a register has a
    /// value that no guest can have written; then nothing has changed.
    [[nodiscard]] bool restore(const State& state);

    /// Stores bytes that a guest then reads, whatever their write mask.
    void refresh(u16 offset, std::span<const std::byte> bytes);
    [[nodiscard]] u8 config8(u16 offset) const { return load_word<u8>(image_, offset); }
    [[nodiscard]] u16 config16(u16 offset) const { return load_word<u16>(image_, offset); }
    [[nodiscard]] u32 config32(u16 offset) const { return load_word<u32>(image_, offset); }

    /// Where the BAR is, or nothing while it does not decode.
    [[nodiscard]] std::optional<u32> bar_address(u8 bar) const;
    [[nodiscard]] const PciBar& bar(u8 bar) const { return options_.bars[bar]; }
    [[nodiscard]] u8 config_bar() const { return options_.config_bar; }

    /// The level that the device asks for; Command's Interrupt Disable keeps it from the pin.
    void set_intx(bool is_asserted);
    /// Sets error bits of Status (those that a guest clears by writing ones).
    void set_status(u16 bits);

    [[nodiscard]] FunctionClient* client() const { return client_; }
    [[nodiscard]] std::span<const std::byte, kConfigPageBytes> image() const { return image_; }

  private:
    static constexpr std::size_t kWritableBytes = std::tuple_size_v<decltype(State::registers)>;

    void build_header();
    void put(u16 offset, u32 value, u8 size_bytes);
    void set_write_mask(u16 offset, u32 mask, u8 size_bytes);
    [[nodiscard]] u32 write_mask(u16 dword) const;
    [[nodiscard]] bool write_command_status(u32 value, u32 lanes);
    void drive_pin() REQUIRES(command_status_);

    const Options options_;
    const ConfigPage image_;
    FunctionClient* const client_;
    IrqLine* const intx_;
    alignas(4) std::array<u8, kWritableBytes> initial_{};  // what reset() restores
    alignas(4) std::array<u8, kWritableBytes> write_mask_{};
    std::bitset<kWritableBytes / 4> intercepted_;  // by dword
    u16 capabilities_end_ = pci::HEADER_BYTES;
    u8 capability_last_ = 0;  // 0: none

    Mutex command_status_;  // innermost: nothing but the pin is called under it
    bool is_intx_asserted_ GUARDED_BY(command_status_) = false;
    bool is_pin_high_ GUARDED_BY(command_status_) = false;
};

}  // namespace mayfly
