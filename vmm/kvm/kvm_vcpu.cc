// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/kvm_vcpu.h"

#include <algorithm>

#include "vmm/error/verify.h"
#include "vmm/kvm/counted_table.h"
#include "vmm/kvm/ioctl.h"

namespace mayfly {

namespace {
constexpr std::size_t kMsrsMax = 16;
}  // namespace

Result<RunStatus> KvmVcpu::run() {
    if (::ioctl(fd_.get(), KVM_RUN, 0) == 0) return RunStatus::Exited;
    // EAGAIN: an AP left its wait for INIT/SIPI without having been started. The bootstrap processor never
    // waits so; there KVM failed to start the VM's own kernel thread, which counts as one of ours.
    if (errno == EINTR || (errno == EAGAIN && id_ != 0)) return RunStatus::Interrupted;
    Error error = Error::os("KVM_RUN");
    if (error.os_errno() != EAGAIN) return fail(std::move(error));
    return fail(std::move(error).hint("a limit on threads is reached: ulimit -u, or pids.max of the cgroup"));
}

kvm_coalesced_mmio_ring* KvmVcpu::coalesced_ring(int page_offset) const {
    const std::size_t offset = static_cast<std::size_t>(page_offset) * kPageBytes;
    if (page_offset <= 0 || offset + kPageBytes > run_.size_bytes()) return nullptr;
    // SAFETY: the kernel keeps the ring in that page of the mapping (api.rst, KVM_CAP_COALESCED_MMIO).
    return reinterpret_cast<kvm_coalesced_mmio_ring*>(run_.data() + offset);
}

Result<void> KvmVcpu::set_cpuid(CpuidTable& table) {
    TRY_VOID(kvm_ioctl(fd_, kSetCpuid2, "KVM_SET_CPUID2", table.for_kernel_to_read()));
    return {};
}

Result<kvm_regs> KvmVcpu::regs() const {
    kvm_regs regs{};
    TRY_VOID(KVM_IOCTL(fd_, KVM_GET_REGS, &regs));
    return regs;
}

Result<void> KvmVcpu::set_regs(const kvm_regs& regs) {
    TRY_VOID(KVM_IOCTL(fd_, KVM_SET_REGS, &regs));
    return {};
}

Result<kvm_sregs> KvmVcpu::sregs() const {
    kvm_sregs sregs{};
    TRY_VOID(KVM_IOCTL(fd_, KVM_GET_SREGS, &sregs));
    return sregs;
}

Result<void> KvmVcpu::set_sregs(const kvm_sregs& sregs) {
    TRY_VOID(KVM_IOCTL(fd_, KVM_SET_SREGS, &sregs));
    return {};
}

Result<u32> KvmVcpu::set_msrs(std::span<const kvm_msr_entry> entries) {
    VERIFY(entries.size() <= kMsrsMax);
    CountedTable<kvm_msr_entry, kMsrsMax> table;
    table.count = static_cast<u32>(entries.size());
    std::copy(entries.begin(), entries.end(), table.entries.begin());
    return static_cast<u32>(TRY(kvm_ioctl(fd_, kSetMsrs, "KVM_SET_MSRS", &table)));
}

std::optional<u64> KvmVcpu::msr(u32 index) const {
    CountedTable<kvm_msr_entry, 1> table;
    table.count = 1;
    table.entries[0].index = index;
    if (kvm_ioctl(fd_, kGetMsrs, "KVM_GET_MSRS", &table).value_or(0) != 1) return std::nullopt;
    return table.entries[0].data;
}

Result<void> KvmVcpu::interrupt(u8 vector) {
    kvm_interrupt request{};
    request.irq = vector;
    TRY_VOID(KVM_IOCTL(fd_, KVM_INTERRUPT, &request));
    return {};
}

std::optional<Gpa> KvmVcpu::translate(u64 linear) const {
    kvm_translation request{};
    request.linear_address = linear;
    if (!KVM_IOCTL(fd_, KVM_TRANSLATE, &request) || request.valid == 0) return std::nullopt;
    return Gpa{request.physical_address};
}

u32 KvmVcpu::tsc_khz() const {
    return static_cast<u32>(std::max(0, KVM_IOCTL(fd_, KVM_GET_TSC_KHZ, 0).value_or(0)));
}

Result<UniqueFd> KvmVcpu::stats_fd() const {
    const int fd = TRY(KVM_IOCTL(fd_, KVM_GET_STATS_FD, 0));
    return UniqueFd::adopt(fd);
}

}  // namespace mayfly
