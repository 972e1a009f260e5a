// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/interrupts/user_irqchip.h"

#include <poll.h>
#include <unistd.h>

namespace mayfly {

namespace {
constexpr u16 kPortMaster = 0x20;
constexpr u16 kPortSlave = 0xa0;
constexpr u16 kPortElcr = 0x4d0;
}  // namespace

Result<std::unique_ptr<UserIrqchip>> UserIrqchip::create(StopControl& stop) {
    EventFd wake = TRY(EventFd::create());
    std::unique_ptr<UserIrqchip> chip(new UserIrqchip(std::move(wake), stop));
    stop.vcpus().set_wake(&chip->wake_);
    return chip;
}

void UserIrqchip::map_onto(Bus& ports) {
    ports.map(kPortMaster, Pic8259::kBlockBytes, pic_, Pic8259::kMasterOffset);
    ports.map(kPortSlave, Pic8259::kBlockBytes, pic_, Pic8259::kSlaveOffset);
    ports.map(kPortElcr, Pic8259::kBlockBytes, pic_, Pic8259::kElcrOffset);
    ports_ = &ports;
}

void UserIrqchip::set_irq(u32 line, bool is_high) {
    const Lock lock(ports_->mutex_of(pic_));
    pic_.set_irq(line, is_high);
}

Pic8259::State UserIrqchip::save() const {
    const Lock lock(ports_->mutex_of(pic_));
    return pic_.state();
}

bool UserIrqchip::restore(const Pic8259::State& state) {
    const Lock lock(ports_->mutex_of(pic_));
    return pic_.restore(state);
}

void UserIrqchip::Intr::set_level(bool is_high) {
    chip_.is_pending_.store(is_high, std::memory_order_release);
    // The vCPU's own accesses are seen before its next KVM_RUN; another thread's must end the present one.
    if (is_high && chip_.vcpu_thread_.load(std::memory_order_acquire) != ::gettid())
        chip_.stop_.vcpus().kick_all();
}

Result<void> UserIrqchip::before_run(KvmVcpu& vcpu) {
    vcpu_thread_.store(::gettid(), std::memory_order_release);
    kvm_run& run = vcpu.run_page();
    if (is_pending_.load(std::memory_order_acquire) && run.ready_for_interrupt_injection != 0 &&
        run.if_flag != 0) {
        const Lock lock(ports_->mutex_of(pic_));
        TRY_VOID(vcpu.interrupt(pic_.acknowledge()));
    }
    run.request_interrupt_window = is_pending_.load(std::memory_order_acquire) ? 1 : 0;
    return {};
}

bool UserIrqchip::wait_for_interrupt() {
    const auto is_over = [&] { return is_pending_.load(std::memory_order_acquire) || stop_.is_requested(); };
    if (is_over()) return true;
    pollfd event{.fd = wake_.fd().get(), .events = POLLIN, .revents = 0};
    if (::poll(&event, 1, -1) > 0) (void)wake_.take();
    return is_over();
}

}  // namespace mayfly
