// SPDX-License-Identifier: Apache-2.0
// NodeTable: the files that the guest knows, by the guest's numbers.
//
// A node stores its parent and name until an operation needs a descriptor; then the name is opened under the
// parent's descriptor (host_calls.h, open_beneath()), and must still be the same file: its device, inode,
// mount and birth. So a look-up is one system call, any number of files can be known, and at most `open_max`
// of them hold a descriptor: the least recently used one is closed. A file that the guest has unlinked has
// only its descriptor, and keeps it.
//
// Thread: one.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "vmm/share/files/host_calls.h"

namespace mayfly {

/// Identifies a file, as long as it exists.
struct NodeKey {
    u64 inode = 0;
    u64 device = 0;
    u64 mount = 0;

    [[nodiscard]] static NodeKey of(const host::Attributes& attributes);
    friend bool operator==(const NodeKey&, const NodeKey&) = default;
};

struct NodeKeyHash {
    [[nodiscard]] std::size_t operator()(const NodeKey& key) const {
        return static_cast<std::size_t>((key.inode ^ key.device << 32U ^ key.mount << 48U) *
                                        0x9e3779b97f4a7c15U);
    }
};

/// The version of a file's content that the guest may have read.
struct ContentsMark {
    u64 modified_ns = 0;
    u64 changed_ns = 0;
    u64 size_bytes = 0;
    /// Later changes give the file other times.
    bool is_settled = false;

    friend bool operator==(const ContentsMark&, const ContentsMark&) = default;
};

struct Node {
    NodeKey key;
    u64 birth_ns = 0;        ///< distinguishes files that had the same inode in turn
    u64 id = 0;              ///< the guest's number
    bool is_known = false;   ///< else a free place
    u64 lookups = 0;         ///< that the guest has not forgotten
    Node* parent = nullptr;  ///< null: of the root, and of what has no name
    u32 children = 0;        ///< nodes whose parent it is
    u32 generation = 0;      ///< how many nodes had this number before
    u32 mode = 0;            ///< its type, of S_IFMT
    UniqueFd fd;             ///< O_PATH, or none
    Node* newer = nullptr;   ///< of those with a descriptor, by their last use
    Node* older = nullptr;
    std::string name;
    ContentsMark contents;  ///< when the guest opened it last
};

class NodeTable {
  public:
    static constexpr u64 kRootId = 1;
    static constexpr u32 kOpenMin = 16;

    struct Limits {
        u32 open_max = kOpenMin;  ///< nodes with a descriptor; at least kOpenMin
        std::size_t nodes_max = ~u32{0};
        /// An overlay changes a file's birth when the file is first written.
        bool ignores_births = false;
    };
    /// `root` is the shared directory.
    NodeTable(UniqueFd root, const host::Attributes& attributes, const Limits& limits);
    NodeTable(const NodeTable&) = delete;
    NodeTable& operator=(const NodeTable&) = delete;

    [[nodiscard]] Node& root() { return nodes_.front(); }
    /// Null where the guest has no such number.
    [[nodiscard]] Node* find(u64 id);
    /// Null where the guest does not know that file.
    [[nodiscard]] Node* known(const host::Attributes& attributes);
    /// Enters the file under that name; counts one look-up by the guest. Null: too many.
    [[nodiscard]] Node* look_up(Node& parent, std::string_view name, const host::Attributes& attributes);
    /// A file without a name. Null: too many.
    [[nodiscard]] Node* look_up_nameless(UniqueFd fd, const host::Attributes& attributes);
    void forget(Node& node, u64 lookups);

    /// A descriptor for system calls until the next fd_of(), or -errno: -ESTALE where its name now belongs to
    /// another file.
    [[nodiscard]] int fd_of(Node& node);
    struct Pair {
        int first = -1;
        int second = -1;
        int error = 0;
    };
    /// For both at once.
    [[nodiscard]] Pair fds_of(Node& first, Node& second);
    /// Not for the root, nor into itself: then nothing happens.
    void move(Node& node, Node& parent, std::string_view name);
    /// Its name is gone, but the guest may still use the file: `fd` is its descriptor, if it has none. With
    /// too many such files it is dropped, and stale for the guest.
    void take_name(Node& node, UniqueFd fd);

    /// Closes the least recently used descriptor, but not the two used last. False: nothing to close.
    [[nodiscard]] bool close_oldest();
    /// The guest has forgotten everything.
    void clear();

    /// Nodes that can be looked up.
    [[nodiscard]] std::size_t size() const { return by_key_.size(); }
    [[nodiscard]] u32 open_count() const { return open_count_; }

  private:
    /// Deeper nodes cannot be found again by their names.
    static constexpr std::size_t kDepthMax = 4096;

    [[nodiscard]] bool is_same(const Node& node, const host::Attributes& attributes) const;
    [[nodiscard]] static bool is_nameless(const Node& node) {
        return node.parent == nullptr && node.fd.valid() && node.id != kRootId;
    }
    [[nodiscard]] Node* add(const host::Attributes& attributes);
    [[nodiscard]] int open(Node& node);
    void keep(Node& node, UniqueFd fd);
    void use(Node& node);
    void link(Node& node);
    void unlink(Node& node);
    void set_parent(Node& node, Node* parent);
    void drop_unused(Node* node);

    const Limits limits_;
    u32 open_count_ = 0;      // without the root, which stays
    u32 nameless_count_ = 0;  // of them
    std::deque<Node> nodes_;
    std::vector<Node*> free_;
    std::unordered_map<NodeKey, Node*, NodeKeyHash> by_key_;
    Node* newest_ = nullptr;
    Node* oldest_ = nullptr;
    std::vector<Node*> way_;  // from a node up to one with a descriptor
};

}  // namespace mayfly
