// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/plan/profile.h"

#include <fmt/format.h>

namespace mayfly {

std::string_view to_string(Profile profile) { return profile == Profile::Modern ? "modern" : "legacy"; }

std::string_view to_string(Irqchip kind) {
    switch (kind) {
        case Irqchip::Split: return "split";
        case Irqchip::Full: return "full";
        case Irqchip::None: return "none";
    }
    return "";
}

Result<MachineShape> choose_shape(const BootConfig& config, Protocol protocol) {
    const bool is_multiboot = protocol == Protocol::Multiboot || protocol == Protocol::Multiboot2;
    MachineShape shape;
    switch (config.profile) {
        case ProfileChoice::Modern: shape = {Profile::Modern, Irqchip::Split, "as requested"}; break;
        case ProfileChoice::Legacy: shape = {Profile::Legacy, Irqchip::Full, "as requested"}; break;
        case ProfileChoice::Auto:
            if (config.irqchip == IrqchipChoice::Full || config.irqchip == IrqchipChoice::None) {
                shape = {Profile::Legacy, Irqchip::Full, "the requested irqchip is a PC's"};
            } else if (config.transport == TransportChoice::Mmio && config.irqchip == IrqchipChoice::Auto) {
                shape = {Profile::Legacy, Irqchip::Full, "virtio-mmio needs interrupt pins"};
            } else if (is_multiboot && config.irqchip == IrqchipChoice::Auto) {
                shape = {Profile::Legacy, Irqchip::Full, "Multiboot kernels expect a PC"};
            } else {
                shape = {Profile::Modern, Irqchip::Split, "the kernel does not need a PC"};
            }
            break;
    }
    switch (config.irqchip) {
        case IrqchipChoice::Auto: break;
        case IrqchipChoice::Split: shape.irqchip = Irqchip::Split; break;
        case IrqchipChoice::Full: shape.irqchip = Irqchip::Full; break;
        case IrqchipChoice::None: shape.irqchip = Irqchip::None; break;
    }
    const bool is_modern = shape.profile == Profile::Modern;
    if (is_modern != (shape.irqchip == Irqchip::Split))
        return fail(Error::invalid(fmt::format("the {} profile has no --irqchip {}", to_string(shape.profile),
                                               to_string(shape.irqchip)))
                        .hint("modern goes with split, legacy with full or none"));
    if (shape.irqchip == Irqchip::None && config.cpus > 1)
        return fail(
            Error::invalid(fmt::format("--cpus {} needs LAPICs, which --irqchip none lacks", config.cpus))
                .hint("use --cpus 1"));
    if (shape.irqchip != Irqchip::Full && config.pit != PitChoice::Auto)
        return fail(Error::invalid(fmt::format("--pit {} needs an 8254, which the {} profile with irqchip {} "
                                               "has none",
                                               config.pit == PitChoice::Reinject ? "reinject" : "discard",
                                               to_string(shape.profile), to_string(shape.irqchip)))
                        .hint("use --profile legacy, or leave --pit out"));
    return shape;
}

PitMode choose_pit(PitChoice choice, bool is_linux, bool has_avic) {
    if (choice != PitChoice::Auto) return {choice == PitChoice::Reinject, "as requested"};
    if (is_linux) return {false, "Linux keeps its time by other clocks"};
    if (has_avic) return {false, "reinjection would keep this host's AVIC off"};
    return {true, "a kernel may count ticks"};
}

}  // namespace mayfly
