// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/virtio_console.h"

#include <algorithm>
#include <array>

#include "devices/virtio/queue/chain.h"

namespace mayfly {

std::unique_ptr<Console> VirtioConsole::make_model(std::string name, WindowSize size) {
    ConsoleSink& sink = *this;
    auto model = std::make_unique<Console>(std::move(name), sink, size.columns, size.rows);
    model_ = model.get();
    return model;
}

void VirtioConsole::ask_for_input() {
    const Lock lock(core_->mutex());
    if (core_->is_running()) input_.want();
}

std::optional<std::size_t> VirtioConsole::receive(std::span<const u8> bytes) {
    if (!core_->mutex().try_lock()) return std::nullopt;
    const Lock lock(core_->mutex(), std::adopt_lock);
    return model_->receive(bytes);
}

bool VirtioConsole::resize(WindowSize size) {
    if (!core_->mutex().try_lock()) return false;
    const Lock lock(core_->mutex(), std::adopt_lock);
    model_->resize(size.columns, size.rows);
    if (!core_->is_running()) core_->config_changed();  // updates the memory that is read without an exit
    return true;
}

void VirtioConsole::write(std::span<const iovec> parts) {
    u64 left = 0;
    for (const iovec& part : parts) left += part.iov_len;
    std::array<u8, 512> chunk;
    for (u64 done = 0; left > 0;) {
        const std::size_t piece = std::min<u64>(left, chunk.size());
        if (!copy_from_parts(parts, done, std::as_writable_bytes(std::span(chunk).first(piece)))) return;
        if (log_ != nullptr) log_->hand_over_to(std::span<const u8>(chunk).first(piece));
        output_.put(std::span<const u8>(chunk).first(piece));
        done += piece;
        left -= piece;
    }
}

}  // namespace mayfly
