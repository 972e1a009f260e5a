// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/guest_images.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "firmware/image/decompress.h"
#include "firmware/image/joined_image.h"
#include "firmware/image/refuse.h"
#include "vmm/kernel_cache/kernel_cache.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

/// RFC 1952: the header's ten bytes and the trailer's eight.
constexpr u64 kGzipBytesMin = 18;
constexpr u64 kUnpackedBytesMax = GiB(1);

std::string known_builtins() {
    std::string names;
    for (const BuiltinGuest& guest : builtin_guests())
        names += (names.empty() ? "" : ", ") + std::string(guest.name);
    return names;
}

/// Only a missing KERNEL has its own exit status.
Result<Image> open_companion(const std::string& path, std::string_view option, StopToken stop) {
    Result<Image> image = Image::open(path, stop);
    if (image) return image;
    if (image.error().kind() == ErrorKind::NotFound)
        return fail(Error::invalid(image.error().message()).about(option));
    return fail(std::move(image).error().about(option));
}

Result<Image> open_initrd(const BootConfig& config, StopToken stop) {
    if (config.initrds.size() == 1) return open_companion(config.initrds.front(), "--initrd", stop);
    std::vector<Image> files;
    for (const std::string& path : config.initrds)
        files.push_back(TRY(open_companion(path, "--initrd", stop)));
    return about(join_images(files, config.memory_bytes, stop), "--initrd");
}

}  // namespace

Result<const BuiltinGuest*> builtin_of(const BootConfig& config) {
    const std::string_view kernel = config.kernel;
    if (!kernel.starts_with(kBuiltinPrefix)) return nullptr;
    const std::string_view name = kernel.substr(kBuiltinPrefix.size());
    for (const BuiltinGuest& guest : builtin_guests()) {
        if (guest.name == name) return &guest;
    }
    return fail(Error::not_found(fmt::format("no built-in guest is called '{}'", name))
                    .hint("the built-in guests are: " + known_builtins()));
}

Result<Image> image_of(const BuiltinGuest& guest) {
    std::string name = std::string(kBuiltinPrefix) + std::string(guest.name);
    const std::span<const std::byte> file = find_builtin_guest(guest.name);
    if (identify_packing(file) != Packing::Gzip) return Image::from_bytes(std::move(name), file);
    // RFC 1952 §2.3.1 "Member header and trailer": the last four bytes are the size.
    u32 size_bytes = 0;
    std::memcpy(&size_bytes, file.last(sizeof size_bytes).data(), sizeof size_bytes);
    Mapping unpacked = TRY(unpack(Packing::Gzip, file, size_bytes));
    return Image::from_mapping(std::move(name), std::move(unpacked), size_bytes);
}

/// A whole kernel may be gzipped, as Xen's is: GRUB reads it so.
Result<Image> open_kernel(const std::string& path, u64 memory_bytes, StopToken stop) {
    Image file = TRY(Image::open(path, stop));
    std::array<std::byte, 3> start{};
    if (file.size_bytes() < kGzipBytesMin || !file.read(0, start) || identify_packing(start) != Packing::Gzip)
        return file;
    u32 size_bytes = 0;
    TRY_VOID(about(
        file.read(file.size_bytes() - sizeof size_bytes, std::as_writable_bytes(std::span(&size_bytes, 1))),
        path));
    const u64 limit = std::min(kUnpackedBytesMax, memory_bytes);
    if (size_bytes == 0 || size_bytes > limit || file.size_bytes() > limit)
        return about<Image>(refuse("this gzip file of {} bytes claims to unpack to {}, the limit is {}",
                                   file.size_bytes(), size_bytes, print_size(limit)),
                            path);
    const ImageBytes packed = TRY(about(file.bytes(0, file.size_bytes()), path));
    Mapping unpacked = TRY(about(unpack(Packing::Gzip, packed.bytes, size_bytes, stop), path));
    return Image::from_mapping(path, std::move(unpacked), size_bytes, stop);
}

Result<GuestImages> GuestImages::open(const BootConfig& config, StopToken stop) {
    const BuiltinGuest* builtin = TRY(builtin_of(config));
    Result<Image> kernel =
        builtin != nullptr ? image_of(*builtin) : open_kernel(config.kernel, config.memory_bytes, stop);
    GuestImages images(TRY(std::move(kernel)));
    if (!config.initrds.empty()) images.initrd_ = TRY(open_initrd(config, stop));
    for (const std::string& module : config.modules) {
        const std::size_t space = module.find(' ');
        Image image = TRY(open_companion(module.substr(0, space), "--module", stop));
        std::string arguments = space == std::string::npos ? std::string() : module.substr(space + 1);
        images.modules_.push_back({std::move(image), std::move(arguments)});
    }
    return images;
}

Result<void> GuestImages::unpack(const KernelChoice& choice, u64 memory_bytes, const std::string& cache) {
    std::optional<Image> unpacked = TRY(unpack_cached(kernel_, choice, memory_bytes, {.place = cache}));
    if (unpacked) unpacked_ = read_unpacked(std::move(*unpacked));
    return {};
}

GuestImages GuestImages::none(const std::string& kernel) {
    return GuestImages(Image::from_bytes(kernel, {}));
}

std::optional<ElfImage> GuestImages::vmlinux(const KernelChoice& choice) const {
    const ElfKernel* elf = good_elf(unpacked_ ? unpacked_->elf : choice.headers.elf);
    if (elf == nullptr) return std::nullopt;
    return ElfImage{.image = unpacked_ ? unpacked_->image : kernel_, .kernel = *elf};
}

Result<void> GuestImages::set_initrd(std::string name, UniqueFd file) {
    initrd_ = TRY(Image::from_fd(std::move(name), std::move(file)));
    return {};
}

std::vector<BootModule> GuestImages::modules() const {
    std::vector<BootModule> list;
    for (const Module& module : modules_) list.push_back({&module.image, module.arguments});
    return list;
}

}  // namespace mayfly
