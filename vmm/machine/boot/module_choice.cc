// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/module_choice.h"

#include <algorithm>

#include <fmt/format.h>

#include "firmware/boot/linux_driver.h"
#include "vmm/initramfs/archive/archive.h"
#include "vmm/os/text_file.h"

namespace mayfly {

namespace {

/// The directory that holds `path`, which may be a directory itself.
std::string above(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    const std::size_t slash = path.rfind('/');
    if (path == ".." || path.ends_with("/..")) return path + "/..";
    if (slash == std::string::npos) return path == "." ? ".." : ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

bool has_modules(const std::string& directory) {
    return path_exists((directory + "/modules.dep").c_str()) || path_exists((directory + "/kernel").c_str());
}

}  // namespace

std::vector<std::string> module_places(const std::string& kernel, const std::string& release) {
    const std::string directory = above(kernel);
    std::vector<std::string> places;
    const auto add = [&](std::string place) {
        if (std::find(places.begin(), places.end(), place) == places.end())
            places.push_back(std::move(place));
    };
    // Some distributions put the kernel beside its modules.
    if (directory.ends_with("/" + release)) add(directory);
    for (const std::string& root : {above(directory), directory, std::string("/")}) {
        const std::string base = root == "/" ? "" : root;
        add(fmt::format("{}/lib/modules/{}", base, release));
        add(fmt::format("{}/usr/lib/modules/{}", base, release));
    }
    return places;
}

std::vector<std::string_view> missing_drivers(const MachinePlan& plan, const GuestImages& images) {
    return not_built_in(plan.devices.linux_modules(), plan, images);
}

std::vector<std::string_view> not_built_in(std::vector<std::string_view> wanted, const MachinePlan& plan,
                                           const GuestImages& images) {
    const std::optional<ElfImage> vmlinux = images.vmlinux(plan.kernel);
    std::erase_if(wanted, [&](std::string_view module) {
        return vmlinux && has_driver(*vmlinux, driver_name(module));
    });
    return wanted;
}

Result<std::string> choose_modules(const std::vector<std::string_view>& wanted, const MachinePlan& plan,
                                   const GuestImages& images, const std::string& release) {
    const std::vector<std::string> places =
        release.empty() ? std::vector<std::string>() : module_places(images.kernel().name(), release);
    const auto found = std::find_if(places.begin(), places.end(), has_modules);
    if (found != places.end()) return *found;
    const std::vector<std::string_view> missing = not_built_in(wanted, plan, images);
    if (missing.empty()) return std::string();
    if (places.empty())
        return fail(
            Error::invalid(fmt::format("--modules auto: {} does not tell which release of Linux it is, "
                                       "and the guest needs {}",
                                       images.kernel().name(), missing.front()))
                .hint("--modules DIR"));
    std::string looked;
    for (const std::string& place : places) looked += (looked.empty() ? "" : ", ") + printable(place);
    return fail(Error::invalid(fmt::format("--modules auto: no modules of Linux {} in {}; the guest needs {}",
                                           release, looked, missing.front()))
                    .hint("--modules DIR"));
}

}  // namespace mayfly
