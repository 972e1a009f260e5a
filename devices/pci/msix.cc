// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/msix.h"

#include <algorithm>
#include <array>

#include "vmm/error/verify.h"

namespace mayfly {

namespace {

constexpr u32 kWordBits = 64;
constexpr u64 kDataAndMask = 0xffff'ffff | u64{pci::MSIX_ENTRY_CONTROL_MASK} << 32;
// PCI Local Bus Specification 3.0 §6.8.2 "MSI-X Capability and Table Structures": software always writes
// zeroes to the low two bits of the address, for DWORD alignment. They are hardwired to zero here.
constexpr u64 kAddressBits = ~u64{3};

u64 bit(u16 vector) { return u64{1} << (vector % kWordBits); }
std::size_t entry(u16 vector) { return std::size_t{vector} * pci::MSIX_ENTRY_BYTES; }

}  // namespace

Msix::Msix(const Options& options, std::span<std::byte> table, PciFunction& function, MsixClient& client)
    : vector_count_(options.vector_count),
      table_(table),
      function_(function),
      client_(client),
      pending_(pba_bytes(options.vector_count) / sizeof(u64)),
      unmasked_(pending_.size()) {
    // no guest: PciTransport makes the table and its place, before the guest runs.
    VERIFY(vector_count_ >= 1 && vector_count_ <= pci::MSIX_VECTORS_MAX);
    VERIFY(table_.size() == table_bytes(vector_count_));
    VERIFY(options.table_offset_bytes % 8 == 0 && options.table_bar < pci::BASE_ADDRESSES);
    VERIFY(options.pba_offset_bytes % 8 == 0 && options.pba_bar < pci::BASE_ADDRESSES);
    std::array<u8, 10> body{};
    const u32 size_field = vector_count_ - 1u;
    const u32 table_field = options.table_offset_bytes | options.table_bar;
    const u32 pba_field = options.pba_offset_bytes | options.pba_bar;
    for (unsigned i = 0; i < 2; ++i) body[i] = static_cast<u8>(size_field >> (8 * i));
    for (unsigned i = 0; i < 4; ++i) body[2 + i] = static_cast<u8>(table_field >> (8 * i));
    for (unsigned i = 0; i < 4; ++i) body[6 + i] = static_cast<u8>(pba_field >> (8 * i));
    constexpr std::array<u8, 2> kWritable = {
        0, (pci::MSIX_CONTROL_ENABLE | pci::MSIX_CONTROL_FUNCTION_MASK) >> 8};
    capability_ = function_.add_capability(pci::CAP_ID_MSIX, body, kWritable);
    reset();
}

void Msix::reset() {
    control_ = 0;
    update_all();
    clear_pending();
    for (u16 vector = 0; vector < vector_count_; ++vector) {
        // Data and mask in one store, first: at no moment does half an entry look unmasked.
        store_word<u64>(table_, entry(vector) + pci::MSIX_ENTRY_DATA,
                        u64{pci::MSIX_ENTRY_CONTROL_MASK} << 32);
        store_word<u64>(table_, entry(vector) + pci::MSIX_ENTRY_ADDRESS, 0);
    }
    control_ = function_.config16(static_cast<u16>(capability_ + pci::MSIX_MESSAGE_CONTROL));
}

Msix::Raise Msix::raise(u16 vector) {
    if (!is_enabled() || vector >= vector_count_) return Raise::Ignored;
    if (is_unmasked(vector)) return Raise::Send;
    pending_[vector / kWordBits] |= bit(vector);
    return Raise::Pended;
}

bool Msix::is_enabled() const { return (control_ & pci::MSIX_CONTROL_ENABLE) != 0; }

bool Msix::is_unmasked(u16 vector) const {
    return vector < vector_count_ && (unmasked_[vector / kWordBits] & bit(vector)) != 0;
}

Msix::Message Msix::message(u16 vector) const {
    if (vector >= vector_count_) return {};
    return {load_word<u64>(table_, entry(vector) + pci::MSIX_ENTRY_ADDRESS),
            load_word<u32>(table_, entry(vector) + pci::MSIX_ENTRY_DATA)};
}

void Msix::on_config_write(u16 offset, u8 size_bytes) {
    const u32 control_at = capability_ + u32{pci::MSIX_MESSAGE_CONTROL};
    if (offset >= control_at + 2 || u32{offset} + size_bytes <= control_at) return;
    const bool was_enabled = is_enabled();
    control_ = function_.config16(static_cast<u16>(control_at));
    update_all();
    // INTx speaks for the device from here; an earlier message would report the same event twice.
    if (was_enabled && !is_enabled()) clear_pending();
}

u64 Msix::table_read(IoAccess at) const { return load_bytes(table_, at.offset_bytes, at.size_bytes); }

u64 Msix::pba_read(IoAccess at) const {
    return load_bytes(std::as_bytes(std::span(pending_)), at.offset_bytes, at.size_bytes);
}

void Msix::table_write(IoAccess at, u64 value) {
    // PCI Local Bus Specification 3.0 §6.8.2 "MSI-X Capability and Table Structures": software must use
    // aligned accesses of a DWORD or a QWORD.
    if ((at.size_bytes != 4 && at.size_bytes != 8) || at.offset_bytes % at.size_bytes != 0) return;
    if (at.offset_bytes >= table_.size()) return;
    const u16 vector = static_cast<u16>(at.offset_bytes / pci::MSIX_ENTRY_BYTES);
    const std::size_t half_at = align_down(at.offset_bytes, 8);
    const u64 old = load_word<u64>(table_, half_at);
    u64 next = value;
    if (at.size_bytes == 4) {
        const unsigned shift = 8 * static_cast<unsigned>(at.offset_bytes - half_at);
        next = (old & ~(u64{0xffff'ffff} << shift)) | ((value & 0xffff'ffff) << shift);
    }
    const bool is_address = half_at % pci::MSIX_ENTRY_BYTES == pci::MSIX_ENTRY_ADDRESS;
    next &= is_address ? kAddressBits : kDataAndMask;
    if (next == old) return;
    store_word<u64>(table_, half_at, next);
    update_vector(vector, is_address || static_cast<u32>(next) != static_cast<u32>(old));
}

bool Msix::may_send(u16 vector) const {
    const u32 control = load_word<u32>(table_, entry(vector) + pci::MSIX_ENTRY_CONTROL);
    return is_enabled() && (control_ & pci::MSIX_CONTROL_FUNCTION_MASK) == 0 &&
           (control & pci::MSIX_ENTRY_CONTROL_MASK) == 0;
}

void Msix::update_vector(u16 vector, bool is_message_new) {
    const bool was_unmasked = is_unmasked(vector);
    u64& unmasked = unmasked_[vector / kWordBits];
    u64& pending = pending_[vector / kWordBits];
    if (!may_send(vector)) {
        unmasked &= ~bit(vector);
        if (was_unmasked) client_.on_vector_masked(vector);
        return;
    }
    if (was_unmasked && !is_message_new) return;
    unmasked |= bit(vector);
    const Message now = message(vector);
    client_.on_vector_unmasked(vector, now.address, now.data);
    if ((pending & bit(vector)) == 0) return;
    pending &= ~bit(vector);
    client_.deliver(vector, now.address, now.data);
}

void Msix::update_all() {
    for (u16 vector = 0; vector < vector_count_; ++vector) update_vector(vector, false);
}

Msix::State Msix::save() const {
    State state{.table = {}, .pending = pending_};
    for (u16 vector = 0; vector < vector_count_; ++vector) {
        state.table.push_back({load_word<u64>(table_, entry(vector) + pci::MSIX_ENTRY_ADDRESS),
                               load_word<u64>(table_, entry(vector) + pci::MSIX_ENTRY_DATA)});
    }
    return state;
}

bool Msix::restore(const State& state) {
    if (state.table.size() != vector_count_ || state.pending.size() != pending_.size()) return false;
    const u16 control = function_.config16(static_cast<u16>(capability_ + pci::MSIX_MESSAGE_CONTROL));
    const bool is_open =
        (control & pci::MSIX_CONTROL_ENABLE) != 0 && (control & pci::MSIX_CONTROL_FUNCTION_MASK) == 0;
    for (u32 vector = 0; vector < pending_.size() * kWordBits; ++vector) {
        const bool is_pending = (state.pending[vector / kWordBits] >> vector % kWordBits & 1) != 0;
        if (vector >= vector_count_) {
            if (is_pending) return false;
            continue;
        }
        const Entry& saved = state.table[vector];
        if ((saved.address & ~kAddressBits) != 0 || (saved.data_and_control & ~kDataAndMask) != 0)
            return false;
        const bool is_masked = (saved.data_and_control >> 32 & pci::MSIX_ENTRY_CONTROL_MASK) != 0;
        if (is_pending && is_open && !is_masked) return false;
    }
    // Off, so that nothing is sent or reported before all parts are restored.
    control_ = 0;
    update_all();
    clear_pending();
    for (u16 vector = 0; vector < vector_count_; ++vector) {
        store_word<u64>(table_, entry(vector) + pci::MSIX_ENTRY_ADDRESS, state.table[vector].address);
        store_word<u64>(table_, entry(vector) + pci::MSIX_ENTRY_DATA, state.table[vector].data_and_control);
    }
    control_ = control;
    update_all();
    pending_ = state.pending;
    return true;
}

void Msix::move_table(std::span<std::byte> table) {
    // no guest: PciTransport cuts it from a page by the same count of vectors.
    VERIFY(table.size() == table_.size());
    for (std::size_t at = 0; at < table.size(); at += sizeof(u64)) {
        store_word<u64>(table, at, load_word<u64>(table_, at));
    }
    table_ = table;
}

void Msix::clear_pending() { std::fill(pending_.begin(), pending_.end(), u64{0}); }

}  // namespace mayfly
