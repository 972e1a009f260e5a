// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/interface.h"

#include <algorithm>
#include <net/if.h>

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <fmt/format.h>

namespace mayfly {

static_assert(kInterfaceNameMax == IFNAMSIZ - 1);

namespace {

ifreq request_for(const std::string& name) {
    ifreq request{};
    name.copy(request.ifr_name, kInterfaceNameMax);
    return request;
}

bool may_stand_in_name(char c) { return c > ' ' && c < '\x7f' && c != '/' && c != ':' && c != '%'; }

}  // namespace

Result<void> check_interface_name(std::string_view name) {
    if (name.size() > kInterfaceNameMax) {
        return fail(Error::invalid(fmt::format("interface name '{}' has {} characters, the limit is {}", name,
                                               name.size(), kInterfaceNameMax)));
    }
    std::string_view rest = name;
    const std::size_t number = name.find("%d");
    std::string without_number(name);
    if (number != std::string_view::npos) without_number.erase(number, 2);
    rest = without_number;
    if (name == "." || name == ".." || !std::all_of(rest.begin(), rest.end(), may_stand_in_name)) {
        return fail(Error::invalid(fmt::format("'{}' cannot be an interface's name", name)));
    }
    return {};
}

Result<Interfaces> Interfaces::open() {
    const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(Error::os("socket"));
    return Interfaces(UniqueFd::adopt(fd));
}

std::optional<u16> Interfaces::flags_of(const std::string& name) const {
    ifreq request = request_for(name);
    if (::ioctl(socket_.get(), SIOCGIFFLAGS, &request) != 0) return std::nullopt;
    return static_cast<u16>(request.ifr_flags);
}

Result<void> Interfaces::bring_up(const std::string& name) const {
    ifreq request = request_for(name);
    if (::ioctl(socket_.get(), SIOCGIFFLAGS, &request) != 0) {
        return fail(Error::os("SIOCGIFFLAGS").about(name));
    }
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    if (::ioctl(socket_.get(), SIOCSIFFLAGS, &request) != 0) {
        return fail(Error::os("SIOCSIFFLAGS").about(name));
    }
    return {};
}

std::optional<u32> Interfaces::mtu_of(const std::string& name) const {
    ifreq request = request_for(name);
    if (::ioctl(socket_.get(), SIOCGIFMTU, &request) != 0) return std::nullopt;
    return static_cast<u32>(request.ifr_mtu);
}

Result<void> Interfaces::set_mtu(const std::string& name, u32 mtu) const {
    ifreq request = request_for(name);
    request.ifr_mtu = static_cast<int>(mtu);
    if (::ioctl(socket_.get(), SIOCSIFMTU, &request) != 0) return fail(Error::os("SIOCSIFMTU").about(name));
    return {};
}

}  // namespace mayfly
