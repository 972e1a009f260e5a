// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/kvm_vm.h"

#include <algorithm>

#include "vmm/error/verify.h"
#include "vmm/kvm/counted_table.h"
#include "vmm/kvm/ioctl.h"

namespace mayfly {

namespace {

constexpr std::size_t kRoutesMax = 512;

kvm_ioeventfd io_event(const EventFd& event, const IoEventPlace& place, u32 flags) {
    kvm_ioeventfd request{};
    request.addr = place.address;
    request.len = place.size_bytes;
    request.fd = event.fd().get();
    request.flags = flags;
    if (place.is_port) request.flags |= KVM_IOEVENTFD_FLAG_PIO;
    if (place.match) {
        request.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
        request.datamatch = *place.match;
    }
    return request;
}

kvm_coalesced_mmio_zone port_zone(u16 port) {
    kvm_coalesced_mmio_zone zone{};
    zone.addr = port;
    zone.size = 1;
    zone.pio = 1;
    return zone;
}

}  // namespace

int KvmVm::check(int capability) const { return KVM_IOCTL(fd_, KVM_CHECK_EXTENSION, capability).value_or(0); }

Result<void> KvmVm::enable(u32 capability, u64 argument) {
    kvm_enable_cap request{};
    request.cap = capability;
    request.args[0] = argument;
    TRY_VOID(KVM_IOCTL(fd_, KVM_ENABLE_CAP, &request));
    return {};
}

Result<void> KvmVm::set_memory(u32 slot, const GuestRegion& region) { return set_region(slot, region, 0); }

Result<void> KvmVm::set_readonly_memory(u32 slot, const GuestRegion& region) {
    return set_region(slot, region, KVM_MEM_READONLY);
}

Result<void> KvmVm::set_region(u32 slot, const GuestRegion& region, u32 flags) {
    kvm_userspace_memory_region request{};
    request.slot = slot;
    request.flags = flags;
    request.guest_phys_addr = region.base.value;
    request.memory_size = region.size_bytes;
    // SAFETY: the kernel takes the host address as an integer; GuestRam outlives the VM.
    request.userspace_addr = reinterpret_cast<std::uintptr_t>(region.host);
    TRY_VOID(KVM_IOCTL(fd_, KVM_SET_USER_MEMORY_REGION, &request));
    return {};
}

Result<void> KvmVm::set_tss_address(Gpa tss, Gpa identity_map) {
    u64 identity = identity_map.value;
    TRY_VOID(KVM_IOCTL(fd_, KVM_SET_IDENTITY_MAP_ADDR, &identity));
    TRY_VOID(KVM_IOCTL(fd_, KVM_SET_TSS_ADDR, tss.value));
    return {};
}

Result<void> KvmVm::set_tsc_khz(u32 khz) {
    TRY_VOID(KVM_IOCTL(fd_, KVM_SET_TSC_KHZ, u64{khz}));
    return {};
}

Result<void> KvmVm::create_split_irqchip(u32 ioapic_pins) {
    Result<void> enabled = enable(KVM_CAP_SPLIT_IRQCHIP, ioapic_pins);
    if (!enabled)
        return fail(Error::host("this KVM has no split irqchip: " + enabled.error().message())
                        .hint("needs Linux 4.4 or newer; --profile legacy works without"));
    return {};
}

Result<void> KvmVm::create_irqchip() {
    TRY_VOID(KVM_IOCTL(fd_, KVM_CREATE_IRQCHIP, 0));
    return {};
}

Result<void> KvmVm::create_pit() {
    kvm_pit_config config{};
    config.flags = KVM_PIT_SPEAKER_DUMMY;
    TRY_VOID(KVM_IOCTL(fd_, KVM_CREATE_PIT2, &config));
    return {};
}

Result<void> KvmVm::stop_pit_reinjection() {
    kvm_reinject_control reinject{};
    reinject.pit_reinject = 0;
    TRY_VOID(KVM_IOCTL(fd_, KVM_REINJECT_CONTROL, &reinject));
    return {};
}

Result<void> KvmVm::set_routes(std::span<const kvm_irq_routing_entry> routes) {
    VERIFY(routes.size() <= kRoutesMax);
    CountedTable<kvm_irq_routing_entry, kRoutesMax> table;
    table.count = static_cast<u32>(routes.size());
    std::copy(routes.begin(), routes.end(), table.entries.begin());
    TRY_VOID(kvm_ioctl(fd_, kSetGsiRouting, "KVM_SET_GSI_ROUTING", &table));
    return {};
}

Result<void> KvmVm::set_pic_level_triggered(u16 lines) {
    for (const u32 chip : {u32{KVM_IRQCHIP_PIC_MASTER}, u32{KVM_IRQCHIP_PIC_SLAVE}}) {
        kvm_irqchip state{};
        state.chip_id = chip;
        TRY_VOID(KVM_IOCTL(fd_, KVM_GET_IRQCHIP, &state));
        state.chip.pic.elcr = static_cast<u8>(chip == KVM_IRQCHIP_PIC_MASTER ? lines : lines >> 8);
        TRY_VOID(KVM_IOCTL(fd_, KVM_SET_IRQCHIP, &state));
    }
    return {};
}

Result<void> KvmVm::set_irq_line(u32 gsi, bool is_high) {
    kvm_irq_level level{};
    level.irq = gsi;
    level.level = is_high ? 1 : 0;
    TRY_VOID(KVM_IOCTL(fd_, KVM_IRQ_LINE, &level));
    return {};
}

Result<MsiResult> KvmVm::signal_msi(u64 address, u32 data) {
    kvm_msi msi{};
    msi.address_lo = static_cast<u32>(address);
    msi.address_hi = static_cast<u32>(address >> 32);
    msi.data = data;
    const int delivered = TRY(KVM_IOCTL(fd_, KVM_SIGNAL_MSI, &msi));
    return delivered > 0 ? MsiResult::Delivered : MsiResult::Blocked;
}

Result<void> KvmVm::attach_irqfd(const EventFd& event, u32 gsi) {
    kvm_irqfd request{};
    request.fd = static_cast<u32>(event.fd().get());
    request.gsi = gsi;
    TRY_VOID(KVM_IOCTL(fd_, KVM_IRQFD, &request));
    return {};
}

Result<void> KvmVm::detach_irqfd(const EventFd& event, u32 gsi) {
    kvm_irqfd request{};
    request.fd = static_cast<u32>(event.fd().get());
    request.gsi = gsi;
    request.flags = KVM_IRQFD_FLAG_DEASSIGN;
    TRY_VOID(KVM_IOCTL(fd_, KVM_IRQFD, &request));
    return {};
}

Result<void> KvmVm::flush_irqfd(const EventFd& event, u32 gsi) {
    // Detaching waits for the kernel's worker; attaching checks for signals that came meanwhile.
    TRY_VOID(detach_irqfd(event, gsi));
    return attach_irqfd(event, gsi);
}

Result<void> KvmVm::attach_io_event(const EventFd& event, const IoEventPlace& place) {
    kvm_ioeventfd request = io_event(event, place, 0);
    TRY_VOID(KVM_IOCTL(fd_, KVM_IOEVENTFD, &request));
    return {};
}

Result<void> KvmVm::detach_io_event(const EventFd& event, const IoEventPlace& place) {
    kvm_ioeventfd request = io_event(event, place, KVM_IOEVENTFD_FLAG_DEASSIGN);
    TRY_VOID(KVM_IOCTL(fd_, KVM_IOEVENTFD, &request));
    return {};
}

Result<void> KvmVm::coalesce_port(u16 port) {
    kvm_coalesced_mmio_zone zone = port_zone(port);
    TRY_VOID(KVM_IOCTL(fd_, KVM_REGISTER_COALESCED_MMIO, &zone));
    return {};
}

Result<void> KvmVm::uncoalesce_port(u16 port) {
    kvm_coalesced_mmio_zone zone = port_zone(port);
    TRY_VOID(KVM_IOCTL(fd_, KVM_UNREGISTER_COALESCED_MMIO, &zone));
    return {};
}

Result<void> KvmVm::coalesce_mmio(Gpa base, u32 size_bytes) {
    kvm_coalesced_mmio_zone zone{};
    zone.addr = base.value;
    zone.size = size_bytes;
    TRY_VOID(KVM_IOCTL(fd_, KVM_REGISTER_COALESCED_MMIO, &zone));
    return {};
}

Result<KvmVcpu> KvmVm::create_vcpu(u32 id) const {
    const int fd = TRY(KVM_IOCTL(fd_, KVM_CREATE_VCPU, static_cast<unsigned long>(id)));
    UniqueFd owned = UniqueFd::adopt(fd);
    Mapping run = TRY(Mapping::shared(owned, run_bytes_));
    return KvmVcpu(id, std::move(owned), std::move(run));
}

Result<UniqueFd> KvmVm::stats_fd() const {
    const int fd = TRY(KVM_IOCTL(fd_, KVM_GET_STATS_FD, 0));
    return UniqueFd::adopt(fd);
}

}  // namespace mayfly
