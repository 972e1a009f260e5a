// SPDX-License-Identifier: Apache-2.0
// ConfigWindow: 2 MiB of guest-physical addresses that a guest can read as memory: the ECAM of bus 0, then
// 256 pages for the functions' config BARs.
//
// A page of the second half shows the content of function F's config BAR iff that BAR lies at this page,
// memory decoding is on, and no function with a lower number has its own BAR there; else it shows 0xff. A BAR
// that is elsewhere has its content in a private page, and accesses to it trap. The same code serves memory
// that no guest can see.
//
// The memory's creator has filled it with 0xff; only pages of present functions are touched here.
// Thread: under the bus's configuration lock.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devices/pci/config_page.h"
#include "devices/pci/pci_function.h"
#include "vmm/error/ints.h"

namespace mayfly {

class ConfigWindow final {
  public:
    static constexpr u64 kEcamBytes = MiB(1);
    static constexpr u64 kSizeBytes = MiB(2);
    static constexpr u16 kPages = 256;

    /// `memory` has kSizeBytes, page-aligned, and outlives the window. The window lies below 4 GiB.
    ConfigWindow(std::span<std::byte> memory, u64 guest_base);
    ConfigWindow(const ConfigWindow&) = delete;
    ConfigWindow& operator=(const ConfigWindow&) = delete;

    [[nodiscard]] u64 guest_base() const { return guest_base_; }
    /// The configuration space of function `devfn` of bus 0.
    [[nodiscard]] ConfigPage config_space(u8 devfn) const;
    /// The address at which a config BAR shows its content in page `index`.
    [[nodiscard]] u32 page_address(u8 index) const;
    /// Whether any byte lies inside.
    [[nodiscard]] bool overlaps(u64 address, u64 size_bytes) const;

    /// For PciBus, in the order of the functions' numbers; allocates the private page.
    void add(u8 devfn, PciFunction& function);
    /// Moves the content of every config BAR to where it belongs now, and tells the clients.
    void settle();
    /// Whether its page shows this function's config BAR.
    [[nodiscard]] bool shows(const PciFunction& function) const;

  private:
    struct alignas(kConfigPageBytes) PrivatePage {
        std::array<std::byte, kConfigPageBytes> bytes;
    };
    struct ConfigBar {
        u8 devfn;
        PciFunction* function;
        std::unique_ptr<PrivatePage> private_page;
        std::optional<u8> shown_at;  // the page of the window that holds the content
        std::optional<u8> wanted;    // what shown_at has to become
        bool has_page;               // the client has been told its page
    };
    [[nodiscard]] std::optional<u8> page_of_bar(const PciFunction& function) const;
    [[nodiscard]] ConfigPage page(u8 index) const;

    const std::span<std::byte> memory_;
    const u64 guest_base_;
    std::vector<ConfigBar> config_bars_;  // sorted by devfn
};

}  // namespace mayfly
