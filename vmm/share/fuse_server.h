// SPDX-License-Identifier: Apache-2.0
// FuseServer: answers a guest's FUSE requests with a directory of the host.
//
// Confinement: each look-up is of one name, without '/', under a descriptor of its parent, and ".." is
// answered from the node table; files are opened with RESOLVE_BENEATH, the host follows no link, and no
// device, FIFO or socket is ever opened. The guest's numbers are looked up, lengths checked, and every
// request is read once. An unknown number fails that request.
//
// Thread: open() on any; enter() and all else on the one that serves, which keeps its own working directory,
// mask and file system identity. Spec: Linux include/uapi/linux/fuse.h; virtio 1.2 §5.11 "File System
// Device".
#pragma once

#include <memory>
#include <optional>

#include "vmm/error/result.h"
#include "vmm/share/operations/later.h"
#include "vmm/share/operations/share.h"

namespace mayfly {

class FuseServer {
  public:
    struct Limits {
        u32 shares = 1;  ///< of this process, which divides its descriptors among them
        /// A guest spends memory on each file that it knows, and so may the monitor.
        u64 guest_memory_bytes = GiB(1);
    };
    /// Errors: the path cannot be opened, or is not a directory.
    static Result<std::unique_ptr<FuseServer>> open(const ShareOptions& options, const Limits& limits);

    /// The calling thread serves from now on. Errors: Os; Host without /proc.
    Result<void> enter();
    /// Answers a request: `parts` and `room` are guest memory, and get modified. \returns how many bytes of
    /// the room were written; empty where `later` must be done first. Null: waits for the disk itself.
    [[nodiscard]] std::optional<u32> serve(std::span<iovec> parts, std::span<iovec> room, Later* later);
    /// The guest has forgotten all nodes.
    void reset();

    /// Files that the guest knows, and those of them that have a descriptor.
    [[nodiscard]] std::size_t known_count() const { return share_.nodes.size(); }
    [[nodiscard]] u32 open_count() const { return share_.nodes.open_count(); }

  private:
    FuseServer(const ShareOptions& options, UniqueFd root, const host::Attributes& attributes,
               const NodeTable::Limits& limits, u32 files_max);

    [[nodiscard]] i32 answer(FuseRequest& request, FuseReply& reply, Later* later);
    [[nodiscard]] i32 begin(FuseRequest& request, FuseReply& reply);
    void forget(FuseRequest& request);
    void forget_many(FuseRequest& request);

    Share share_;
    bool has_begun_ = false;
    FuseRequest::Storage request_storage_;  // written before they are read
    FuseReply::Storage reply_storage_;
};

}  // namespace mayfly
