// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/notify_socket.h"

#include <cerrno>
#include <cstddef>
#include <cstring>

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <fmt/format.h>

namespace mayfly {

namespace {

constexpr time_t kSendSecondsMax = 2;

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
    const timeval limit{.tv_sec = kSendSecondsMax, .tv_usec = 0};
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
        return fail(Error::os("setsockopt SO_SNDTIMEO"));
    // SAFETY: every socket address begins as a sockaddr does; the size covers the name and no more.
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&place),
                  static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())) < 0)
        return fail(Error::os("connect").about(name));
    return NotifySocket(std::move(fd));
}

Result<void> NotifySocket::send(std::string_view notice) const {
    ssize_t sent = -1;
    do {
        sent = ::send(fd_.get(), notice.data(), notice.size(), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return fail(Error::os("send"));
    return {};
}

}  // namespace mayfly
