// SPDX-License-Identifier: Apache-2.0
// PciTransport: one virtio device as a PCI function, modern or transitional.
//
// Registers that a driver reads while it probes (common and device configuration, MSI-X table) are in the
// function's config page, which a guest may read without an exit; those with a side effect, or that change by
// themselves (ISR, doorbells, pending bits), are in a BAR that always traps.
//
// Thread: any; the core's mutex serialises. Lock order: core.h and pci_bus.h.
// Spec: virtio 1.2 §4.1 "Virtio Over PCI Bus".
#pragma once

#include <optional>
#include <vector>

#include "devices/io/msi_port.h"
#include "devices/pci/msix.h"
#include "devices/pci/pci_function.h"
#include "devices/virtio/transport/core.h"
#include "devices/virtio/transport/legacy_registers.h"

namespace mayfly {

struct PciTransportOptions {
    u32 config_address = 0;  ///< of the config page
    u32 trap_address = 0;    ///< of the page that traps
    u16 legacy_port = 0;     ///< of the legacy registers; 0: a modern device
    u8 interrupt_line = 0;   ///< INTA# reaches this input; 0: no pin
};

class PciTransport final : public FunctionClient, public MsixClient, public TransportClient {
  public:
    static constexpr u32 kPageBytes = 0x1000;
    static constexpr u32 kLegacyBytes = 0x80;
    static constexpr u16 kVectorsMax = 128;

    /// All outlive the transport. `intx` may be null.
    PciTransport(VirtioCore& core, ConfigPage image, MsiPort& msi, IrqLine* intx,
                 const PciTransportOptions& options);

    [[nodiscard]] PciFunction& function() { return function_; }
    [[nodiscard]] static PciFunction::Options function_options(const VirtioDevice& device,
                                                               const PciTransportOptions& options);

    // --- FunctionClient ---
    [[nodiscard]] u64 bar_read(u8 bar, IoAccess at) override;
    void bar_write(u8 bar, IoAccess at, u64 value) override;
    void on_decode_changed() override;
    void on_config_write(u16 offset, u8 size_bytes) override;
    void on_config_read(u16 offset, u8 size_bytes) override;
    void on_config_page_moved(ConfigPage page) override;

    // --- MsixClient ---
    void on_vector_unmasked(u16 vector, u64 address, u32 data) override;
    void on_vector_masked(u16 /*vector*/) override {}
    void deliver(u16 vector, u64 address, u32 data) override REQUIRES(core_.mutex());

    // --- TransportClient ---
    void interrupt_queue(u16 queue) override REQUIRES(core_.mutex());
    void interrupt_config() override REQUIRES(core_.mutex());
    void registers_changed() override REQUIRES(core_.mutex());
    [[nodiscard]] DoorbellPlaces doorbells(u16 queue) const override;

    struct Registers {
        u32 device_feature_select = 0;
        u32 driver_feature_select = 0;
        u16 queue_select = 0;
        u16 config_vector = 0xffff;
        u8 isr = 0;
    };
    /// Function, vectors, registers: without the core's and the device's state.
    struct State {
        Registers registers;
        u8 shown_generation = 0;
        std::vector<u16> queue_vectors;
        PciFunction::State function;
        Msix::State msix;
    };
    [[nodiscard]] State save() const;
    /// After the core and the device; PciBus::registers_restored() follows. Before the guest runs. False: no
    /// guest can have brought the transport to this state.
    [[nodiscard]] bool restore(const State& state);

  private:
    friend class LegacyRegisters;
    struct ConfigSpaceAccess {
        u8 bar;
        IoAccess at;
    };
    void add_capabilities();
    void add_virtio_capability(u8 type, u8 bar, u32 offset, u32 size_bytes);
    void write_common(u64 offset_bytes, u8 size_bytes, u64 value) REQUIRES(core_.mutex());
    void write_queue_field(u64 offset_bytes, u8 size_bytes, u64 value) REQUIRES(core_.mutex());
    void set_status(u8 status) REQUIRES(core_.mutex());
    [[nodiscard]] u16 vector_for(u64 value) const;
    [[nodiscard]] u64 live_read(IoAccess at, bool has_side_effects) REQUIRES(core_.mutex());
    [[nodiscard]] u8 read_isr() REQUIRES(core_.mutex());
    void drive_pin() REQUIRES(core_.mutex());
    void show_common() REQUIRES(core_.mutex());
    void show_device_config() REQUIRES(core_.mutex());
    void fill_device_config() REQUIRES(core_.mutex());
    void raise(u16 vector, u8 isr_bit, QueueCounts* counts) REQUIRES(core_.mutex());
    void count_sent(MsiPath path, QueueCounts* counts) const;
    /// The place that VIRTIO_PCI_CAP_PCI_CFG selects, if it is accessible.
    [[nodiscard]] std::optional<ConfigSpaceAccess> aimed_access() const;
    void access_through_config_space(bool is_write);
    void show_aimed(const ConfigSpaceAccess& access, bool has_side_effects);
    [[nodiscard]] bool is_page_shown() const REQUIRES(core_.mutex()) { return page_ != nullptr; }

    VirtioCore& core_;
    MsiPort& msi_;
    Registers state_ GUARDED_BY(core_.mutex());
    std::vector<u16> queue_vectors_ GUARDED_BY(core_.mutex());
    std::vector<std::byte> first_table_;                   // until the config page exists
    std::byte* page_ GUARDED_BY(core_.mutex()) = nullptr;  // the config page, once there is one
    u8 shown_generation_ GUARDED_BY(core_.mutex()) = 0;
    u16 access_capability_ = 0;  // offset of VIRTIO_PCI_CAP_PCI_CFG
    bool has_pin_;
    PciFunction function_;
    Msix msix_;
    LegacyRegisters legacy_;
};

}  // namespace mayfly
