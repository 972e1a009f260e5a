// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/state/lapic_timer.h"

#include <array>
#include <csignal>
#include <cstring>
#include <ctime>

#include <pthread.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/kvm/ioctl.h"

namespace mayfly {

namespace {

constexpr std::size_t kLvtTimer = 0x320;
constexpr std::size_t kInitialCount = 0x380;
constexpr std::size_t kCurrentCount = 0x390;
constexpr std::size_t kDivide = 0x3e0;
/// Eight registers each, a bit a vector.
constexpr std::size_t kTriggerMode = 0x180;
constexpr std::size_t kRequests = 0x200;
constexpr std::size_t kRegisterStride = 0x10;
constexpr u32 kVectorMask = 0xff;
constexpr u32 kVectorLeast = 16;
constexpr u32 kMasked = 1U << 16;
constexpr u32 kModeMask = 3U << 17;
constexpr u32 kModeOneShot = 0;
constexpr u32 kModePeriodic = 1U << 17;
/// Of KVM's APIC bus, unless it is told otherwise.
constexpr u64 kBusCycleNs = 1;
constexpr u32 kHostTimerLateUs = 1000;

/// Never delivered: the signal is blocked, and taken again.
constexpr int kSignal = SIGUSR2;
/// struct kvm_signal_mask with its set, which is as long as the kernel's.
struct SignalMask {
    u32 len = sizeof(u64);
    std::array<u8, sizeof(u64)> blocked{};
};
constexpr unsigned long kSetSignalMask = _IOC(_IOC_WRITE, KVMIO, 0x8b, sizeof(u32));

u32 register_of(const kvm_lapic_state& lapic, std::size_t offset) {
    u32 value = 0;
    std::memcpy(&value, lapic.regs + offset, sizeof value);
    return value;
}

void set_register(kvm_lapic_state& lapic, std::size_t offset, u32 value) {
    std::memcpy(lapic.regs + offset, &value, sizeof value);
}

/// 1 to 128. Bits 0, 1 and 3 of the register count from "by 2"; all set is "by 1".
u32 divider_of(const kvm_lapic_state& lapic) {
    const u32 value = register_of(lapic, kDivide);
    const u32 step = (value & 3) | (value >> 1 & 4);
    return 1U << ((step + 1) & 7);
}

/// Like an edge on the timer's vector.
void request_interrupt(kvm_lapic_state& lapic) {
    const u32 entry = register_of(lapic, kLvtTimer);
    const u32 vector = entry & kVectorMask;
    if ((entry & kMasked) != 0 || vector < kVectorLeast) return;
    const std::size_t place = vector / 32 * kRegisterStride;
    const u32 bit = 1U << vector % 32;
    set_register(lapic, kRequests + place, register_of(lapic, kRequests + place) | bit);
    set_register(lapic, kTriggerMode + place, register_of(lapic, kTriggerMode + place) & ~bit);
}

Result<kvm_lapic_state> lapic_of(const KvmVcpu& vcpu) {
    kvm_lapic_state lapic{};
    TRY_VOID(KVM_IOCTL(vcpu.fd(), KVM_GET_LAPIC, &lapic));
    return lapic;
}

/// One signal is blocked on this thread and pending, for as long as this lives.
class PendingSignal {
  public:
    PendingSignal() {
        ::sigemptyset(&set_);
        ::sigaddset(&set_, kSignal);
        ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
        ::pthread_kill(::pthread_self(), kSignal);
    }
    PendingSignal(const PendingSignal&) = delete;
    PendingSignal& operator=(const PendingSignal&) = delete;
    ~PendingSignal() {
        const timespec now{};
        (void)::sigtimedwait(&set_, nullptr, &now);
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

  private:
    sigset_t set_{};
    sigset_t before_{};
};

/// Runs KVM_RUN with a signal pending: up to guest entry, where expired timers are delivered, and back.
Result<void> deliver_expired(const KvmVcpu& vcpu) {
    // A triple fault would end this KVM_RUN instead of the guest's; after one, expired timers do not matter.
    kvm_vcpu_events events{};
    TRY_VOID(KVM_IOCTL(vcpu.fd(), KVM_GET_VCPU_EVENTS, &events));
    if ((events.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) != 0 && events.triple_fault.pending != 0) return {};
    SignalMask all_but_one;
    all_but_one.blocked.fill(0xff);
    all_but_one.blocked[(kSignal - 1) / 8] &= static_cast<u8>(~(1U << (kSignal - 1) % 8));
    TRY_VOID(kvm_ioctl(vcpu.fd(), kSetSignalMask, "KVM_SET_SIGNAL_MASK", &all_but_one));
    const PendingSignal pending;
    kvm_run& run = vcpu.run_page();
    // A kick during the pause stays pending until the vCPU goes on.
    const bool was_kicked = run.immediate_exit != 0;
    set_immediate_exit(run, false);
    const int status = ::ioctl(vcpu.fd().get(), KVM_RUN, 0);
    const int error = errno;
    if (was_kicked) set_immediate_exit(run, true);
    TRY_VOID(kvm_ioctl(vcpu.fd(), kSetSignalMask, "KVM_SET_SIGNAL_MASK", nullptr));
    if (status == 0)
        return fail(Error::host(fmt::format("a paused vCPU exited, reason {}", u32{run.exit_reason})));
    if (error != EINTR) return fail(Error::os("KVM_RUN of a paused vCPU", error));
    return {};
}

}  // namespace

Result<kvm_lapic_state> settled_lapic(const KvmVcpu& vcpu, bool may_hide_expiry) {
    // A timer that fires between a delivery and the check is delivered by the next round. A periodic timer
    // may do so each time; that costs at most one of its interrupts.
    constexpr int kRoundsMax = 8;
    kvm_lapic_state lapic = TRY(lapic_of(vcpu));
    for (int round = 0; round < kRoundsMax; ++round) {
        const u32 before = register_of(lapic, kCurrentCount);
        TRY_VOID(deliver_expired(vcpu));
        lapic = TRY(lapic_of(vcpu));
        const u32 after = register_of(lapic, kCurrentCount);
        const bool has_fired_since = before != 0 && (after == 0 || after > before);
        if (!has_fired_since) break;
    }
    const bool has_run_down = (register_of(lapic, kLvtTimer) & kModeMask) == kModeOneShot &&
                              register_of(lapic, kInitialCount) != 0 &&
                              register_of(lapic, kCurrentCount) == 0;
    if (!has_run_down || may_hide_expiry) return lapic;
    // The count is 0 as soon as its time has come; the host's timer may be about to.
    ::usleep(kHostTimerLateUs);
    TRY_VOID(deliver_expired(vcpu));
    lapic = TRY(lapic_of(vcpu));
    set_register(lapic, kInitialCount, 0);
    return lapic;
}

kvm_lapic_state lapic_later(const kvm_lapic_state& lapic, u64 away_ns) {
    kvm_lapic_state later = lapic;
    const u32 mode = register_of(lapic, kLvtTimer) & kModeMask;
    const u32 current = register_of(lapic, kCurrentCount);
    if (current == 0 || (mode != kModeOneShot && mode != kModePeriodic)) return later;
    const u64 count_ns = divider_of(lapic) * kBusCycleNs;
    const u64 left_ns = current * count_ns;
    if (away_ns < left_ns) {
        // Better late than early.
        set_register(later, kCurrentCount, static_cast<u32>((left_ns - away_ns + count_ns - 1) / count_ns));
        return later;
    }
    request_interrupt(later);
    const u64 period_ns = register_of(lapic, kInitialCount) * count_ns;
    if (mode == kModePeriodic && period_ns != 0) {
        const u64 next_ns = period_ns - (away_ns - left_ns) % period_ns;
        set_register(later, kCurrentCount, static_cast<u32>((next_ns + count_ns - 1) / count_ns));
    } else {
        set_register(later, kCurrentCount, 0);
        set_register(later, kInitialCount, 0);
    }
    return later;
}

}  // namespace mayfly
