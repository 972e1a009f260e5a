// SPDX-License-Identifier: Apache-2.0
// vcpu_thread: the loop around KVM_RUN.
//
// Thread: run_vcpu() is the body of each vCPU's own thread; the bootstrap processor's is the main thread.
#pragma once

#include <functional>

#include "vmm/kvm/host_kind.h"
#include "vmm/kvm/kvm_vcpu.h"
#include "vmm/machine/console/guest_console.h"
#include "vmm/machine/interrupts/test_device_wiring.h"
#include "vmm/machine/interrupts/user_irqchip.h"
#include "vmm/machine/lifecycle/stop_control.h"
#include "vmm/machine/lifecycle/timeline.h"
#include "vmm/machine/vcpu/exit_dispatch.h"

namespace mayfly {

/// The objects that all vCPUs of a machine work with. They outlive the threads; pointers may be null.
struct VcpuWiring {
    Buses buses;
    StopControl& stop;
    GuestConsole& console;
    const GuestMemory& memory;
    KvmFlavour flavour;
    UserIrqchip* user_irqchip;
    TestDeviceWiring* test_device;
};

/// Actions around the guest's first instructions, done once.
struct FirstRun {
    Timeline& timeline;
    std::function<void()> after_exit;
};

struct VcpuContext {
    KvmVcpu& vcpu;
    VcpuWiring wiring;
    const FirstRun* first_run = nullptr;  ///< the bootstrap processor's only
    ExitCounts counts{};
};

/// Returns when the machine ends; by then everything the guest printed from this vCPU is written.
void run_vcpu(VcpuContext& context, std::size_t index);

}  // namespace mayfly
