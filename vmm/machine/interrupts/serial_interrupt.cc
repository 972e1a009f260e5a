// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/interrupts/serial_interrupt.h"

#include "firmware/layout.h"

namespace mayfly {

void SerialInterrupt::map_onto(Bus& mmio) {
    mmio.map(layout::kIoApic.value, IoApic::kSizeBytes, chip_);
    mmio_ = &mmio;
}

void SerialInterrupt::set_level(bool is_high) {
    if (mmio_ == nullptr) return;
    const Lock lock(mmio_->mutex_of(chip_));
    chip_.set_pin(is_high);
}

IoApic::State SerialInterrupt::save() const {
    const Lock lock(mmio_->mutex_of(chip_));
    return chip_.state();
}

bool SerialInterrupt::restore(const IoApic::State& state) {
    const Lock lock(mmio_->mutex_of(chip_));
    return chip_.restore(state);
}

void SerialInterrupt::Messages::set_message(u16 /*vector*/, u64 address, u32 data) {
    address_ = address;
    data_ = data;
}

MsiPath SerialInterrupt::Messages::send(u16 /*vector*/) {
    // A message that no LAPIC accepts, or that is invalid, is the guest's mistake.
    const Result<MsiResult> sent = vm_.signal_msi(address_, data_);
    return sent ? MsiPath::SignalMsi : MsiPath::Lost;
}

}  // namespace mayfly
