// SPDX-License-Identifier: Apache-2.0
// GuestImages: the files that a guest is made of, opened.
#pragma once

#include <optional>
#include <vector>

#include "firmware/boot/boot.h"
#include "firmware/guests/builtin.h"
#include "vmm/machine/plan/config.h"

namespace mayfly {

constexpr std::string_view kBuiltinPrefix = "builtin:";

/// The built-in guest that `config` names, or null when it names a file. Errors: an unknown name.
Result<const BuiltinGuest*> builtin_of(const BootConfig& config);

/// Its ELF file. Errors: none that a user can cause.
Result<Image> image_of(const BuiltinGuest& guest);

class GuestImages {
  public:
    /// Errors: NotFound for the kernel only; Invalid and Os with the file's name.
    /// What is read of the files later looks at `stop`.
    static Result<GuestImages> open(const BootConfig& config, StopToken stop);

    [[nodiscard]] const Image& kernel() const { return kernel_; }
    /// What a bzImage unpacks to, from the cache where that has it; its headers are read. `choice` is of the
    /// kernel. Errors: as unpack_cached(). Once.
    Result<void> unpack(const KernelChoice& choice, u64 memory_bytes, const std::string& cache);
    /// What unpack() made; null: nothing.
    [[nodiscard]] const UnpackedKernel* unpacked() const { return unpacked_ ? &*unpacked_ : nullptr; }
    /// The ELF, if there is a good one: what was unpacked, else the kernel's file. Views into this object and
    /// `choice`, which is of the kernel.
    [[nodiscard]] std::optional<ElfImage> vmlinux(const KernelChoice& choice) const;
    [[nodiscard]] const Image* initrd() const { return initrd_ ? &*initrd_ : nullptr; }
    /// The guest is loaded: what is read of its kernel from now on is to explain its end.
    void ignore_stop() {
        kernel_.ignore_stop();
        if (unpacked_) unpacked_->image.ignore_stop();
    }
    /// In place of one that the configuration names.
    Result<void> set_initrd(std::string name, UniqueFd file);
    /// Pointers into this object.
    [[nodiscard]] std::vector<BootModule> modules() const;

  private:
    struct Module {
        Image image;
        std::string arguments;
    };
    explicit GuestImages(Image kernel) : kernel_(std::move(kernel)) {}

    Image kernel_;
    std::optional<UnpackedKernel> unpacked_;
    std::optional<Image> initrd_;
    std::vector<Module> modules_;
};

}  // namespace mayfly
