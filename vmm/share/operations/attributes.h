// SPDX-License-Identifier: Apache-2.0
// A file's attributes for the guest, and how long the guest may cache them. Thread: any; pure.
#pragma once

#include <optional>

#include "vmm/share/files/host_calls.h"
#include "vmm/share/files/node_table.h"
#include "vmm/share/operations/share_options.h"
#include "vmm/share/protocol/fuse_spec.h"

namespace mayfly {

class AttributeView {
  public:
    explicit AttributeView(const ShareOptions& options)
        : owner_(options.owner), seconds_(seconds_of(options.cache)) {}

    [[nodiscard]] fuse_attr attr_of(const host::Attributes& attributes) const;
    [[nodiscard]] fuse_attr_out attr_out_of(const host::Attributes& attributes) const;
    [[nodiscard]] fuse_entry_out entry_of(const host::Attributes& attributes) const;
    [[nodiscard]] fuse::StatxOut statx_of(const host::Attributes& attributes) const;
    /// Whether the content that the guest has read of that open file is still current; updates the mark.
    [[nodiscard]] bool may_keep(ContentsMark& mark, int fd) const;
    /// The name does not exist.
    [[nodiscard]] fuse_entry_out no_entry() const {
        fuse_entry_out entry{};
        entry.entry_valid = seconds_;
        return entry;
    }
    [[nodiscard]] bool has_time() const { return seconds_ != 0; }

  private:
    [[nodiscard]] static u64 seconds_of(ShareCache cache);

    std::optional<ShareOwner> owner_;
    u64 seconds_;
};

}  // namespace mayfly
