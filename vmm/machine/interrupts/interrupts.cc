// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/interrupts/interrupts.h"

#include "firmware/layout.h"
#include "vmm/error/verify.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

constexpr u32 kIsaIrqs = 16;
constexpr u32 kIrqPit = 0;
constexpr u32 kIrqCascade = 2;

kvm_irq_routing_entry chip_route(u32 gsi, u32 chip, u32 pin) {
    kvm_irq_routing_entry route{};
    route.gsi = gsi;
    route.type = KVM_IRQ_ROUTING_IRQCHIP;
    route.u.irqchip.irqchip = chip;
    route.u.irqchip.pin = pin;
    return route;
}

kvm_irq_routing_entry msi_route(u32 gsi, u64 address, u32 data) {
    kvm_irq_routing_entry route{};
    route.gsi = gsi;
    route.type = KVM_IRQ_ROUTING_MSI;
    route.u.msi.address_lo = static_cast<u32>(address);
    route.u.msi.address_hi = static_cast<u32>(address >> 32);
    route.u.msi.data = data;
    return route;
}

/// Collects routes; the table's size follows from the number of pins.
struct RouteList {
    std::array<kvm_irq_routing_entry, kIsaIrqs + layout::kIoApicPins + Interrupts::kMsisMax> routes;
    std::size_t count = 0;
    void add(const kvm_irq_routing_entry& route) { routes[count++] = route; }
};

/// KVM's own default has the PIT on IOAPIC pin 0; every PC has it on pin 2, where MADT and MP table say it
/// is.
void add_pc_routes(RouteList& list) {
    for (u32 gsi = 0; gsi < layout::kIoApicPins; ++gsi) {
        if (gsi == kIrqCascade) continue;
        if (gsi < kIsaIrqs) {
            const u32 chip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
            list.add(chip_route(gsi, chip, gsi % 8));
        }
        list.add(chip_route(gsi, KVM_IRQCHIP_IOAPIC, gsi == kIrqPit ? layout::kPitIoApicPin : gsi));
    }
}

}  // namespace

Interrupts::Interrupts(KvmVm& vm, Irqchip kind, std::unique_ptr<UserIrqchip> user)
    : vm_(vm), kind_(kind), user_(std::move(user)), serial_line_(*this, layout::kIrqSerial) {
    if (kind == Irqchip::Split) serial_.emplace(vm);
}

void Interrupts::map_onto(Bus& ports, Bus& mmio) {
    if (user_) user_->map_onto(ports);
    if (serial_) serial_->map_onto(mmio);
}

Result<std::unique_ptr<Interrupts>> Interrupts::create(KvmVm& vm, Irqchip kind, bool pit_reinjects,
                                                       StopControl& stop) {
    std::unique_ptr<UserIrqchip> user;
    if (kind == Irqchip::None) user = TRY(UserIrqchip::create(stop));
    std::unique_ptr<Interrupts> interrupts(new Interrupts(vm, kind, std::move(user)));
    TRY_VOID(interrupts->make_in_kernel(pit_reinjects));
    return interrupts;
}

