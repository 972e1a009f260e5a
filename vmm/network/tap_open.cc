// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/tap_open.h"

#include <cerrno>
#include <net/if.h>
#include <optional>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <fmt/format.h>

#include "vmm/network/interface.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

enum class Queues : u8 { One, Many };

constexpr const char* kDevice = "/dev/net/tun";

std::string how_to_create(const std::string& name, u16 pairs) {
    const std::string tap = name.empty() || name.find('%') != std::string::npos ? "tap0" : name;
    return fmt::format(
        "as root: ip tuntap add dev {0} mode tap user $USER{1} && ip link set {0} up; or use --net user, "
        "which "
        "needs no rights",
        tap, pairs > 1 ? " multi_queue" : "");
}

Result<UniqueFd> open_device(const std::string& name, u16 pairs) {
    const int fd = ::open(kDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) return UniqueFd::adopt(fd);
    Error error = Error::os("open").about(kDevice);
    switch (error.os_errno()) {
        case EACCES:
        case EPERM: return fail(std::move(error).hint(how_to_create(name, pairs)));
        case ENOENT:
        case ENODEV:
        case ENXIO: return fail(std::move(error).hint("modprobe tun; or use --net user"));
        default: return fail(std::move(error));
    }
}

/// 0 or errno. On success `name` is the kernel's name for it.
int set_interface(const UniqueFd& fd, std::string& name, Queues queues) {
    ifreq request{};
    name.copy(request.ifr_name, kInterfaceNameMax);
    const int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues == Queues::Many ? IFF_MULTI_QUEUE : 0);
    request.ifr_flags = static_cast<short>(flags);
    if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) return errno;
    name = request.ifr_name;
    return 0;
}

Error refusal(int error, const std::string& name, u16 pairs) {
    Error what = Error::os("TUNSETIFF", error).about(name.empty() ? "a new tap" : name);
    switch (error) {
        case EPERM:
        case EACCES: return std::move(what).hint(how_to_create(name, pairs));
        case EBUSY: return std::move(what).hint("another program uses it; each guest needs a tap of its own");
        case E2BIG: return std::move(what).hint("other programs hold its queues");
        default: return what;
    }
}

/// Joins or makes it with its first queue. \returns its kind.
Result<Queues> set_first(const UniqueFd& fd, std::string& name, u16 pairs) {
    const Queues wanted = pairs > 1 ? Queues::Many : Queues::One;
    const Queues other = pairs > 1 ? Queues::One : Queues::Many;
    const int error = set_interface(fd, name, wanted);
    if (error == 0) return wanted;
    // EINVAL: the interface exists, and is of the other kind or not a tap at all.
    if (error != EINVAL) return fail(refusal(error, name, pairs));
    const int second_error = set_interface(fd, name, other);
    if (second_error == EINVAL) return fail(Error::invalid(fmt::format("interface '{}' is not a tap", name)));
    if (second_error != 0) return fail(refusal(second_error, name, pairs));
    if (pairs == 1) return other;
    return fail(
        Error::invalid(fmt::format("tap '{}' has one queue, {} queue pairs were asked for", name, pairs))
            .hint("create it with multi_queue: " + how_to_create(name, pairs)));
}

Result<void> bring_tap_up(const Interfaces& interfaces, const std::string& name, bool is_ours) {
    if (is_ours) return interfaces.bring_up(name);
    const std::optional<u16> flags = interfaces.flags_of(name);
    if (flags && (*flags & IFF_UP) == 0) {
        log::warning(fmt::format("tap '{0}' is down, nothing gets through (ip link set {0} up)", name));
    }
    return {};
}

void set_tap_mtu(const Interfaces& interfaces, const std::string& name, u16 mtu) {
    const u32 now = interfaces.mtu_of(name).value_or(0);
    if (now == mtu) return;
    const Result<void> set = interfaces.set_mtu(name, mtu);
    if (set) return;
    const int error = set.error().os_errno();
    const bool lacks_right = error == EPERM || error == EACCES;
    log::warning(fmt::format(
        "tap '{0}' keeps its MTU of {1}: {2}; the guest is told {3}{4}", name, now, set.error().message(),
        mtu, lacks_right ? fmt::format(" (as root: ip link set dev {} mtu {})", name, mtu) : ""));
}

}  // namespace

Result<OpenedTap> open_tap(const std::string& name, u16 pairs, std::optional<u16> mtu) {
    TRY_VOID(check_interface_name(name));
    const Interfaces interfaces = TRY(Interfaces::open());
    const bool is_ours = name.empty() || !interfaces.flags_of(name);

    OpenedTap tap{.name = name, .fds = {}};
    tap.fds.push_back(TRY(open_device(name, pairs)));
    const Queues queues = TRY(set_first(tap.fds.front(), tap.name, pairs));
    for (u16 pair = 1; pair < pairs; ++pair) {
        tap.fds.push_back(TRY(open_device(name, pairs)));
        const int error = set_interface(tap.fds.back(), tap.name, queues);
        if (error != 0) return fail(refusal(error, tap.name, pairs));
    }
    // Before it is up, so that no other MTU is ever visible.
    if (mtu) set_tap_mtu(interfaces, tap.name, *mtu);
    TRY_VOID(bring_tap_up(interfaces, tap.name, is_ours));
    return tap;
}

}  // namespace mayfly
