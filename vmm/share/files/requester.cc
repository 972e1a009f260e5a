// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/files/requester.h"

#include <array>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace mayfly {

namespace {

constexpr u64 bit(int capability) { return u64{1} << static_cast<unsigned>(capability); }

/// The capabilities that a change of the file system user removes, without those that would keep others'
/// set-group-ID (CAP_FSETID) or change owners (CAP_CHOWN).
constexpr u64 kGivenBack =
    bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH) | bit(CAP_FOWNER) | bit(CAP_MKNOD);

/// The C library's functions change all threads; the kernel's only the caller.
bool become(u32 uid, u32 gid) {
    constexpr long kAsk = -1;
    ::syscall(SYS_setfsgid, gid);
    ::syscall(SYS_setfsuid, uid);
    return ::syscall(SYS_setfsgid, kAsk) == static_cast<long>(gid) &&
           ::syscall(SYS_setfsuid, kAsk) == static_cast<long>(uid);
}

/// The capabilities that this thread uses, and those that it may use: 32 in each element.
using CapabilitySets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

template <typename Change>
void change_capabilities(Change change) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    CapabilitySets sets{};
    if (::syscall(SYS_capget, &header, sets.data()) < 0) return;
    change(sets);
    (void)::syscall(SYS_capset, &header, sets.data());
}

void give_back(u64 capabilities) {
    change_capabilities([capabilities](CapabilitySets& sets) {
        sets[0].effective |= static_cast<u32>(capabilities) & sets[0].permitted;
        sets[1].effective |= static_cast<u32>(capabilities >> 32U) & sets[1].permitted;
    });
}

}  // namespace

void obey_quotas() {
    change_capabilities([](CapabilitySets& sets) {
        __user_cap_data_struct& set = sets[CAP_SYS_RESOURCE / 32];
        set.effective &= ~static_cast<u32>(bit(CAP_SYS_RESOURCE));
        set.permitted &= ~static_cast<u32>(bit(CAP_SYS_RESOURCE));
    });
}

Requester::Requester(bool is_needed, u32 uid, u32 gid) : is_changed_(is_needed && (uid != 0 || gid != 0)) {
    if (!is_changed_) return;
    is_there_ = become(uid, gid);
    if (uid != 0) give_back(kGivenBack);
}

Requester::~Requester() {
    if (is_changed_) (void)become(0, 0);
}

}  // namespace mayfly
