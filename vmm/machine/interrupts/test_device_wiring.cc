// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/interrupts/test_device_wiring.h"

#include <chrono>
#include <cstring>
#include <thread>

#include "devices/platform/test_device_spec.h"
#include "vmm/kvm/coalesced_writes.h"

namespace mayfly {

namespace {

constexpr IoEventPlace kDoorbell{
    .address = MAYFLY_TESTDEV_DOORBELL, .is_port = true, .size_bytes = 0, .match = {}};

TestDeviceHost::Status status_of(const Result<void>& result) {
    return result ? TestDeviceHost::Status::Done : TestDeviceHost::Status::Refused;
}

}  // namespace

void TestDeviceWiring::map_onto(Bus& ports) {
    ports.map(TestDevice::kPort, TestDevice::kSizeBytes, device_);
    ports.map(TestDevice::kScratchPort, TestDevice::kScratchBytes, device_, TestDevice::kScratchOffset);
}

TestDeviceHost::Status TestDeviceWiring::signal_msi(u32 address, u32 data) {
    if (interrupts_.kind() == Irqchip::None) return Status::Unsupported;
    return vm_.signal_msi(address, data) ? Status::Done : Status::Refused;
}

Result<void> TestDeviceWiring::prepare(Line& line, u32 address, u32 data) {
    const bool is_same = line.message.address == address && line.message.data == data;
    if (line.event && !is_same && !rewiring_.take())
        return fail(Error::host("the guest rewires the test device too often"));
    TRY_VOID(interrupts_.route_msi(line.msi_index, address, data));
    line.message = {address, data};
    if (line.event) return {};
    EventFd created = TRY(EventFd::create());
    TRY_VOID(vm_.attach_irqfd(created, Interrupts::kMsiGsiBase + line.msi_index));
    line.event.emplace(std::move(created));
    return {};
}

TestDeviceHost::Status TestDeviceWiring::send_by_irqfd(u32 address, u32 data) {
    if (interrupts_.kind() == Irqchip::None) return Status::Unsupported;
    const Result<void> ready = prepare(direct_, address, data);
    if (ready) direct_.event->signal();
    return status_of(ready);
}

TestDeviceHost::Status TestDeviceWiring::set_loopback(bool is_on, u32 address, u32 data) {
    if (interrupts_.kind() == Irqchip::None) return Status::Unsupported;
    if (!is_on)
        return loopback_.event ? status_of(vm_.detach_io_event(*loopback_.event, kDoorbell)) : Status::Done;
    const Result<void> ready = prepare(loopback_, address, data);
    if (!ready || !rewiring_.take()) return Status::Refused;
    return status_of(vm_.attach_io_event(*loopback_.event, kDoorbell));
}

TestDeviceHost::Status TestDeviceWiring::set_coalesced(bool is_on) {
    const int page = vm_.check(KVM_CAP_COALESCED_MMIO);
    if (page <= 0 || vm_.check(KVM_CAP_COALESCED_PIO) == 0) return Status::Unsupported;
    if (is_on && !rewiring_.take()) return Status::Refused;
    const Result<void> done =
        is_on ? vm_.coalesce_port(MAYFLY_TESTDEV_COALESCED) : vm_.uncoalesce_port(MAYFLY_TESTDEV_COALESCED);
    // Once on, the ring is always drained: writes may be in it when collecting stops.
    if (done) ring_page_.store(page, std::memory_order_release);
    return status_of(done);
}

void TestDeviceWiring::msi_train(u32 address, u32 data, u8 count) {
    if (count == 0 || interrupts_.kind() == Irqchip::None || !prepare(direct_, address, data)) return;
    // One at a time: a guest must not make an unlimited number of threads.
    if (train_left_.load() != 0) return;
    end_train();
    train_left_.store(count);
    Result<Thread> train = Thread::start([this] {
        for (bool is_last = false; !is_last;) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            const GuestGate::Visit visit(gate_);
            if (!visit) continue;
            // Before the signal: a guest that takes the last one may ask for the next train at once.
            is_last = train_left_.fetch_sub(1) == 1;
            direct_.event->signal();
        }
    });
    if (!train) return train_left_.store(0);
    train_.emplace(*train);
}

void TestDeviceWiring::end_train() {
    if (train_) train_->join();
    train_.reset();
}

Result<void> TestDeviceWiring::flush(const KvmVcpu& first) {
    if (begin_exit(first)) end_exit();
    for (Line* line : {&direct_, &loopback_}) {
        if (!line->event) continue;
        Result<void> flushed = vm_.flush_irqfd(*line->event, Interrupts::kMsiGsiBase + line->msi_index);
        // A detached irqfd has to be made anew.
        if (!flushed) line->event.reset();
        TRY_VOID(flushed);
    }
    return {};
}

TestDeviceState TestDeviceWiring::save() const {
    return {.device = device_.state(),
            .train = direct_.message,
            .loopback = loopback_.message,
            .train_left = train_left_.load()};
}

bool TestDeviceWiring::restore(const TestDeviceState& state) {
    if (!device_.restore(state.device)) return false;
    // The controllers' saved state includes the lines that it holds.
    const bool is_wired = (!state.device.has_loopback ||
                           set_loopback(true, state.loopback.address, state.loopback.data) == Status::Done) &&
                          (!state.device.is_coalesced || set_coalesced(true) == Status::Done);
    msi_train(state.train.address, state.train.data, state.train_left);
    return is_wired;
}

std::size_t TestDeviceWiring::drain_ring(const KvmVcpu& vcpu) {
    const Lock guard(ring_mutex_);
    bool is_first = true;
    return drain_coalesced_writes(vcpu.coalesced_ring(ring_page_.load(std::memory_order_acquire)),
                                  [&](const kvm_coalesced_mmio& entry) {
                                      u64 value = 0;
                                      std::memcpy(&value, entry.data, sizeof value);
                                      if (is_first) {
                                          const Lock lock(ports_.mutex_of(device_));
                                          device_.begin_batch();
                                      }
                                      is_first = false;
                                      if (entry.pio != 0 && entry.len >= 1 && entry.len <= 4)
                                          ports_.write(entry.phys_addr, static_cast<u8>(entry.len), value);
                                  });
}

bool TestDeviceWiring::begin_exit(const KvmVcpu& vcpu) {
    if (ring_page_.load(std::memory_order_relaxed) == 0) return false;
    return drain_ring(vcpu) > 0;
}

void TestDeviceWiring::end_exit() {
    const Lock lock(ports_.mutex_of(device_));
    device_.end_batch();
}

}  // namespace mayfly
