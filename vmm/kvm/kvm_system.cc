// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/kvm_system.h"

#include <fcntl.h>
#include <linux/kvm.h>

#include <fmt/format.h>

#include "vmm/kvm/ioctl.h"

namespace mayfly {

namespace {

constexpr const char* kDevice = "/dev/kvm";
constexpr int kApiVersion = 12;  // the only one since Linux 2.6.22

Error explain_open(int os_errno) {
    switch (os_errno) {
        case ENOENT:
        case ENODEV:
        case ENXIO:
            return Error::host("/dev/kvm does not exist")
                .hint(
                    "load kvm_intel or kvm_amd, enable virtualisation in the firmware, or pass "
                    "--device /dev/kvm to the container");
        case EACCES:
        case EPERM:
            return Error::host("no right to open /dev/kvm")
                .hint(
                    "join its group, mostly by sudo usermod -aG kvm $USER and a new login; mayfly doctor "
                    "names "
                    "what this host needs");
        default: return Error::os("open", os_errno).about(kDevice);
    }
}

}  // namespace

Result<UniqueFd> KvmSystem::open_device() {
    // By openat(): musl's open() sets O_CLOEXEC twice.
    UniqueFd fd = UniqueFd::adopt(::openat(AT_FDCWD, kDevice, O_RDWR | O_CLOEXEC));
    if (!fd.valid()) return fail(explain_open(errno));
    return fd;
}

Result<KvmSystem> KvmSystem::on(UniqueFd device) {
    const Result<int> version = KVM_IOCTL(device, KVM_GET_API_VERSION, 0);
    if (!version) return fail(Error::host("/dev/kvm is not KVM: " + version.error().message()));
    if (*version != kApiVersion)
        return fail(Error::host(fmt::format("/dev/kvm speaks API {}, need {}", *version, kApiVersion)));
    const int run_bytes = TRY(KVM_IOCTL(device, KVM_GET_VCPU_MMAP_SIZE, 0));
    return KvmSystem(std::move(device), static_cast<std::size_t>(run_bytes));
}

Result<KvmSystem> KvmSystem::open() { return on(TRY(open_device())); }

int KvmSystem::check(int capability) const {
    return KVM_IOCTL(fd_, KVM_CHECK_EXTENSION, capability).value_or(0);
}

Result<KvmVm> KvmSystem::create_vm() const {
    Result<int> fd = KVM_IOCTL(fd_, KVM_CREATE_VM, 0);
    if (!fd) {
        if (fd.error().os_errno() == EBUSY)
            return fail(Error::host("KVM_CREATE_VM: the CPU's virtualisation is in use")
                            .hint("another hypervisor such as VirtualBox holds it; stop that one"));
        return fail(std::move(fd).error());
    }
    return KvmVm(UniqueFd::adopt(*fd), run_bytes_);
}

Result<CpuidTable> KvmSystem::supported_cpuid() const {
    CpuidTable table;
    TRY_VOID(fill(table));
    return table;
}

Result<void> KvmSystem::fill(CpuidTable& table) const {
    TRY_VOID(kvm_ioctl(fd_, kGetSupportedCpuid, "KVM_GET_SUPPORTED_CPUID", table.for_kernel_to_fill()));
    return {};
}

}  // namespace mayfly
