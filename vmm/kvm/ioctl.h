// SPDX-License-Identifier: Apache-2.0
// One KVM ioctl as a Result. EINTR is retried: every ioctl used here but KVM_RUN may be repeated.
#pragma once

#include <cerrno>
#include <string_view>

#include <sys/ioctl.h>

#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

template <typename Argument>
Result<int> kvm_ioctl(const UniqueFd& fd, unsigned long request, std::string_view name, Argument argument) {
    int value = 0;
    do {
        value = ::ioctl(fd.get(), request, argument);
    } while (value < 0 && errno == EINTR);
    if (value < 0) return fail(Error::os(name));
    return value;
}

}  // namespace mayfly

/// KVM_IOCTL(fd, KVM_CREATE_VCPU, 0): an error shows the request's own name.
#define KVM_IOCTL(fd, request, argument) ::mayfly::kvm_ioctl((fd), (request), #request, (argument))
