// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio/virtio_devices.h"

#include <utility>

#include <sys/resource.h>
#include <unistd.h>

#include <fmt/format.h>

namespace mayfly {

namespace {

/// Hot queues take two descriptors each; the guest decides when. The soft limit is for programs that use
/// select(2).
void allow_all_files() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Result<std::unique_ptr<VirtioDevices>> VirtioDevices::open(const BootConfig& config, const DevicePlan& plan,
                                                           const ConsoleEnds& ends, StopControl& stop) {
    std::unique_ptr<VirtioDevices> self(new VirtioDevices(stop));
    if (!plan.devices.empty()) allow_all_files();
    OpenDevices opened = TRY(open_devices(config, plan, ends, stop));
    self->console_ = opened.console;
    for (std::size_t i = 0; i < opened.parts.size(); ++i) {
        IoService* own_io = nullptr;
        if (opened.parts[i].has_own_thread) own_io = &self->own_io_.emplace_back(stop, self->rewiring_);
        self->devices_.emplace_back(plan.devices[i], std::move(opened.parts[i]), own_io);
    }
    // Now, while another thread waits for KVM_CREATE_VM.
    if (plan.has_pci()) self->pci_ = TRY(PciHostBridge::create(config.has_config_window));
    return self;
}

Result<void> VirtioDevices::add_window(KvmVm& vm, u32 slot) {
    return pci_ != nullptr ? pci_->add_window(vm, slot) : Result<void>();
}

void VirtioDevices::build(const DeviceContext& context, Bus& ports, Bus& mmio, IoDevice* reset_control) {
    if (pci_ != nullptr) pci_->add_wires(context.interrupts);
    for (GuestDevice& device : devices_) {
        if (pci_ == nullptr)
            device.put_on_mmio(context, mmio);
        else
            device.put_on_pci(context, *pci_);
        if (device.plan().kind == DeviceKind::Console) console_->set_core(device.core());
    }
    if (pci_ == nullptr) return;
    pci_->map_onto(mmio);
    if (reset_control != nullptr) pci_->map_config_ports(ports, *reset_control);
}

Result<void> VirtioDevices::drain(u64 deadline_ns) {
    for (GuestDevice& device : devices_) {
        const Lock lock(device.core().mutex());
        device.core().pause();
    }
    for (GuestDevice& device : devices_) {
        VirtioCore& core = device.core();
        const Lock lock(core.mutex());
        if (core.await_drained(deadline_ns)) continue;
        return fail(Error::host(fmt::format("{}: the host did not finish {} requests in time",
                                            core.device().name(), core.device().in_flight())));
    }
    bool are_parked = true;
    for_each_thread([&](IoThread& thread) { are_parked = are_parked && thread.park(deadline_ns); });
    if (!are_parked) return fail(Error::host("the I/O thread did not finish its work in time"));
    return {};
}

Result<void> VirtioDevices::pause(u64 deadline_ns) {
    const Lock lock(pause_mutex_);
    Result<void> drained = drain(deadline_ns);
    is_paused_ = drained.has_value();
    if (!drained && !are_restored_) go_on();
    return drained;
}

void VirtioDevices::resume() {
    const Lock lock(pause_mutex_);
    is_paused_ = false;
    if (!are_restored_) go_on();
}

void VirtioDevices::begin() {
    const Lock lock(pause_mutex_);
    if (std::exchange(are_restored_, false) && !is_paused_) go_on();
}

void VirtioDevices::go_on() {
    for_each_thread([](IoThread& thread) { thread.unpark(); });
    for (GuestDevice& device : devices_) {
        const Lock lock(device.core().mutex());
        device.core().resume();
    }
}

Result<void> VirtioDevices::flush() {
    for (GuestDevice& device : devices_) TRY_VOID(device.flush());
    return {};
}

VirtioDevicesState VirtioDevices::save() {
    VirtioDevicesState state;
    for (GuestDevice& device : devices_) state.devices.push_back(device.save());
    if (pci_ != nullptr && pci_->config_ports() != nullptr)
        state.config_ports = pci_->config_ports()->state();
    return state;
}

bool VirtioDevices::restore(const VirtioDevicesState& state) {
    ConfigPorts* const ports = pci_ != nullptr ? pci_->config_ports() : nullptr;
    if (state.devices.size() != devices_.size() || state.config_ports.has_value() != (ports != nullptr))
        return false;
    {
        const Lock lock(pause_mutex_);
        are_restored_ = true;
    }
    for (std::size_t i = 0; i < devices_.size(); ++i) {
        if (!devices_[i].restore(state.devices[i])) return false;
    }
    if (pci_ != nullptr) pci_->bus().registers_restored();
    if (ports != nullptr) ports->restore(*state.config_ports);
    return true;
}

VirtioDevices::~VirtioDevices() {
    // Backends own the objects that the loop works on, and outlive it.
    for_each_thread([](IoThread& thread) { thread.stop(); });
    io_.close();
    for (IoService& io : own_io_) io.close();
    for (GuestDevice& device : devices_) device.finish();
}

void VirtioDevices::finish() {
    for_each_thread([](IoThread& thread) { thread.stop(); });
    await_threads();
    for (GuestDevice& device : devices_) {
        const IoService& io = device.own_io() != nullptr ? *device.own_io() : io_;
        // A thread that hangs in the host still uses them.
        if (io.has_ended()) device.finish();
    }
}

void VirtioDevices::await_threads() {
    constexpr u32 kStepUs = 1000;
    constexpr u32 kSteps = 1000;
    for (u32 step = 0; step < kSteps; ++step) {
        bool have_ended = true;
        for_each_thread([&](IoThread& thread) { have_ended = have_ended && thread.has_ended(); });
        if (have_ended) return;
        ::usleep(kStepUs);
    }
}

}  // namespace mayfly
