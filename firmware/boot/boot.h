// SPDX-License-Identifier: Apache-2.0
// From a kernel image to a guest that is ready to run: choose a protocol, load, write the boot information.
//
// Two steps, because the machine's profile depends on the protocol: choose_kernel() reads only headers, which
// become part of the choice; load_guest() fills guest RAM. Knows neither KVM nor devices.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "firmware/boot/bzimage.h"
#include "firmware/boot/elf_kernel.h"
#include "firmware/boot/entry_state.h"
#include "firmware/boot/multiboot1_header.h"
#include "firmware/boot/multiboot2_header.h"
#include "firmware/image/image.h"
#include "firmware/tables/memory_map.h"
#include "vmm/error/result.h"
#include "vmm/memory/guest_ram.h"

namespace mayfly {

enum class Protocol : u8 { Auto, Linux, Pvh, Multiboot, Multiboot2 };

[[nodiscard]] std::string_view to_string(Protocol protocol);

/// The kinds of kernel that a file may be; several may apply. Multiboot headers are searched only where they
/// may matter.
struct KernelHeaders {
    std::optional<BzImage> bzimage;  ///< load_guest() unpacks it or enters it whole
    MaybeElf elf;                    ///< a bad ELF may still have a good Multiboot header
    std::optional<Multiboot1Header> multiboot1;
    std::optional<Multiboot2Header> multiboot2;
};

/// The result of choose_kernel(), with the headers. Values only.
struct KernelChoice {
    Protocol protocol = Protocol::Auto;  ///< never Auto once chosen
    bool is_linux = false;               ///< certainly Linux (decides how PCI is offered)
    std::string why;                     ///< one clause for -v: "ELF64 with a PVH note"
    KernelHeaders headers;
};

/// An unpacked bzImage, with its headers.
struct UnpackedKernel {
    Image image;
    MaybeElf elf;
};

struct BootModule {
    const Image* image;
    std::string arguments;  ///< as given after the file name; may be empty
};

struct BootRequest {
    std::string kernel_name;  ///< Multiboot command lines begin with it
    std::string command_line;
    const Image* initrd = nullptr;            ///< Multiboot: the first module
    const UnpackedKernel* vmlinux = nullptr;  ///< of a bzImage; null: load_guest() unpacks it
    std::span<const BootModule> modules{};
    Gpa rsdp{};  ///< 0: no ACPI; Multiboot 2 copies it, so the tables must be in guest RAM by then
    std::array<u8, 32> rng_seed{};
};

/// Reads the image's headers. Errors: Invalid with the missing header, or the contradiction, with the value
/// and the limit.
Result<KernelChoice> choose_kernel(const Image& kernel, Protocol wanted);

/// The ELF kernel inside a bzImage; empty where `kernel` is not a bzImage, or lacks one. `choice` is of the
/// kernel, here and in load_guest(). `memory_bytes`: the guest's memory, which bounds the kernel's size.
/// Errors: as load_guest().
Result<std::optional<Image>> unpack_kernel(const Image& kernel, const KernelChoice& choice, u64 memory_bytes);

/// `image` is from unpack_kernel(), now or earlier. Reads its headers, and its sections whatever its notes
/// say: older Linux lacks notes. An error is kept for load_guest() to return.
UnpackedKernel read_unpacked(Image image);

/// Loads kernel, initrd and modules and writes the protocol's boot information.
/// Errors: Invalid when a part does not fit, overlaps another, is truncated or has a wrong size.
Result<EntryState> load_guest(const Image& kernel, const KernelChoice& choice, const BootRequest& request,
                              GuestRam& ram, const MemoryMap& map);

}  // namespace mayfly
