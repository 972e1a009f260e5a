// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/aml.h"

#include <algorithm>

#include "vmm/error/verify.h"

namespace mayfly {

namespace {

namespace res = acpi_resource;

constexpr std::size_t kSegmentBytes = 4;

bool is_name_character(char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

/// Spec: ACPI 6.5 §20.2.2 "Name Objects Encoding": a NameSeg shorter than four is filled with '_'.
void name_segment(ByteWriter& out, std::string_view segment) {
    VERIFY(!segment.empty() && segment.size() <= kSegmentBytes);
    VERIFY(std::all_of(segment.begin(), segment.end(), is_name_character));
    VERIFY(segment.front() < '0' || segment.front() > '9');
    out.text(segment);
    for (std::size_t i = segment.size(); i < kSegmentBytes; ++i) out.put8('_');
}

/// How an integer is encoded: a prefix (or the whole of it, without payload), then `payload_bytes`.
struct IntegerForm {
    u8 prefix;
    unsigned payload_bytes;
};

IntegerForm integer_form(u64 value) {
    if (value == 0) return {aml::ZeroOp, 0};
    if (value == 1) return {aml::OneOp, 0};
    if (value == ~u64{0}) return {aml::OnesOp, 0};
    if (value <= 0xff) return {aml::BytePrefix, 1};
    if (value <= 0xffff) return {aml::WordPrefix, 2};
    if (value <= 0xffff'ffff) return {aml::DWordPrefix, 4};
    return {aml::QWordPrefix, 8};
}

}  // namespace

// --- Resource descriptors ---------------------------------------------------------------------------

/// Spec: ACPI 6.5 §6.4.2.5 "I/O Port Descriptor".
void AmlResources::io(u16 port, u8 port_count) {
    out_->put8(res::IO_PORT);
    out_->put8(res::IO_DECODE16);
    out_->put16(port);  // lowest base
    out_->put16(port);  // highest base
    out_->put8(1);      // alignment
    out_->put8(port_count);
}

/// Spec: ACPI 6.5 §6.4.2.1 "IRQ Descriptor".
void AmlResources::irq(u8 irq_number) {
    VERIFY(irq_number < 16);
    out_->put8(res::IRQ_NO_FLAGS);
    out_->put16(static_cast<u16>(1u << irq_number));
}

/// Spec: ACPI 6.5 §6.4.3.6 "Extended Interrupt Descriptor".
void AmlResources::interrupt(u32 gsi) {
    out_->put8(res::EXTENDED_INTERRUPT);
    out_->put16(6);
    out_->put8(res::INTERRUPT_CONSUMER | res::INTERRUPT_EDGE);
    out_->put8(1);  // interrupts in this descriptor
    out_->put32(gsi);
}

/// Spec: ACPI 6.5 §6.4.3.4 "32-Bit Fixed Memory Range Descriptor".
void AmlResources::memory32_fixed(u32 base, u32 size_bytes) {
    out_->put8(res::MEMORY32_FIXED);
    out_->put16(9);
    out_->put8(res::MEMORY_READ_WRITE);
    out_->put32(base);
    out_->put32(size_bytes);
}

void AmlResources::word_bus_number(u16 first, u16 last) {
    address_space({res::WORD_ADDRESS_SPACE, 2, res::TYPE_BUS_NUMBER, 0}, first, last);
}

void AmlResources::word_io(u16 first, u16 last) {
    address_space({res::WORD_ADDRESS_SPACE, 2, res::TYPE_IO, res::IO_ENTIRE_RANGE}, first, last);
}

void AmlResources::dword_memory(u32 first, u32 last) {
    address_space({res::DWORD_ADDRESS_SPACE, 4, res::TYPE_MEMORY, res::MEMORY_READ_WRITE}, first, last);
}

void AmlResources::qword_memory(u64 first, u64 last) {
    address_space({res::QWORD_ADDRESS_SPACE, 8, res::TYPE_MEMORY, res::MEMORY_READ_WRITE}, first, last);
}

/// Spec: ACPI 6.5 §6.4.3.5 "Address Space Resource Descriptors".
void AmlResources::address_space(AddressSpace space, u64 first, u64 last) {
    VERIFY(first <= last);
    out_->put8(space.tag);
    out_->put16(static_cast<u16>(3 + 5 * space.width_bytes));
    out_->put8(space.type);
    out_->put8(res::MIN_FIXED | res::MAX_FIXED);
    out_->put8(space.type_flags);
    out_->put_low_bytes(0, space.width_bytes);  // granularity
    out_->put_low_bytes(first, space.width_bytes);
    out_->put_low_bytes(last, space.width_bytes);
    out_->put_low_bytes(0, space.width_bytes);  // translation
    out_->put_low_bytes(last - first + 1, space.width_bytes);
}

// --- Terms ------------------------------------------------------------------------------------------

Aml& Aml::name(std::string_view path) {
    out_->put8(aml::NameOp);
    name_string(path);
    return *this;
}

Aml& Aml::return_value() {
    out_->put8(aml::ReturnOp);
    return *this;
}

void Aml::integer(u64 value) {
    const IntegerForm form = integer_form(value);
    out_->put8(form.prefix);
    out_->put_low_bytes(value, form.payload_bytes);
}

void Aml::eisa(std::string_view id) {
    VERIFY(id.size() == 7);
    out_->put8(aml::DWordPrefix);
    out_->put32(eisa_id(id));
}

void Aml::string(std::string_view ascii) {
    out_->put8(aml::StringPrefix);
    out_->text(ascii);
    out_->put8(0);
}

void Aml::buffer(std::span<const u8> bytes) {
    out_->put8(aml::BufferOp);
    block([&] {
        integer(bytes.size());
        out_->bytes(bytes);
    });
}

void Aml::name_string(std::string_view path) {
    if (path.starts_with('\\')) {
        out_->put8(aml::RootChar);
        path.remove_prefix(1);
    }
    const auto segment_count = 1 + std::count(path.begin(), path.end(), '.');
    VERIFY(segment_count <= 0xff);
    if (segment_count == 2) {
        out_->put8(aml::DualNamePrefix);
    } else if (segment_count > 2) {
        out_->put8(aml::MultiNamePrefix);
        out_->put8(static_cast<u8>(segment_count));
    }
    for (std::size_t dot = path.find('.'); dot != path.npos; dot = path.find('.')) {
        name_segment(*out_, path.substr(0, dot));
        path.remove_prefix(dot + 1);
    }
    name_segment(*out_, path);
}

/// Spec: ACPI 6.5 §20.2.4 "Package Length Encoding": the length counts itself; one byte up to 63, else the
/// low nibble and one to three more bytes, whose count is in bits 7:6 of the first.
void Aml::insert_package_length(std::size_t begin) {
    const std::size_t content_bytes = out_->size() - begin;
    unsigned more_bytes = 0;
    std::size_t limit = 0x40;
    while (content_bytes + 1 + more_bytes >= limit) {
        ++more_bytes;
        limit = std::size_t{0x10} << (8 * more_bytes);
    }
    VERIFY(more_bytes <= 3);
    const std::size_t length = content_bytes + 1 + more_bytes;
    out_->open_gap(begin, 1 + more_bytes);
    if (more_bytes == 0) {
        out_->patch8(begin, static_cast<u8>(length));
        return;
    }
    out_->patch8(begin, static_cast<u8>(more_bytes << 6 | (length & 0xf)));
    out_->patch_low_bytes(begin + 1, length >> 4, more_bytes);
}

/// Spec: ACPI 6.5 §6.4.2.9 "End Tag": a checksum of 0 stands for a missing checksum.
void Aml::end_resources(std::size_t begin) {
    out_->put8(res::END_TAG);
    out_->put8(0);
    const u64 buffer_bytes = out_->size() - begin;
    const IntegerForm form = integer_form(buffer_bytes);
    out_->open_gap(begin, 1 + form.payload_bytes);
    out_->patch8(begin, form.prefix);
    out_->patch_low_bytes(begin + 1, buffer_bytes, form.payload_bytes);
}

}  // namespace mayfly