Result<void> Interrupts::make_in_kernel(bool pit_reinjects) {
    if (kind_ != Irqchip::None) {
        // APIC ids of 32 bits, and 0xff as an id like any other in x2APIC mode. Before the first vCPU. A host
        // without this capability keeps KVM's older format, which differs only beyond 255 APIC ids.
        (void)vm_.enable(KVM_CAP_X2APIC_API,
                         KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
    }
    switch (kind_) {
        case Irqchip::Split: return vm_.create_split_irqchip(0);
        case Irqchip::None: return {};
        case Irqchip::Full: break;
    }
    TRY_VOID(vm_.create_irqchip());
    {
        const Lock guard(mutex_);
        TRY_VOID(install_routes());
    }
    TRY_VOID(vm_.create_pit());
    if (pit_reinjects) return {};  // KVM's default
    // The guest need not wait for the grace period: until it is over AVIC stays off, and nothing else
    // differs. A thread that cannot be started does not fail the boot.
    Result<Thread> thread = Thread::start([this] { stop_pit_reinjection(); });
    if (thread) {
        pit_thread_.emplace(*thread);
    } else {
        stop_pit_reinjection();
    }
    return {};
}

Interrupts::~Interrupts() {
    if (pit_thread_) pit_thread_->join();
}

void Interrupts::stop_pit_reinjection() {
    const Result<void> stopped = vm_.stop_pit_reinjection();
    if (!stopped)
        log::warning("the PIT keeps reinjecting, which keeps AVIC off: " + stopped.error().message());
}

Result<void> Interrupts::install_routes() {
    RouteList list;
    if (kind_ == Irqchip::Full) add_pc_routes(list);
    u32 gsi = kMsiGsiBase;
    for (const Msi& msi : msis_) {
        if (msi.is_routed) list.add(msi_route(gsi, msi.address, msi.data));
        ++gsi;
    }
    return vm_.set_routes(std::span(list.routes).first(list.count));
}

void Interrupts::set_gsi(u32 gsi, bool is_high) {
    switch (kind_) {
        case Irqchip::Split:
            if (gsi == layout::kIrqSerial) serial_->set_level(is_high);
            return;
        case Irqchip::None: user_->set_irq(gsi, is_high); return;
        case Irqchip::Full: break;
    }
    // Pin and chip exist: a refusal would be our bug.
    // no guest: KVM_IRQ_LINE refuses only without an irqchip in the kernel, and create() made one.
    if (gsi < layout::kIoApicPins) VERIFY(vm_.set_irq_line(gsi, is_high).has_value());
}

void Interrupts::set_level_triggered(std::span<const u8> irqs) {
    if (kind_ != Irqchip::Full) return;
    u16 lines = 0;
    for (const u8 irq : irqs) lines |= static_cast<u16>(1U << irq);
    // A guest that uses the IOAPIC never notices a refusal; one with the 8259s may lose a shared interrupt.
    const Result<void> set = vm_.set_pic_level_triggered(lines);
    if (!set) log::warning("the 8259s take PCI's interrupts as edges: " + set.error().message());
}

std::optional<u32> Interrupts::allocate_msi() {
    const Lock guard(mutex_);
    if (msis_.size() == kMsisMax) return std::nullopt;
    msis_.emplace_back();
    return static_cast<u32>(msis_.size() - 1);
}

Result<void> Interrupts::route_msi(u32 index, u64 address, u32 data) {
    const Lock guard(mutex_);
    // no guest: indices are allocate_msi()'s or the test device's two.
    VERIFY(index < msis_.size());
    Msi& msi = msis_[index];
    if (msi.is_routed && msi.address == address && msi.data == data) return {};
    const Msi before = msi;
    msi = {true, address, data};
    Result<void> installed = install_routes();
    if (!installed) msi = before;
    return installed;
}

InterruptsState Interrupts::save() {
    InterruptsState state;
    state.is_serial_line_high = serial_line_.is_high();
    if (serial_) state.io_apic = serial_->save();
    if (user_) {
        state.pic = user_->save();
        state.is_vcpu_halted = user_->is_halted();
    }
    return state;
}

bool Interrupts::restore(const InterruptsState& state) {
    if (state.io_apic.has_value() != serial_.has_value() || state.pic.has_value() != (user_ != nullptr))
        return false;
    if (serial_ && !serial_->restore(*state.io_apic)) return false;
    if (user_ && !user_->restore(*state.pic)) return false;
    if (user_) user_->set_halted(state.is_vcpu_halted);
    // The controllers' saved state includes its level.
    serial_line_.restore(state.is_serial_line_high);
    return true;
}

void Interrupts::GsiLine::set_level(bool is_high) {
    if (is_high == is_high_) return;
    is_high_ = is_high;
    interrupts_.set_gsi(gsi_, is_high);
}

}  // namespace mayfly
