// SPDX-License-Identifier: Apache-2.0
// EarlyKvm: opens KVM, makes the VM and asks for the supported CPUID on a thread of its own, while the main
// thread parses the command line and loads the kernel.
//
// These three calls need nothing that the user said and are a third of a boot; everything else stays on the
// main thread, in the order that keeps KVM fast. Where no thread can be had the calls are made when they are
// asked for. Thread: one thread constructs, takes and destroys; destruction waits for the thread that
// construction started.
#pragma once

#include <atomic>
#include <optional>

#include "vmm/error/result.h"
#include "vmm/kvm/kvm_system.h"
#include "vmm/machine/lifecycle/timeline.h"

namespace mayfly {

class EarlyKvm {
  public:
    /// Starts at once. `timeline` gets KvmOpened and VmCreated.
    explicit EarlyKvm(Timeline& timeline);
    EarlyKvm(const EarlyKvm&) = delete;
    EarlyKvm& operator=(const EarlyKvm&) = delete;
    ~EarlyKvm();

    /// Waits for the VM. Call once.
    Result<KvmVm> take_vm();
    /// Waits for the table. Call once, after take_vm() succeeded.
    Result<CpuidTable> take_cpuid();
    /// After take_vm() succeeded.
    [[nodiscard]] const KvmSystem& system() const { return *system_; }

  private:
    enum Stage : int { kNothing, kVmDone, kAllDone };
    void work();
    Result<KvmVm> make_vm();
    void wait_for(Stage stage);

    Timeline& timeline_;
    std::atomic<int> stage_ = kNothing;
    bool has_thread_ = false;
    // Written by the thread before it raises stage_.
    std::optional<KvmSystem> system_;
    std::optional<Result<KvmVm>> vm_;
    std::optional<Result<CpuidTable>> cpuid_;
};

}  // namespace mayfly
