// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/early_kvm.h"

#include <pthread.h>

namespace mayfly {

namespace {

constexpr std::size_t kStackBytes = KiB(128);

}  // namespace

EarlyKvm::EarlyKvm(Timeline& timeline) : timeline_(timeline) {
    const auto start = [](void* self) -> void* {
        static_cast<EarlyKvm*>(self)->work();
        return nullptr;
    };
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, kStackBytes);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    has_thread_ = ::pthread_create(&thread, &attributes, start, this) == 0;
    ::pthread_attr_destroy(&attributes);
}

EarlyKvm::~EarlyKvm() {
    if (has_thread_) wait_for(kAllDone);
}

Result<KvmVm> EarlyKvm::make_vm() {
    system_.emplace(TRY(KvmSystem::open()));
    timeline_.reach(Phase::KvmOpened);
    KvmVm vm = TRY(system_->create_vm());
    timeline_.reach(Phase::VmCreated);
    return vm;
}

void EarlyKvm::work() {
    const bool is_made = vm_.emplace(make_vm()).has_value();
    stage_.store(kVmDone, std::memory_order_release);
    stage_.notify_all();
    if (is_made) cpuid_.emplace(system_->supported_cpuid());
    stage_.store(kAllDone, std::memory_order_release);
    stage_.notify_all();
}

void EarlyKvm::wait_for(Stage stage) {
    for (int seen = stage_.load(std::memory_order_acquire); seen < stage;
         seen = stage_.load(std::memory_order_acquire))
        stage_.wait(seen, std::memory_order_acquire);
}

Result<KvmVm> EarlyKvm::take_vm() {
    if (!has_thread_) work();
    wait_for(kVmDone);
    return std::move(*vm_);
}

Result<CpuidTable> EarlyKvm::take_cpuid() {
    wait_for(kAllDone);
    return std::move(*cpuid_);
}

}  // namespace mayfly
