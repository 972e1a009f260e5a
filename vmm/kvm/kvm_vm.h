// SPDX-License-Identifier: Apache-2.0
// KvmVm: one virtual machine. RAII over the VM descriptor and its ioctls; no policy.
//
// The order of calls decides the cost: every memory region comes before the irqchip, and io-bus users
// (ioeventfd, coalesced ports) come last or never, because each of them makes the next memory region, and the
// VM's end, wait for a grace period of milliseconds.
// Thread: any; the kernel serialises.
// Spec: Linux Documentation/virt/kvm/api.rst, "API description", VM ioctls.
#pragma once

#include <optional>
#include <span>

#include <linux/kvm.h>

#include "vmm/error/result.h"
#include "vmm/kvm/kvm_vcpu.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/os/event_fd.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

enum class MsiResult : u8 {
    Delivered,
    Blocked,  ///< the guest masks it or no vCPU took it
};

/// Where a write signals an event inside the kernel.
struct IoEventPlace {
    u64 address = 0;
    bool is_port = false;
    u8 size_bytes = 0;         ///< 0: any width
    std::optional<u16> match;  ///< only when this value is written; with a size
};

class KvmVm {
  public:
    KvmVm(UniqueFd fd, std::size_t run_bytes) : fd_(std::move(fd)), run_bytes_(run_bytes) {}

    [[nodiscard]] int check(int capability) const;
    [[nodiscard]] const UniqueFd& fd() const { return fd_; }
    Result<void> enable(u32 capability, u64 argument);

    /// Makes `region` guest RAM. Slots are numbered from 0 by the caller.
    Result<void> set_memory(u32 slot, const GuestRegion& region);
    /// The same for memory that the guest only reads; its writes exit as KVM_EXIT_MMIO.
    Result<void> set_readonly_memory(u32 slot, const GuestRegion& region);
    /// Pages that KVM wants on Intel hosts for real mode; harmless elsewhere.
    Result<void> set_tss_address(Gpa tss, Gpa identity_map);

    /// The TSC rate of vCPUs that are made from now on. Errors: Os (ENOTTY before Linux 5.18).
    Result<void> set_tsc_khz(u32 khz);

    // --- interrupt controllers ---

    /// LAPICs in the kernel, no PIC, no IOAPIC; `ioapic_pins` GSIs are kept for one in user space.
    Result<void> create_split_irqchip(u32 ioapic_pins);
    /// LAPICs, IOAPIC and both 8259s in the kernel.
    Result<void> create_irqchip();
    /// The 8254 in the kernel; it also owns port 0x61. KVM makes it with reinjection on, which keeps AVIC
    /// off.
    Result<void> create_pit();
    /// Waits for a grace period of the interrupt routes, 15 ms on Linux 6.18.
    Result<void> stop_pit_reinjection();
    /// Replaces the whole routing table.
    Result<void> set_routes(std::span<const kvm_irq_routing_entry> routes);
    /// ELCR of both 8259s: bit n is line n. Before the guest runs.
    Result<void> set_pic_level_triggered(u16 lines);
    Result<void> set_irq_line(u32 gsi, bool is_high);
    /// KVM_SIGNAL_MSI. Errors: Os (no in-kernel irqchip: EINVAL).
    Result<MsiResult> signal_msi(u64 address, u32 data);
    Result<void> attach_irqfd(const EventFd& event, u32 gsi);
    Result<void> detach_irqfd(const EventFd& event, u32 gsi);
    /// Earlier signals of `event` have become interrupts when this returns: a worker of the kernel may be
    /// about to deliver one. Errors: Os; then the irqfd may be detached.
    Result<void> flush_irqfd(const EventFd& event, u32 gsi);

    // --- doorbells ---

    /// Writes to the place signal `event` inside the kernel, and do not exit.
    Result<void> attach_io_event(const EventFd& event, const IoEventPlace& place);
    Result<void> detach_io_event(const EventFd& event, const IoEventPlace& place);
    /// Byte writes to `port` are collected in the ring that KvmVcpu::coalesced_ring() shows.
    Result<void> coalesce_port(u16 port);
    Result<void> uncoalesce_port(u16 port);
    /// The same for writes to an address.
    Result<void> coalesce_mmio(Gpa base, u32 size_bytes);

    /// vCPU ids equal APIC ids: anything else switches APICv off.
    [[nodiscard]] Result<KvmVcpu> create_vcpu(u32 id) const;

    /// KVM_GET_STATS_FD (Linux 5.14). Errors: Os where the host has none.
    [[nodiscard]] Result<UniqueFd> stats_fd() const;

  private:
    Result<void> set_region(u32 slot, const GuestRegion& region, u32 flags);

    UniqueFd fd_;
    std::size_t run_bytes_;
};

}  // namespace mayfly
