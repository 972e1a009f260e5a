// SPDX-License-Identifier: Apache-2.0
// Msix: a function's MSI-X capability, vector table and pending bits. It sends nothing: messages are values
// that the client gets.
//
// The table lies in memory that a guest may read directly; the pending bits change by themselves, so a read
// of them traps. Any message that a guest writes into an entry is accepted here: the client decides whether
// it can be sent.
//
// Thread: under the device's lock.
// Spec: PCI Local Bus Specification 3.0 §6.8.2 "MSI-X Capability and Table Structures", §6.8.3 "MSI and MSI-X
// Operation".
#pragma once

#include <span>
#include <vector>

#include "devices/io/io_device.h"
#include "devices/pci/config_page.h"
#include "devices/pci/pci_function.h"
#include "vmm/error/ints.h"

namespace mayfly {

/// Called with the device's lock held.
class MsixClient {
  public:
    MsixClient() = default;
    MsixClient(const MsixClient&) = delete;
    MsixClient& operator=(const MsixClient&) = delete;
    virtual ~MsixClient() = default;

    /// The vector may send this message from now on: it was unmasked, or got another message while unmasked.
    virtual void on_vector_unmasked(u16 vector, u64 address, u32 data) = 0;
    /// The vector may not send any more: its own mask or the function's was set, or MSI-X was switched off.
    virtual void on_vector_masked(u16 vector) = 0;
    /// Send the message now: it was pending when the vector was unmasked. Comes after on_vector_unmasked().
    virtual void deliver(u16 vector, u64 address, u32 data) = 0;
};

class Msix final {
  public:
    struct Options {
        u16 vector_count;  ///< 1 to 2048
        u8 table_bar;
        u32 table_offset_bytes;  ///< in its BAR; a multiple of 8
        u8 pba_bar;
        u32 pba_offset_bytes;  ///< in its BAR; a multiple of 8
    };
    enum class Raise : u8 {
        Send,     ///< the caller sends message(vector)
        Pended,   ///< masked: deliver() comes when it is unmasked
        Ignored,  ///< MSI-X is off (INTx is in charge), or the vector does not exist
    };
    struct Message {
        u64 address;
        u32 data;
    };

    /// Adds the capability to `function`. `table` has table_bytes(count) bytes, 8-byte aligned; it and the
    /// others outlive this object.
    Msix(const Options& options, std::span<std::byte> table, PciFunction& function, MsixClient& client);
    Msix(const Msix&) = delete;
    Msix& operator=(const Msix&) = delete;

    [[nodiscard]] static constexpr u32 table_bytes(u16 vector_count) {
        return u32{vector_count} * pci::MSIX_ENTRY_BYTES;
    }
    /// Whole 64-bit words.
    [[nodiscard]] static constexpr u32 pba_bytes(u16 vector_count) { return (vector_count + 63u) / 64 * 8; }

    [[nodiscard]] Raise raise(u16 vector);
    [[nodiscard]] bool is_enabled() const;
    /// Whether raise() would say Send.
    [[nodiscard]] bool is_unmasked(u16 vector) const;
    /// Zeroes for a vector that does not exist.
    [[nodiscard]] Message message(u16 vector) const;
    [[nodiscard]] u16 vector_count() const { return vector_count_; }

    /// For FunctionClient::on_config_write(), with every write; only those to Message Control do something.
    void on_config_write(u16 offset, u8 size_bytes);
    /// `at` is relative to the table, or to the pending bits. Bytes beyond the end read as ones.
    [[nodiscard]] u64 table_read(IoAccess at) const;
    void table_write(IoAccess at, u64 value);
    [[nodiscard]] u64 pba_read(IoAccess at) const;

    /// Of an entry of the table.
    struct Entry {
        u64 address = 0;
        u64 data_and_control = 0;
    };
    /// Message Control is saved with the function's registers.
    struct State {
        std::vector<Entry> table;
        std::vector<u64> pending;  ///< as pba_read() shows it
    };
    [[nodiscard]] State save() const;
    /// After PciFunction::restore(); tells the client of every vector that may send. False: no guest can have
    /// written this state, or a pending vector may send; then nothing has changed.
    [[nodiscard]] bool restore(const State& state);

    /// Moves the table to the new place; copies the entries.
    void move_table(std::span<std::byte> table);
    /// The events behind the pending bits are gone (the device was reset).
    void clear_pending();
    /// Off, all vectors masked, nothing pending. After PciFunction::reset(), or before the guest runs.
    void reset();

  private:
    [[nodiscard]] bool may_send(u16 vector) const;
    void update_vector(u16 vector, bool is_message_new);
    void update_all();

    const u16 vector_count_;
    std::span<std::byte> table_;
    PciFunction& function_;
    MsixClient& client_;
    u8 capability_ = 0;  // its offset in configuration space
    u16 control_ = 0;    // Message Control as of the last on_config_write()
    std::vector<u64> pending_;
    std::vector<u64> unmasked_;  // the vectors that may send, as the client was last told
};

}  // namespace mayfly
