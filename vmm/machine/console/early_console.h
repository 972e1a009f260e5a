// SPDX-License-Identifier: Apache-2.0
// EarlyConsole: an EarlyUart that costs next to no returns to user space.
//
// It carries the first part of the log of a Linux guest with a virtio console, where KernelLog cannot. The
// guest reads a read-only memory slot; KVM collects its writes, 170 characters at a time, and the next exit
// of any kind delivers them. A host that refuses either gets ordinary exits, and nothing else changes.
// Thread: built by the main thread; drain() by any vCPU's, internally locked.
#pragma once

#include "devices/io/bus.h"
#include "devices/platform/early_uart.h"
#include "vmm/kvm/kvm_vm.h"
#include "vmm/os/mapping.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

class EarlyConsole {
  public:
    /// `sink` outlives this object.
    explicit EarlyConsole(ByteSink& sink) : uart_(sink) {}
    EarlyConsole(const EarlyConsole&) = delete;
    EarlyConsole& operator=(const EarlyConsole&) = delete;

    /// With the other memory slots, before the irqchip. Errors: Os, for the page.
    Result<void> add_memory(KvmVm& vm, u32 slot);
    /// After the last memory slot, before the guest runs.
    void map_onto(Bus& mmio, KvmVm& vm);

    [[nodiscard]] const EarlyUart::State& state() const { return uart_.state(); }
    void restore(const EarlyUart::State& state) { uart_.restore(state); }

    /// Delivers the characters that KVM collected.
    void drain(const KvmVcpu& vcpu);
    /// Whether it collected any. Any thread.
    [[nodiscard]] bool has_collected(const KvmVcpu& vcpu) const;

  private:
    EarlyUart uart_;
    Mapping page_;
    Bus* mmio_ = nullptr;
    int ring_page_ = 0;  // 0: nothing is collected
    Mutex mutex_;
};

}  // namespace mayfly
