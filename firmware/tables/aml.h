// SPDX-License-Identifier: Apache-2.0
// Aml: writes ACPI machine language, every length and integer in its shortest encoding.
//
// Not a full AML assembler: named objects, devices, methods that return a value, and the resource descriptors
// that a virtual machine without hotplug needs. Blocks are closed by their length, so a block's content is
// written by a callable that the block runs. Names are our own constants, checked by VERIFY. Thread: any; one
// writer per buffer.
// Spec: ACPI 6.5 §20.2 "AML Grammar Definition".
#pragma once

#include <string_view>

#include "firmware/tables/aml_spec.h"
#include "firmware/tables/byte_writer.h"
#include "vmm/error/ints.h"
#include "vmm/memory/gpa.h"

namespace mayfly {

/// The 32-bit form of a seven-character EISA id such as "PNP0501".
/// Spec: ACPI 6.5 §19.6.37 "EISAID (EISA ID String To Integer Conversion Macro)".
[[nodiscard]] constexpr u32 eisa_id(std::string_view id) {
    u32 big_endian = 0;
    for (std::size_t i = 0; i < 3; ++i) big_endian = big_endian << 5 | (static_cast<u32>(id[i]) & 0x1f);
    for (std::size_t i = 3; i < 7; ++i) {
        const u32 digit = static_cast<u32>(id[i] <= '9' ? id[i] - '0' : id[i] - 'A' + 10);
        big_endian = big_endian << 4 | digit;
    }
    return __builtin_bswap32(big_endian);
}

/// The content of one resource template. Spec: ACPI 6.5 §6.4 "Resource Data Types for ACPI".
class AmlResources final {
  public:
    explicit AmlResources(ByteWriter& out) : out_(&out) {}

    /// Ports at a fixed place that decode all 16 bits.
    void io(u16 port, u8 port_count);
    /// A legacy interrupt: edge, active high, exclusive.
    void irq(u8 irq_number);
    /// A device's interrupt by global number: edge, active high, exclusive.
    void interrupt(u32 gsi);
    void memory32_fixed(u32 base, u32 size_bytes);

    // A range that a bridge forwards: both ends fixed, positive decode, no translation. `last` is included.
    void word_bus_number(u16 first, u16 last);
    void word_io(u16 first, u16 last);
    /// Read-write, not cacheable.
    void dword_memory(u32 first, u32 last);
    void qword_memory(u64 first, u64 last);

  private:
    struct AddressSpace {
        u8 tag;
        unsigned width_bytes;
        u8 type;
        u8 type_flags;
    };
    void address_space(AddressSpace space, u64 first, u64 last);

    ByteWriter* out_;
};

class Aml final {
  public:
    explicit Aml(ByteWriter& out) : out_(&out) {}

    /// `path` is like "\\_SB", "PCI0" or "\\_SB.PCI0"; segments of 1-4 characters of [A-Z0-9_].
    template <typename Body>
    void scope(std::string_view path, Body body) {
        out_->put8(aml::ScopeOp);
        block([&] { name_string(path), body(); });
    }
    template <typename Body>
    void device(std::string_view path, Body body) {
        out_->put8(aml::ExtOpPrefix);
        out_->put8(aml::DeviceOp);
        block([&] { name_string(path), body(); });
    }
    /// Not serialised. `argument_count` is at most 7.
    template <typename Body>
    void method(std::string_view path, u8 argument_count, Body body) {
        out_->put8(aml::MethodOp);
        block([&] { name_string(path), out_->put8(argument_count), body(); });
    }
    /// The value follows: `aml.name("_UID").integer(0)`.
    Aml& name(std::string_view path);
    /// The value follows.
    Aml& return_value();

    void integer(u64 value);
    /// Always four bytes, as the EISAID macro compiles.
    void eisa(std::string_view id);
    void string(std::string_view ascii);
    void buffer(std::span<const u8> bytes);
    /// `body` writes exactly `element_count` objects.
    template <typename Body>
    void package(u8 element_count, Body body) {
        out_->put8(aml::PackageOp);
        block([&] { out_->put8(element_count), body(); });
    }
    /// `body` takes an AmlResources&.
    template <typename Body>
    void resource_template(Body body) {
        out_->put8(aml::BufferOp);
        block([&] {
            const std::size_t begin = out_->size();
            AmlResources resources(*out_);
            body(resources);
            end_resources(begin);
        });
    }

  private:
    template <typename Body>
    void block(Body body) {
        const std::size_t begin = out_->size();
        body();
        insert_package_length(begin);
    }
    void name_string(std::string_view path);
    void insert_package_length(std::size_t begin);
    void end_resources(std::size_t begin);

    ByteWriter* out_;
};

}  // namespace mayfly
