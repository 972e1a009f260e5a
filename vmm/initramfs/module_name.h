// SPDX-License-Identifier: Apache-2.0
// The names of kernel modules. Thread: any.
#pragma once

#include <algorithm>
#include <string_view>

namespace mayfly {

/// "kernel/drivers/block/virtio_blk.ko.xz" is "virtio_blk".
[[nodiscard]] inline std::string_view module_name(std::string_view path) {
    path.remove_prefix(path.rfind('/') + 1);
    return path.substr(0, path.find(".ko"));
}

/// '-' and '_' are the same in them.
[[nodiscard]] inline bool is_same_module(std::string_view a, std::string_view b) {
    const auto plain = [](char c) { return c == '-' ? '_' : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return plain(x) == plain(y); });
}

}  // namespace mayfly
