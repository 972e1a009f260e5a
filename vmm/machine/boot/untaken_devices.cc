// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/untaken_devices.h"

#include <algorithm>

#include <fmt/format.h>

#include "firmware/init/report.h"

namespace mayfly {

namespace {

/// "virtio_pci and virtio_blk"; empty where the kernel has both.
std::string missing_for(const PlannedDevice& device, TransportChoice transport,
                        const std::vector<std::string_view>& missing) {
    std::string names;
    for (const std::string_view module : {linux_module(transport), linux_module(device.kind)}) {
        if (std::find(missing.begin(), missing.end(), module) == missing.end()) continue;
        names += (names.empty() ? "" : " and ") + std::string(module);
    }
    return names;
}

}  // namespace

bool may_lack_devices(const BootConfig& config, const Ending& ending) {
    switch (ending.kind) {
        case EndKind::ProgramEnded: {
            const auto report = decode_init_report(static_cast<u32>(ending.value));
            return report && report->kind != InitReport::Kind::InitFailed;
        }
        case EndKind::Unreported: return true;
        case EndKind::Panic:
            return config.exec || ending.panic_words.find("Unable to mount root fs") != std::string::npos;
        default: return false;
    }
}

std::vector<std::string> untaken_lines(const BootConfig& config, const std::vector<PlannedDevice>& untaken,
                                       const std::vector<std::string_view>& missing) {
    std::vector<std::string> lines;
    for (const PlannedDevice& device : untaken) {
        // The user did not ask for it, and sees on the console that it is silent.
        if (device.kind == DeviceKind::Console && config.console_device == ConsoleDevice::Auto) continue;
        std::string line = device.name + ": no driver of the guest took it";
        const std::string names = missing_for(device, config.transport, missing);
        if (names.empty()) {
            lines.push_back(std::move(line));
            continue;
        }
        line += fmt::format("; this kernel has {} as {}, if at all: ", names,
                            names.find(' ') == std::string::npos ? "a module" : "modules");
        if (!config.exec)
            line += "its initramfs has to load " + names;
        else if (config.exec->modules.empty())
            line += "--modules auto, or --modules DIR";
        else
            line += "see -v for its state";
        lines.push_back(std::move(line));
    }
    return lines;
}

}  // namespace mayfly
