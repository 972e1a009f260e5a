// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/pci_bus.h"

#include "vmm/error/verify.h"

namespace mayfly {

PciBus::PciBus(ConfigWindow& window)
    : window_(window),
      host_bridge_(window.config_space(0),
                   {.vendor_id = pci::HOST_BRIDGE_VENDOR,
                    .device_id = pci::HOST_BRIDGE_DEVICE,
                    .class_code = pci::HOST_BRIDGE_CLASS},
                   nullptr, nullptr) {
    functions_[0] = &host_bridge_;
}

void PciBus::add(u8 devfn, PciFunction& function) {
    // no guest: place_on_pci() gives each device its own number, before the guest runs.
    VERIFY(functions_[devfn] == nullptr);
    VERIFY(function.image().data() == window_.config_space(devfn).data());
    functions_[devfn] = &function;
    for (u8 bar = 0; bar < pci::BASE_ADDRESSES; ++bar) {
        if (function.bar(bar).kind != BarKind::None) ++bar_count_;
    }
    {
        const Lock guard(decode_mutex_);
        ranges_.reserve(bar_count_);
    }
    // PCI Local Bus Specification 3.0 §6.2.1 "Device Identification": function 0 says whether the device has
    // more functions. It may be added after them.
    const u8 first = devfn & 0xf8;
    for (unsigned other = 1; other < 8; ++other) {
        if (functions_[first + other] != nullptr && functions_[first] != nullptr) {
            functions_[first]->set_multifunction();
        }
    }
    const Lock guard(config_mutex_);
    if (function.config_bar() != PciFunction::kNoBar) window_.add(devfn, function);
    rebuild_decoding();
}

u32 PciBus::config_read(u8 devfn, u16 offset, u8 size_bytes) {
    PciFunction* const function = functions_[devfn];
    if (function == nullptr) return static_cast<u32>(all_ones(size_bytes));
    const Lock guard(config_mutex_);
    return function->config_read(offset, size_bytes);
}

void PciBus::config_write(u8 devfn, u16 offset, u8 size_bytes, u32 value) {
    PciFunction* const function = functions_[devfn];
    if (function == nullptr) return;
    const Lock guard(config_mutex_);
    const bool is_decode_changed = function->config_write(offset, size_bytes, value);
    if (is_decode_changed) {
        window_.settle();
        rebuild_decoding();
    }
    if (function->client() == nullptr) return;
    if (is_decode_changed) function->client()->on_decode_changed();
    function->client()->on_config_write(offset, size_bytes);
}

void PciBus::reset() {
    const Lock guard(config_mutex_);
    for (PciFunction* function : functions_) {
        if (function != nullptr) function->reset();
    }
    follow_registers();
}

void PciBus::registers_restored() {
    const Lock guard(config_mutex_);
    follow_registers();
}

void PciBus::follow_registers() {
    window_.settle();
    rebuild_decoding();
    for (PciFunction* function : functions_) {
        if (function != nullptr && function->client() != nullptr) function->client()->on_decode_changed();
    }
}

void PciBus::rebuild_decoding() {
    const Lock guard(decode_mutex_);
    ranges_.clear();
    for (PciFunction* function : functions_) {
        if (function == nullptr) continue;
        for (u8 bar = 0; bar < pci::BASE_ADDRESSES; ++bar) {
            const std::optional<u32> base = function->bar_address(bar);
            if (!base) continue;
            const bool is_in_window = bar == function->config_bar() && window_.shows(*function);
            const PciBar& what = function->bar(bar);
            ranges_.push_back({*base, what.size_bytes, function, what.kind, bar, is_in_window});
        }
    }
}

PciBus::Hit PciBus::find(BarKind kind, IoAccess at) {
    const bool needs_window = kind == BarKind::Memory32 && window_.overlaps(at.offset_bytes, at.size_bytes);
    const Lock guard(decode_mutex_);
    for (const Range& range : ranges_) {
        if (range.kind != kind || range.is_in_window != needs_window || at.offset_bytes < range.base)
            continue;
        const u64 offset = at.offset_bytes - range.base;
        if (offset >= range.size_bytes || at.size_bytes > range.size_bytes - offset) continue;
        return {range.function->client(), range.bar, {offset, at.size_bytes}};
    }
    return {};
}

u64 PciBus::bar_read(BarKind kind, IoAccess at) {
    const Hit hit = find(kind, at);
    if (hit.client == nullptr) return all_ones(at.size_bytes);
    return hit.client->bar_read(hit.bar, hit.at) & all_ones(at.size_bytes);
}

void PciBus::bar_write(BarKind kind, IoAccess at, u64 value) {
    const Hit hit = find(kind, at);
    if (hit.client != nullptr) hit.client->bar_write(hit.bar, hit.at, value);
}

}  // namespace mayfly
