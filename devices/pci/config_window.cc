// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/config_window.h"

#include <algorithm>
#include <bitset>

#include "vmm/error/verify.h"

namespace mayfly {

namespace {

void fill_with_ones(ConfigPage page) {
    for (std::size_t at = 0; at < page.size(); at += sizeof(u64)) store_word<u64>(page, at, ~u64{0});
}

}  // namespace

ConfigWindow::ConfigWindow(std::span<std::byte> memory, u64 guest_base)
    : memory_(memory), guest_base_(guest_base) {
    // SAFETY: the pointer is compared as a number and never dereferenced.
    // no guest: ConfigWindowMemory has this size and alignment, and the layout has the base.
    VERIFY(memory_.size() == kSizeBytes);
    VERIFY(reinterpret_cast<std::uintptr_t>(memory_.data()) % kConfigPageBytes == 0);
    VERIFY(guest_base_ % kConfigPageBytes == 0 && guest_base_ <= GiB(4) - kSizeBytes);
}

ConfigPage ConfigWindow::config_space(u8 devfn) const {
    return memory_.subspan(std::size_t{devfn} * kConfigPageBytes).first<kConfigPageBytes>();
}

ConfigPage ConfigWindow::page(u8 index) const {
    return memory_.subspan(kEcamBytes + std::size_t{index} * kConfigPageBytes).first<kConfigPageBytes>();
}

u32 ConfigWindow::page_address(u8 index) const {
    return static_cast<u32>(guest_base_ + kEcamBytes + u64{index} * kConfigPageBytes);
}

bool ConfigWindow::overlaps(u64 address, u64 size_bytes) const {
    if (address >= guest_base_) return address - guest_base_ < kSizeBytes;
    return size_bytes > guest_base_ - address;
}

void ConfigWindow::add(u8 devfn, PciFunction& function) {
    // no guest: PciBus::add() asks whether there is a config BAR, before the guest runs.
    VERIFY(function.config_bar() < pci::BASE_ADDRESSES);
    const PciBar& bar = function.bar(function.config_bar());
    // no guest: PciTransport::function_options() sets it so, before the guest runs.
    VERIFY(bar.kind == BarKind::Memory32 && bar.size_bytes == kConfigPageBytes);
    // Not initialised, so that the host never allocates a page that is never needed.
    config_bars_.push_back({devfn, &function, std::make_unique_for_overwrite<PrivatePage>(), {}, {}, false});
    std::sort(config_bars_.begin(), config_bars_.end(),
              [](const ConfigBar& a, const ConfigBar& b) { return a.devfn < b.devfn; });
    settle();
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): the analyzer loses the page where sort() moves its
   // owner

void ConfigWindow::settle() {
    std::bitset<kPages> taken;
    for (ConfigBar& config_bar : config_bars_) {
        config_bar.wanted = page_of_bar(*config_bar.function);
        if (config_bar.wanted && taken.test(*config_bar.wanted)) config_bar.wanted.reset();
        if (config_bar.wanted) taken.set(*config_bar.wanted);
    }
    // First every function leaves its old page, then each enters its new one: two may swap pages.
    for (ConfigBar& config_bar : config_bars_) {
        if (!config_bar.shown_at || config_bar.shown_at == config_bar.wanted) continue;
        config_bar.function->client()->on_config_page_moved(config_bar.private_page->bytes);
        fill_with_ones(page(*config_bar.shown_at));
        config_bar.shown_at.reset();
    }
    for (ConfigBar& config_bar : config_bars_) {
        if (config_bar.wanted && !config_bar.shown_at) {
            config_bar.shown_at = config_bar.wanted;
            config_bar.function->client()->on_config_page_moved(page(*config_bar.wanted));
        } else if (!config_bar.has_page) {
            config_bar.function->client()->on_config_page_moved(config_bar.private_page->bytes);
        }
        config_bar.has_page = true;
    }
}

bool ConfigWindow::shows(const PciFunction& function) const {
    return std::any_of(config_bars_.begin(), config_bars_.end(), [&](const ConfigBar& config_bar) {
        return config_bar.function == &function && config_bar.shown_at.has_value();
    });
}

std::optional<u8> ConfigWindow::page_of_bar(const PciFunction& function) const {
    const std::optional<u32> address = function.bar_address(function.config_bar());
    const u64 first = page_address(0);
    if (!address || *address < first || *address - first >= kPages * kConfigPageBytes) return std::nullopt;
    return static_cast<u8>((*address - first) / kConfigPageBytes);
}

}  // namespace mayfly
