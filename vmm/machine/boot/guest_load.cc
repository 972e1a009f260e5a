// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/guest_load.h"

#include <algorithm>

#include <sys/random.h>

#include <fmt/format.h>

#include "firmware/boot/linux_release.h"
#include "firmware/layout.h"
#include "vmm/initramfs/initramfs.h"
#include "vmm/machine/boot/boot_tables.h"
#include "vmm/machine/boot/linux_room.h"
#include "vmm/machine/boot/module_choice.h"
#include "vmm/machine/boot/network_record.h"
#include "vmm/machine/boot/share_mounts.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

Result<void> want_modules(const MachinePlan& plan, const BootConfig& config, const GuestImages& images,
                          InitramfsRequest& request) {
    request.wanted_modules = plan.devices.linux_modules();
    for (const std::string_view module : share_modules(config))
        if (std::ranges::find(request.wanted_modules, module) == request.wanted_modules.end())
            request.wanted_modules.push_back(module);
    request.kernel_release = linux_release(images.kernel(), plan.kernel.headers, images.vmlinux(plan.kernel));
    if (request.modules != kAutoModules) return {};
    if (request.wanted_modules.empty())
        request.modules.clear();
    else
        request.modules = TRY(choose_modules(request.wanted_modules, plan, images, request.kernel_release));
    if (request.modules.empty()) request.wanted_modules.clear();
    log::info("--modules auto: " + (request.modules.empty() ? "none needed" : request.modules));
    return {};
}

}  // namespace

Result<void> pack_program(const MachinePlan& plan, const BootConfig& config, GuestImages& images,
                          StopToken stop) {
    if (!plan.kernel.is_linux)
        return fail(Error::invalid(
            fmt::format("--exec {}: {} is no Linux kernel", config.exec->program, images.kernel().name())));
    InitramfsRequest request{
        .program = config.exec->program,
        .arguments = config.exec->arguments,
        .root = config.exec->root,
        .root_kind = config.exec->root_kind,
        .modules = config.exec->modules,
        .environment = config.exec->environment,
        .workdir = config.exec->workdir,
        .user = config.exec->user,
        .hostname = config.exec->hostname,
        .copies_in = config.exec->copies_in,
        .shares = share_mounts(config),
        .status_port = config.exit_ports.empty() ? layout::kPortExit : config.exit_ports.front(),
        .channel_port = layout::kPortInit,
        .has_one_output = config.exec->has_one_output,
        .tells_start = config.exec->tells_start,
        .bytes_max = config.memory_bytes,
        .find_room =
            [&] {
                return linux_room(images.vmlinux(plan.kernel), plan.command_line.text, config.memory_bytes);
            },
        .outputs = config.exec->outputs,
        .stop = stop};
    for (const CopyOut& copy : config.exec->copies_out) request.copies_out.push_back(copy.guest);
    if (const auto& terminal = config.exec->terminal)
        request.terminal = {.rows = terminal->rows, .columns = terminal->columns};
    for (const PlannedDevice& device : plan.devices.devices) {
        if (device.kind == DeviceKind::Net)
            request.networks.push_back(network_record(config.nets[device.index], device.mac));
    }
    if (!request.modules.empty()) {
        TRY_VOID(want_modules(plan, config, images, request));
        request.welcome_modules = network_modules(config.nets);
    } else {
        TRY_VOID(check_share_modules(config, images.vmlinux(plan.kernel)));
    }
    return images.set_initrd("the initramfs of --exec", TRY(pack_initramfs(request)));
}

Result<EntryState> load_images(const MachinePlan& plan, const BootConfig& config, const GuestImages& images,
                               GuestRam& ram) {
    const std::vector<BootModule> modules = images.modules();
    BootRequest request;
    request.kernel_name = images.kernel().name();
    request.command_line = plan.command_line.text;
    request.initrd = images.initrd();
    request.vmlinux = images.unpacked();
    request.modules = modules;
    log::info("command line: " + request.command_line);
    if (plan.kernel.is_linux && ::getrandom(request.rng_seed.data(), request.rng_seed.size(), 0) !=
                                    static_cast<ssize_t>(request.rng_seed.size()))
        return fail(Error::os("getrandom"));
    request.rsdp = TRY(write_boot_tables(plan, ram.memory()));
    return load_guest(images.kernel(), plan.kernel, request, ram, MemoryMap::for_ram(config.memory_bytes));
}

}  // namespace mayfly
