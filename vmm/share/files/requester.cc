// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/files/requester.h"

#include <array>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace mayfly {

namespace {

constexpr u64 bit(int capability) { return u64{1} << static_cast<unsigned>(capability); }

/// What a change of the file system user takes away, less what would let the file keep others' set-group-ID
/// (CAP_FSETID) or change owners (CAP_CHOWN).
constexpr u64 kGivenBack =
    bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH) | bit(CAP_FOWNER) | bit(CAP_MKNOD);

/// Each of the C library's changes all threads or none; the kernel's, its caller.
bool become(u32 uid, u32 gid) {
    constexpr long kAsk = -1;
    ::syscall(SYS_setfsgid, gid);
    ::syscall(SYS_setfsuid, uid);
    return ::syscall(SYS_setfsgid, kAsk) == static_cast<long>(gid) &&
           ::syscall(SYS_setfsuid, kAsk) == static_cast<long>(uid);
}

void give_back(u64 capabilities) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) < 0) return;
    sets[0].effective |= static_cast<u32>(capabilities) & sets[0].permitted;
    sets[1].effective |= static_cast<u32>(capabilities >> 32U) & sets[1].permitted;
    (void)::syscall(SYS_capset, &header, sets.data());
}

}  // namespace

Requester::Requester(bool is_needed, u32 uid, u32 gid) : is_changed_(is_needed && (uid != 0 || gid != 0)) {
    if (!is_changed_) return;
    is_there_ = become(uid, gid);
    if (uid != 0) give_back(kGivenBack);
}

Requester::~Requester() {
    if (is_changed_) (void)become(0, 0);
}

}  // namespace mayfly
