// SPDX-License-Identifier: Apache-2.0
// Network interfaces of this host (of this network namespace), by name.
// Thread: any. Spec: man netdevice(7).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

/// One less than IFNAMSIZ.
constexpr std::size_t kInterfaceNameMax = 15;

/// Errors: Invalid for a text that cannot be an interface's name. "%d" stands for a number that the kernel
/// chooses.
Result<void> check_interface_name(std::string_view name);

class Interfaces {
  public:
    static Result<Interfaces> open();

    /// IFF_UP and so on; empty when the interface does not exist.
    [[nodiscard]] std::optional<u16> flags_of(const std::string& name) const;
    [[nodiscard]] Result<void> bring_up(const std::string& name) const;
    /// In bytes, without the link's header; empty when the interface does not exist.
    [[nodiscard]] std::optional<u32> mtu_of(const std::string& name) const;
    [[nodiscard]] Result<void> set_mtu(const std::string& name, u32 mtu) const;

  private:
    explicit Interfaces(UniqueFd socket) : socket_(std::move(socket)) {}
    UniqueFd socket_;
};

}  // namespace mayfly
