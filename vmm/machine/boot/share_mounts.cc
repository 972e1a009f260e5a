// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/share_mounts.h"

#include <fmt/format.h>

#include "firmware/boot/linux_driver.h"
#include "firmware/init/job.h"
#include "vmm/initramfs/archive/archive.h"

namespace mayfly {

namespace {

bool has_live_root(const BootConfig& config) {
    return config.exec && config.exec->root_kind != RootKind::Packed;
}

}  // namespace

std::vector<ShareMount> share_mounts(const BootConfig& config) {
    std::vector<ShareMount> mounts;
    const bool is_live = has_live_root(config);
    for (const ShareConfig& share : config.shares) {
        if (share.mount_point.empty() || (is_live && share.tag == kRootTag)) continue;
        mounts.push_back(
            {.tag = share.tag, .place = share.mount_point, .is_read_only = share.options.is_read_only});
    }
    return mounts;
}

std::vector<std::string_view> share_modules(const BootConfig& config) {
    if (config.shares.empty()) return {};
    if (config.exec && config.exec->root_kind == RootKind::Overlay) return {"virtiofs", "overlay"};
    return {"virtiofs"};
}

Result<void> check_share_modules(const BootConfig& config, const std::optional<ElfImage>& vmlinux) {
    if (!vmlinux) return {};
    for (const std::string_view module : share_modules(config)) {
        if (!surely_lacks(*vmlinux, module)) continue;
        const bool is_live = has_live_root(config);
        return fail(
            Error::invalid(
                fmt::format(
                    "{} {}: this kernel has {} as a module, if at all", is_live ? "--root" : "--share",
                    printable(is_live ? config.exec->root : config.shares.front().options.directory), module))
                .hint("--modules auto, or --modules DIR"));
    }
    return {};
}

}  // namespace mayfly
