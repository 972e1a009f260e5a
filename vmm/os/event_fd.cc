// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/event_fd.h"

#include <cerrno>

#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/error/verify.h"

namespace mayfly {

Result<EventFd> EventFd::create() {
    UniqueFd fd = UniqueFd::adopt(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!fd.valid()) return fail(Error::os("eventfd"));
    return EventFd(std::move(fd));
}

void EventFd::signal() const {
    const u64 one = 1;
    const ssize_t written = ::write(fd_.get(), &one, sizeof one);
    VERIFY(written == sizeof one || errno == EAGAIN);
}

u64 EventFd::take() const {
    u64 count = 0;
    const ssize_t got = ::read(fd_.get(), &count, sizeof count);
    VERIFY(got == sizeof count || errno == EAGAIN);
    return got == sizeof count ? count : 0;
}

}  // namespace mayfly
