// SPDX-License-Identifier: Apache-2.0
// virtio: drives the machine's virtio devices and reports what does not work. Writes to disks!
//
//   device=blk|net|console|rng|share|all (all that exist), index=N
//
// device=fair and mode=journal are tests of their own, with options that virtio_checks/ describes.
// runtime/virtio_options.h describes the driver's own words (transport=, ring=, indirect=, event_idx=, irq=,
// gsi=), runtime/pci.h those for configuration space (ecam=, cf8, pci_window=).
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/virtio_checks/checks.h"

namespace guest {
namespace {

constinit virtio::Transport transport;

struct Part {
    Text name;
    u16 device_id;
    void (*check)(const virtio::Transport&, const checks::Plan&);
};

u32 check_devices() {
    const auto check_disk = option_is("mode", "journal") ? checks::check_journal : checks::check_block;
    const Part parts[] = {{"blk", virtio::kBlock, check_disk},
                          {"net", virtio::kNet, checks::check_net},
                          {"console", virtio::kConsole, checks::check_console},
                          {"rng", virtio::kEntropy, checks::check_entropy},
                          {"share", virtio::kShare, checks::check_share}};
    const virtio::Kind kind = virtio::transport_option();
    const Text wanted = option_text("device", "all");
    const bool is_all = is_equal(wanted, "all");
    const checks::Plan plan{virtio::ring_options(), virtio::interrupt_option()};
    if (is_equal(wanted, "fair")) {
        checks::check_fairness(plan);
        return failure_count();
    }
    u32 found = 0;
    if (kind != virtio::Kind::Mmio) pci::set_up();
    for (const Part& part : parts) {
        if (!is_all && !is_equal(wanted, part.name)) continue;
        for (u32 index = static_cast<u32>(option_value("index", 0));; ++index) {
            if (!transport.find(kind, part.device_id, index)) break;
            ++found;
            part.check(transport, plan);
            if (!is_all) break;
        }
    }
    if (found == 0) fail("virtio: no such device on this transport");
    Line{}.add("virtio devices ").add_decimal(found).print_line();
    return failure_count();
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    virtio::prepare_interrupts(virtio::interrupt_option());
    run_user(check_devices);
}
