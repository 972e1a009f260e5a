// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/guest_images.h"

#include <cstring>

#include <fmt/format.h>

#include "firmware/image/decompress.h"

namespace mayfly {

namespace {

std::string known_builtins() {
    std::string names;
    for (const BuiltinGuest& guest : builtin_guests())
        names += (names.empty() ? "" : ", ") + std::string(guest.name);
    return names;
}

/// Only a missing KERNEL has a status of its own.
Result<Image> open_companion(const std::string& path, std::string_view option, StopToken stop) {
    Result<Image> image = Image::open(path, stop);
    if (image) return image;
    if (image.error().kind() == ErrorKind::NotFound)
        return fail(Error::invalid(image.error().message()).about(option));
    return fail(std::move(image).error().about(option));
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
                    .hint("there are: " + known_builtins()));
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

Result<GuestImages> GuestImages::open(const BootConfig& config, StopToken stop) {
    const BuiltinGuest* builtin = TRY(builtin_of(config));
    Result<Image> kernel = builtin != nullptr ? image_of(*builtin) : Image::open(config.kernel, stop);
    GuestImages images(TRY(std::move(kernel)));
    if (!config.initrd.empty()) images.initrd_ = TRY(open_companion(config.initrd, "--initrd", stop));
    for (const std::string& module : config.modules) {
        const std::size_t space = module.find(' ');
        Image image = TRY(open_companion(module.substr(0, space), "--module", stop));
        std::string arguments = space == std::string::npos ? std::string() : module.substr(space + 1);
        images.modules_.push_back({std::move(image), std::move(arguments)});
    }
    return images;
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
