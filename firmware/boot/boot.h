// SPDX-License-Identifier: Apache-2.0
// From a kernel image to a guest that is ready to run: choose a protocol, load, write the boot information.
//
// Two steps, because the machine's profile depends on the protocol: choose_kernel() reads headers only, and
// what it read goes with the choice; load_guest() fills guest RAM. Knows neither KVM nor devices.
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

/// What kinds of kernel a file is; several may apply. Multiboot is looked for only where it may matter.
struct KernelHeaders {
    std::optional<BzImage> bzimage;  ///< load_guest() unpacks it or enters it whole
    MaybeElf elf;                    ///< of a bad one, a Multiboot header may still be good
    std::optional<Multiboot1Header> multiboot1;
    std::optional<Multiboot2Header> multiboot2;
};

/// What choose_kernel() found, and what it read. Values only.
struct KernelChoice {
    Protocol protocol = Protocol::Auto;  ///< never Auto once chosen
    bool is_linux = false;               ///< certainly Linux (decides how PCI is offered)
    std::string why;                     ///< one clause for -v: "ELF64 with a PVH note"
    KernelHeaders headers;
};

/// What a bzImage unpacks to, and what was read of that.
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

/// Reads the image's headers. Errors: Invalid with what was looked for and not found, or what is
/// self-contradictory, with the value and the limit.
Result<KernelChoice> choose_kernel(const Image& kernel, Protocol wanted);

/// The ELF kernel inside a bzImage; nothing where `kernel` is none, or holds none. `choice` is of the kernel,
/// here and in load_guest(). `memory_bytes`: what the guest has, which bounds it. Errors: as load_guest().
Result<std::optional<Image>> unpack_kernel(const Image& kernel, const KernelChoice& choice, u64 memory_bytes);

/// `image` is what unpack_kernel() made, now or earlier. Reads its headers, and its sections whatever its
/// notes say: older Linux has none. An error is kept, for load_guest() to say.
UnpackedKernel read_unpacked(Image image);

/// Loads kernel, initrd and modules and writes the protocol's boot information.
/// Errors: Invalid when something does not fit, overlaps, is truncated or lies about its size.
Result<EntryState> load_guest(const Image& kernel, const KernelChoice& choice, const BootRequest& request,
                              GuestRam& ram, const MemoryMap& map);

}  // namespace mayfly
