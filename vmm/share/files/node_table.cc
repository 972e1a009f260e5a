// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/files/node_table.h"

#include <algorithm>
#include <utility>

namespace mayfly {

namespace {

u64 birth_of(const host::Attributes& attributes) {
    constexpr u64 kNsPerSecond = 1'000'000'000;
    if ((attributes.stx_mask & STATX_BTIME) == 0) return 0;
    return static_cast<u64>(attributes.stx_btime.tv_sec) * kNsPerSecond + attributes.stx_btime.tv_nsec;
}

}  // namespace

NodeKey NodeKey::of(const host::Attributes& attributes) {
    NodeKey key{.inode = attributes.stx_ino,
                .device = u64{attributes.stx_dev_major} << 32U | attributes.stx_dev_minor};
    if ((attributes.stx_mask & STATX_MNT_ID) != 0) key.mount = attributes.stx_mnt_id;
    return key;
}

NodeTable::NodeTable(UniqueFd root, const host::Attributes& attributes, const Limits& limits)
    : limits_(limits) {
    Node& node = nodes_.emplace_back();
    node.id = kRootId;
    node.is_known = true;
    node.key = NodeKey::of(attributes);
    node.birth_ns = birth_of(attributes);
    node.mode = attributes.stx_mode & S_IFMT;
    node.fd = std::move(root);
    by_key_.emplace(node.key, &node);
}

Node* NodeTable::find(u64 id) {
    if (id == 0 || id > nodes_.size()) return nullptr;
    Node& node = nodes_[static_cast<std::size_t>(id - 1)];
    return node.is_known ? &node : nullptr;
}

bool NodeTable::is_same(const Node& node, const host::Attributes& attributes) const {
    if (node.mode != (attributes.stx_mode & S_IFMT)) return false;
    return limits_.ignores_births || node.birth_ns == birth_of(attributes);
}

Node* NodeTable::known(const host::Attributes& attributes) {
    const auto found = by_key_.find(NodeKey::of(attributes));
    if (found == by_key_.end()) return nullptr;
    Node& node = *found->second;
    // While a descriptor holds the file, its inode is not reused.
    if (!is_same(node, attributes) && !node.fd.valid()) return nullptr;
    node.birth_ns = birth_of(attributes);
    return &node;
}

Node* NodeTable::add(const host::Attributes& attributes) {
    if (free_.empty() && nodes_.size() >= limits_.nodes_max) return nullptr;
    Node* node = nullptr;
    if (free_.empty()) {
        node = &nodes_.emplace_back();
        node->id = nodes_.size();
    } else {
        node = free_.back();
        free_.pop_back();
        ++node->generation;
    }
    node->is_known = true;
    node->contents = {};
    node->key = NodeKey::of(attributes);
    node->birth_ns = birth_of(attributes);
    node->mode = attributes.stx_mode & S_IFMT;
    // Of two nodes with one key the guest's next look-ups find the new one.
    by_key_[node->key] = node;
    return node;
}

Node* NodeTable::look_up(Node& parent, std::string_view name, const host::Attributes& attributes) {
    Node* node = known(attributes);
    if (node == nullptr) node = add(attributes);
    if (node == nullptr) return nullptr;
    ++node->lookups;
    // A node without a descriptor keeps its last seen name, even if the host may have removed that.
    move(*node, parent, name);
    return node;
}

Node* NodeTable::look_up_nameless(UniqueFd fd, const host::Attributes& attributes) {
    if (nameless_count_ >= limits_.open_max / 2) return nullptr;
    Node* node = known(attributes);
    if (node == nullptr) node = add(attributes);
    if (node == nullptr) return nullptr;
    ++node->lookups;
    take_name(*node, std::move(fd));
    return node;
}

void NodeTable::set_parent(Node& node, Node* parent) {
    if (node.parent == parent) return;
    if (parent != nullptr) ++parent->children;
    Node* const before = std::exchange(node.parent, parent);
    if (before == nullptr) return;
    --before->children;
    drop_unused(before);
}

void NodeTable::move(Node& node, Node& parent, std::string_view name) {
    if (&node == &root() || &node == &parent || (node.parent == &parent && node.name == name)) return;
    if (is_nameless(node)) {
        --nameless_count_;
        link(node);
    }
    set_parent(node, &parent);
    node.name = name;
}

void NodeTable::take_name(Node& node, UniqueFd fd) {
    if (is_nameless(node)) return;
    const bool has_room = nameless_count_ < limits_.open_max / 2;
    if (has_room && !node.fd.valid() && fd.valid()) keep(node, std::move(fd));
    unlink(node);  // a node without a name is never closed
    if (!has_room && node.fd.valid()) {
        node.fd = UniqueFd();
        --open_count_;
    }
    set_parent(node, nullptr);
    node.name.clear();
    if (node.fd.valid()) ++nameless_count_;
}

void NodeTable::forget(Node& node, u64 lookups) {
    if (&node == &root()) return;
    node.lookups -= std::min(node.lookups, lookups);
    drop_unused(&node);
}

void NodeTable::drop_unused(Node* node) {
    while (node != nullptr && node != &root() && node->is_known && node->lookups == 0 &&
           node->children == 0) {
        const auto found = by_key_.find(node->key);
        if (found != by_key_.end() && found->second == node) by_key_.erase(found);
        unlink(*node);
        if (is_nameless(*node)) --nameless_count_;
        if (node->fd.valid()) {
            node->fd = UniqueFd();
            --open_count_;
        }
        Node* const parent = std::exchange(node->parent, nullptr);
        node->name = std::string();
        node->is_known = false;
        free_.push_back(node);
        if (parent != nullptr) --parent->children;
        node = parent;
    }
}

int NodeTable::fd_of(Node& node) {
    if (node.fd.valid()) {
        use(node);
        return node.fd.get();
    }
    way_.clear();
    for (Node* at = &node; !at->fd.valid(); at = at->parent) {
        // Concurrent renames by guest and host can make a circle of names.
        if (at->parent == nullptr || way_.size() == kDepthMax) return -ESTALE;
        way_.push_back(at);
    }
    for (auto at = way_.rbegin(); at != way_.rend(); ++at) {
        if (const int error = open(**at); error < 0) return error;
    }
    return node.fd.get();
}

NodeTable::Pair NodeTable::fds_of(Node& first, Node& second) {
    // The second may take the first one's descriptor, when it is deep down and few may be open.
    constexpr int kTries = 2;
    for (int i = 0; i < kTries; ++i) {
        const Pair pair{.first = fd_of(first), .second = fd_of(second), .error = 0};
        if (pair.first < 0 || pair.second < 0) return {.error = pair.first < 0 ? pair.first : pair.second};
        if (first.fd.valid()) return pair;
    }
    return {.error = -ENFILE};
}

int NodeTable::open(Node& node) {
    UniqueFd fd;
    for (;;) {
        fd = host::open_beneath(node.parent->fd.get(), node.name.c_str(), O_PATH);
        if (fd.valid()) break;
        const int error = errno;
        use(*node.parent);  // it must not be evicted to make room
        if ((error != EMFILE && error != ENFILE) || !close_oldest())
            return error == ENOENT || error == ENOTDIR || error == ELOOP ? -ESTALE : -error;
    }
    host::Attributes attributes{};
    if (const int error = host::attributes_of(fd.get(), attributes); error < 0) return error;
    if (NodeKey::of(attributes) != node.key || !is_same(node, attributes)) return -ESTALE;
    use(*node.parent);
    keep(node, std::move(fd));
    return 0;
}

void NodeTable::keep(Node& node, UniqueFd fd) {
    node.fd = std::move(fd);
    ++open_count_;
    link(node);
    while (open_count_ > limits_.open_max && close_oldest()) {
    }
}

bool NodeTable::close_oldest() {
    Node* const node = oldest_;
    if (node == nullptr || node == newest_ || node == newest_->older) return false;
    unlink(*node);
    node->fd = UniqueFd();
    --open_count_;
    return true;
}

void NodeTable::use(Node& node) {
    // Nodes without a name are not in the list.
    if (newest_ == &node || (node.newer == nullptr && oldest_ != &node && node.older == nullptr)) return;
    unlink(node);
    link(node);
}

void NodeTable::link(Node& node) {
    node.older = newest_;
    if (newest_ != nullptr) newest_->newer = &node;
    newest_ = &node;
    if (oldest_ == nullptr) oldest_ = &node;
}

void NodeTable::unlink(Node& node) {
    if (newest_ != &node && node.newer == nullptr && node.older == nullptr) return;  // it is not in the list
    (node.newer != nullptr ? node.newer->older : newest_) = node.older;
    (node.older != nullptr ? node.older->newer : oldest_) = node.newer;
    node.newer = node.older = nullptr;
}

void NodeTable::clear() {
    newest_ = oldest_ = nullptr;
    open_count_ = nameless_count_ = 0;
    free_.clear();
    nodes_.resize(1);
    Node& node = root();
    node.lookups = 0;
    node.children = 0;
    by_key_.clear();
    by_key_.emplace(node.key, &node);
}

}  // namespace mayfly
