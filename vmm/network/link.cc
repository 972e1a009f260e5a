// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/link.h"

#include <string>

#include "vmm/text/log.h"

namespace mayfly {

void Link::attach(Loop& loop) {
    loop_.store(&loop, std::memory_order_seq_cst);
    if (!is_up_.load(std::memory_order_seq_cst)) loop.post(*this);
}

void Link::lose(std::string_view subject, std::string_view why) {
    if (!is_up_.exchange(false, std::memory_order_seq_cst)) return;
    log::warning(std::string(subject) + ": " + std::string(why) + "; the guest's link is down from now on");
    tell();
}

bool Link::take_down() {
    if (!is_up_.exchange(false, std::memory_order_seq_cst)) return false;
    tell();
    return true;
}

void Link::restore() {
    if (!is_up_.exchange(true, std::memory_order_seq_cst)) tell();
}

void Link::tell() {
    Loop* const loop = loop_.load(std::memory_order_seq_cst);
    if (loop != nullptr) loop->post(*this);
}

void Link::run() {
    if (NetClient* const told = client()) told->on_net_link(is_up());
}

}  // namespace mayfly
