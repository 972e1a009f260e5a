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

/// Its ELF file. Errors: a user cannot cause any.
Result<Image> image_of(const BuiltinGuest& guest);

class GuestImages {
  public:
    /// Errors: NotFound for the kernel only; Invalid and Os with the file's name. Later reads of the files
    /// obey `stop`.
    static Result<GuestImages> open(const BootConfig& config, StopToken stop);
    /// Of a machine that goes on: none. `kernel` is its name for messages.
    static GuestImages none(const std::string& kernel);

    [[nodiscard]] const Image& kernel() const { return kernel_; }
    /// Unpacks a bzImage, or takes its ELF from the cache; reads the ELF's headers. `choice` is of the
    /// kernel. Errors: as unpack_cached(). Once.
    Result<void> unpack(const KernelChoice& choice, u64 memory_bytes, const std::string& cache);
    /// The result of unpack(); null without one.
    [[nodiscard]] const UnpackedKernel* unpacked() const { return unpacked_ ? &*unpacked_ : nullptr; }
    /// The ELF, if it is sound: the unpacked one, else the kernel's file. Views into this object and
    /// `choice`, which is of the kernel.
    [[nodiscard]] std::optional<ElfImage> vmlinux(const KernelChoice& choice) const;
    [[nodiscard]] const Image* initrd() const { return initrd_ ? &*initrd_ : nullptr; }
    /// The guest is loaded: from now on its kernel is read only to explain the guest's end.
    void ignore_stop() {
        kernel_.ignore_stop();
        if (unpacked_) unpacked_->image.ignore_stop();
    }
    /// Replaces the initrd that the configuration names.
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
