// SPDX-License-Identifier: Apache-2.0
// A virtio device's transport, seen by its driver: virtio-pci modern, virtio-pci legacy (transitional,
// through ports) or virtio-mmio version 2, behind one class.
//
// Registers are cold. The hot path, the doorbell, is a plain address (or port) that queues keep.
// Spec: virtio 1.2 §4.1 "Virtio Over PCI Bus", §4.1.4.10 "Legacy Interfaces: A Note on PCI Device Layout",
// §4.2 "Virtio Over MMIO".
#pragma once

#include "firmware/guests/runtime/pci.h"

namespace guest::virtio {

constexpr u16 kNet = 1;
constexpr u16 kBlock = 2;
constexpr u16 kConsole = 3;
constexpr u16 kEntropy = 4;
constexpr u16 kShare = 26;

constexpr u8 kAcknowledge = 1;
constexpr u8 kDriver = 2;
constexpr u8 kDriverOk = 4;
constexpr u8 kFeaturesOk = 8;
constexpr u8 kNeedsReset = 64;
constexpr u8 kFailed = 128;

constexpr u64 kIndirect = u64{1} << 28;
constexpr u64 kEventIdx = u64{1} << 29;
constexpr u64 kVersion1 = u64{1} << 32;
constexpr u64 kPacked = u64{1} << 34;

constexpr u16 kNoVector = 0xffff;

enum class Kind : u8 { Pci, Legacy, Mmio };

/// Where a queue is rung: an MMIO address (u16 or u32 wide), or a port.
struct Doorbell {
    u64 address = 0;  ///< 0: by port
    u16 port = 0;
    bool is_32bit = false;

    void ring(u16 queue) const {
        // SAFETY: the transport mapped it.
        if (address == 0) {
            out16(port, queue);
        } else if (is_32bit) {
            *reinterpret_cast<volatile u32*>(address) = queue;
        } else {
            *reinterpret_cast<volatile u16*>(address) = queue;
        }
    }
};

struct QueueAddresses {
    u64 descriptors;
    u64 driver_area;
    u64 device_area;
};

class Transport final {
  public:
    /// The `index`-th device with this id on this transport (0: any id). PCI functions get their BARs
    /// enabled.
    bool find(Kind kind, u16 device_id, u32 index);
    /// A PCI function's virtio structures, if it is a virtio device.
    bool attach(Kind kind, pci::Function function);

    [[nodiscard]] Kind kind() const { return kind_; }
    [[nodiscard]] u16 device_id() const { return device_id_; }
    [[nodiscard]] pci::Function function() const { return function_; }
    /// virtio-mmio: its interrupt as the command line says. INTx: the Interrupt Line register.
    [[nodiscard]] u32 line() const;

    [[nodiscard]] u8 status() const;
    void set_status(u8 status) const;
    /// Writes 0 and waits until it is read back, as it must; false after a second.
    bool reset() const;
    [[nodiscard]] u64 device_features() const;
    void set_driver_features(u64 features) const;

    /// 0: the queue does not exist.
    [[nodiscard]] u16 queue_size_max(u16 queue) const;
    /// False when the device refuses the vector.
    bool enable_queue(u16 queue, u16 size, const QueueAddresses& at, u16 vector) const;
    [[nodiscard]] bool is_queue_enabled(u16 queue) const;
    [[nodiscard]] Doorbell doorbell(u16 queue) const;
    bool set_config_vector(u16 vector) const;

    /// Reads (and by that, or by a write, clears) the interrupt status.
    [[nodiscard]] u8 take_interrupt() const;
    [[nodiscard]] u32 config_generation() const;
    [[nodiscard]] u8 config8(u32 offset) const;
    void write_config8(u32 offset, u8 value) const;
    [[nodiscard]] u32 config32(u32 offset) const;
    [[nodiscard]] u64 config64(u32 offset) const;
    /// Device configuration that the transport has room for; at most 256.
    [[nodiscard]] u32 config_bytes() const { return config_bytes_; }

    /// Of virtio-pci modern: where the common configuration is.
    [[nodiscard]] u64 common() const { return base_; }
    /// Of virtio-pci modern: the notification area.
    [[nodiscard]] u64 notify() const { return notify_; }

  private:
    bool attach_modern();
    bool attach_legacy();
    bool attach_mmio(Text words);
    u16 select_queue(u16 queue) const;

    Kind kind_ = Kind::Pci;
    u16 device_id_ = 0;
    pci::Function function_ = 0;
    u32 line_ = 0;
    u64 base_ = 0;  ///< common configuration, ports, or the MMIO window
    u64 isr_ = 0;
    u64 notify_ = 0;
    u32 notify_multiplier_ = 0;
    u64 config_ = 0;
    u32 config_bytes_ = 0;
};

/// Reset, ACKNOWLEDGE, DRIVER, the features that both want, FEATURES_OK. False with a FAIL line when refused.
bool negotiate(const Transport& transport, u64 wanted, u64& features);
/// DRIVER_OK.
void drive(const Transport& transport);

}  // namespace guest::virtio
