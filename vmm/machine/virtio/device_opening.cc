// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio/device_opening.h"

#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "devices/virtio/block/block.h"
#include "devices/virtio/entropy.h"
#include "devices/virtio/fs/fs.h"
#include "vmm/machine/virtio/net_opening.h"
#include "vmm/os/file_identity.h"
#include "vmm/share/share_backend.h"
#include "vmm/storage/disk_file.h"
#include "vmm/storage/disk_overlay.h"

namespace mayfly {

namespace {

constexpr u16 kDiskQueueSize = 256;

bool is_limited(const RateConfig& a, const RateConfig& b) { return a.per_second != 0 || b.per_second != 0; }

bool writes_file(const DiskConfig& disk) { return !disk.is_read_only && !disk.is_overlay; }

/// Two disks on one file, of which one is written, would break each other's content. The file's lock would
/// refuse that as well, but could not name the other disk.
Result<void> check_for_twins(const BootConfig& config) {
    struct Seen {
        FileIdentity identity;
        const DiskConfig* disk;
    };
    if (config.disks.size() < 2) return {};
    std::vector<Seen> seen;
    for (const DiskConfig& disk : config.disks) {
        struct stat status {};
        if (::stat(disk.path.c_str(), &status) < 0) continue;  // opening it will report the error
        const Seen now{FileIdentity::of(status), &disk};
        for (const Seen& before : seen) {
            if (before.identity != now.identity) continue;
            if (!writes_file(disk) && !writes_file(*before.disk)) continue;
            return fail(
                Error::invalid(fmt::format("--disk {} and --disk {} are one file, and a machine writes to it",
                                           before.disk->path, disk.path))
                    .hint("give both ,ro or ,overlay, or one a copy"));
        }
        seen.push_back(now);
    }
    return {};
}

Result<DeviceParts> make_disk(const DiskConfig& config, const std::string& name, BlockBackend& backend) {
    Block::Options options;
    options.name = name;
    options.id = config.id.empty() ? name : config.id;
    options.queue_count = config.queues;
    options.queue_size = kDiskQueueSize;
    options.requests_per_second = limit_of(config.operations);
    options.bytes_per_second = limit_of(config.bytes);
    DeviceParts parts;
    parts.model = TRY(Block::create(std::move(options), backend));
    parts.has_rate_limit = is_limited(config.operations, config.bytes);
    return parts;
}

template <typename Disk>
Result<DeviceParts> open_disk_on(const DiskConfig& config, const std::string& name) {
    Result<std::unique_ptr<Disk>> opened = Disk::open({.path = config.path,
                                                       .is_read_only = !writes_file(config),
                                                       .is_direct = config.is_direct,
                                                       .is_surely_raw = config.is_surely_raw,
                                                       .in_flight_max = u32{kDiskQueueSize} * config.queues});
    if (!opened) return fail(std::move(opened).error().about("--disk"));
    DeviceParts parts = TRY(make_disk(config, name, **opened));
    parts.backend = std::move(*opened);
    return parts;
}

Result<DeviceParts> open_disk_device(const DiskConfig& config, const std::string& name) {
    if (config.is_overlay) return open_disk_on<DiskOverlay>(config, name);
    return open_disk_on<DiskFile>(config, name);
}

DeviceParts make_console(const BootConfig& config, const std::string& name,
                         std::unique_ptr<VirtioConsole> console) {
    const WindowSize size = config.console == "stdio" ? window_size(STDOUT_FILENO) : WindowSize{};
    DeviceParts parts;
    parts.model = console->make_model(name, size);
    parts.backend = std::move(console);
    parts.stays_inline = true;  // a terminal that stalls must not hold up disks
    return parts;
}

/// getrandom(2) straight into guest memory.
class HostEntropy final : public EntropySource, public Backend {
  public:
    Result<void> attach(Loop& /*loop*/) override { return {}; }
    bool fill(std::span<const iovec> parts) override {
        for (const iovec& part : parts) {
            for (std::size_t done = 0; done < part.iov_len;) {
                const ssize_t got =
                    ::getrandom(static_cast<std::byte*>(part.iov_base) + done, part.iov_len - done, 0);
                if (got < 0 && errno == EINTR) continue;
                if (got <= 0) return false;
                done += static_cast<std::size_t>(got);
            }
        }
        return true;
    }
};

DeviceParts make_entropy(const std::string& name) {
    auto source = std::make_unique<HostEntropy>();
    DeviceParts parts;
    parts.model = std::make_unique<Entropy>(name, *source);
    parts.backend = std::move(source);
    parts.stays_inline = true;
    return parts;
}

Result<DeviceParts> open_share_device(const BootConfig& all, const ShareConfig& config,
                                      const std::string& name) {
    Result<std::unique_ptr<ShareBackend>> opened = ShareBackend::open(
        config.options,
        {.shares = static_cast<u32>(all.shares.size()), .guest_memory_bytes = all.memory_bytes});
    if (!opened) return fail(std::move(opened).error().about("--share"));
    DeviceParts parts;
    parts.model = TRY(Fs::create({.name = name, .tag = config.tag}, **opened));
    parts.backend = std::move(*opened);
    parts.has_own_thread = true;
    return parts;
}

}  // namespace

Result<OpenDevices> open_devices(const BootConfig& config, const DevicePlan& plan, const ConsoleEnds& ends,
                                 StopControl& stop) {
    TRY_VOID(check_for_twins(config));
    OpenDevices all;
    for (const PlannedDevice& device : plan.devices) {
        switch (device.kind) {
            case DeviceKind::Disk:
                all.parts.push_back(TRY(open_disk_device(config.disks[device.index], device.name)));
                break;
            case DeviceKind::Net:
                all.parts.push_back(TRY(open_net_device(config.nets[device.index], device, stop)));
                break;
            case DeviceKind::Console: {
                auto console = std::make_unique<VirtioConsole>(ends);
                all.console = console.get();
                all.parts.push_back(make_console(config, device.name, std::move(console)));
                break;
            }
            case DeviceKind::Entropy: all.parts.push_back(make_entropy(device.name)); break;
            case DeviceKind::Share:
                all.parts.push_back(TRY(open_share_device(config, config.shares[device.index], device.name)));
                break;
        }
    }
    return all;
}

}  // namespace mayfly
