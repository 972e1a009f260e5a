// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/notify_socket.h"

#include <cerrno>
#include <cstddef>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <fmt/format.h>

#include "vmm/os/clock.h"

namespace mayfly {

namespace {

constexpr u64 kSendNsMax = 2'000'000'000;

}  // namespace

Result<NotifySocket> NotifySocket::connect(const std::string& name) {
    sockaddr_un place{};
    place.sun_family = AF_UNIX;
    if (name.empty() || (name.front() != '/' && name.front() != '@'))
        return fail(Error::invalid(fmt::format("'{}' is neither an absolute path nor @NAME", name)));
    if (name.size() > sizeof(place.sun_path))
        return fail(Error::invalid(fmt::format(
            "'{}' is longer than the {} bytes that a socket's name can have", name, sizeof(place.sun_path))));
    std::memcpy(place.sun_path, name.data(), name.size());
    if (name.front() == '@') place.sun_path[0] = '\0';
    UniqueFd fd = UniqueFd::adopt(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return fail(Error::os("socket"));
    // SAFETY: every socket address begins as a sockaddr does; the size covers the name and no more.
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&place),
                  static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())) < 0)
        return fail(Error::os("connect").about(name));
    return NotifySocket(std::move(fd));
}

Result<void> NotifySocket::send(std::string_view notice) const {
    const u64 deadline_ns = monotonic_ns() + kSendNsMax;
    for (;;) {
        if (::send(fd_.get(), notice.data(), notice.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
        const int error = errno;
        const u64 now_ns = monotonic_ns();
        if (error != EAGAIN || now_ns >= deadline_ns) return fail(Error::os("send", error));
        // Interrupted or not, the deadline stands.
        pollfd place{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
        (void)::poll(&place, 1, static_cast<int>((deadline_ns - now_ns) / 1'000'000 + 1));
    }
}

}  // namespace mayfly
