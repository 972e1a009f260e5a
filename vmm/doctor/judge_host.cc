// SPDX-License-Identifier: Apache-2.0
// Sections host, i/o and memory.
#include <array>

#include <fmt/format.h>

#include "vmm/doctor/facts/parse.h"
#include "vmm/doctor/judge.h"
#include "vmm/error/ints.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

using Findings = std::vector<Finding>;

constexpr u64 kUnlimited = ~u64{0};
constexpr u64 kOpenFilesMin = 256;          // a few dozen per machine; room for disks and queues
constexpr u32 kLazyRecoveryRelease = 6012;  // from here on KVM_CREATE_VM starts no kernel thread

/// A hypervisor's CPUID signature in words.
std::string hypervisor_name(std::string_view signature) {
    struct Name {
        std::string_view signature;
        std::string_view name;
    };
    constexpr std::array kNames{Name{"KVMKVMKVM", "KVM"}, Name{"Microsoft Hv", "Hyper-V"},
                                Name{"VMwareVMware", "VMware"}, Name{"XenVMMXenVMM", "Xen"},
                                Name{"TCGTCGTCGTCG", "QEMU without KVM"}};
    for (const Name& known : kNames) {
        if (known.signature == signature) return std::string(known.name);
    }
    return fmt::format("\"{}\"", signature);
}

void judge_cpu(const HostFacts& host, Findings& out) {
    const CpuFacts& cpu = host.cpu;
    const std::string smt = !cpu.has_smt ? "" : *cpu.has_smt ? ", SMT on" : ", no SMT";
    out.push_back({Section::Host, Severity::Ok, "processor",
                   fmt::format("{}, {} CPU{}{}", cpu.model.empty() ? "unknown" : cpu.model, cpu.online,
                               cpu.online == 1 ? "" : "s", smt),
                   ""});
    if (cpu.is_guest)
        out.push_back({Section::Host, Severity::Note, "virtual machine",
                       fmt::format("yes: this host is a guest of {}; exits cost more than on bare metal",
                                   hypervisor_name(cpu.hypervisor)),
                       ""});
    else
        out.push_back({Section::Host, Severity::Ok, "virtual machine", "no: bare metal", ""});
}

/// KVM_CREATE_VM before Linux 6.12 starts a kernel thread and moves it between cgroups, which waits for an
/// RCU grace period unless the cgroups favour such moves.
void judge_vm_creation(const HostFacts& host, Findings& out) {
    if (host.flavour == KvmFlavour::Unknown && !host.has_kvm_module) return;
    if (waits_for_kernel_thread(host)) {
        const std::string what = fmt::format(
            "before Linux 6.12 each one starts a kernel thread and may wait 10-70 ms {}; a {} cures "
            "it{} where the processor needs no such mitigation (times measured on Linux 6.1, 0.1 ms "
            "with either cure)",
            host.has_cgroup2 ? "to move it between cgroups" : "for it",
            host.has_cgroup2 ? "mount option" : "KVM parameter",
            host.has_cgroup2 ? ", and so does kvm.nx_huge_pages=never on the kernel's command line" : "");
        out.push_back({Section::Host, Severity::Problem, "VM creation", what,
                       host.has_cgroup2 ? "sudo mount -o remount,favordynmods /sys/fs/cgroup"
                                        : "echo never | sudo tee /sys/module/kvm/parameters/nx_huge_pages"});
        return;
    }
    const bool is_new = release_number(host.kernel_release) >= kLazyRecoveryRelease;
    out.push_back({Section::Host, Severity::Ok, "VM creation",
                   is_new                  ? "not slowed down by cgroups (since Linux 6.12)"
                   : host.has_favordynmods ? "cgroups are mounted with favordynmods"
                                           : "kvm.nx_huge_pages is never: no kernel thread",
                   ""});
}

std::string ring_list(const RingFeatures& ring, bool is_present) {
    std::string list;
    for (const RingFeature& feature : ring.features) {
        if (feature.is_present != is_present) continue;
        if (!list.empty()) list += ", ";
        list += feature.name;
        if (!is_present) list += fmt::format(" (Linux {})", feature.since);
    }
    return list;
}

void judge_ring(const HostFacts& host, Findings& out) {
    if (!host.ring.is_available()) {
        // 1 forbids io_uring to processes outside a group, 2 to all; a container's seccomp filter looks the
        // same otherwise.
        const bool is_by_sysctl = host.io_uring_disabled == "1" || host.io_uring_disabled == "2";
        const Error error = Error::os("io_uring_setup", host.ring.setup_errno);
        out.push_back(
            {Section::Io, Severity::Problem, "io_uring",
             fmt::format("{}: {}", error.message(),
                         is_by_sysctl ? "kernel.io_uring_disabled is " + host.io_uring_disabled
                                      : "not in this kernel, or filtered by the container's seccomp profile"),
             is_by_sysctl ? "sudo sysctl kernel.io_uring_disabled=0" : ""});
        return;
    }
    out.push_back({Section::Io, Severity::Ok, "io_uring",
                   fmt::format("{} operations; {}", host.ring.operation_count, ring_list(host.ring, true)),
                   ""});
    const std::string missing = ring_list(host.ring, false);
    if (!missing.empty())
        out.push_back({Section::Io, Severity::Note, "io_uring", "this kernel lacks " + missing, ""});
}

void judge_tap(const HostFacts& host, Findings& out) {
    if (!host.has_tun) {
        out.push_back({Section::Io, Severity::Note, "tap devices", "no /dev/net/tun: --net cannot work",
                       host.is_container ? "docker run --device /dev/net/tun --cap-add NET_ADMIN IMAGE"
                                         : "sudo modprobe tun"});
    } else if (host.tun_open_errno != 0) {
        out.push_back(
            {Section::Io, Severity::Note, "tap devices",
             Error::os("open", host.tun_open_errno).about("/dev/net/tun").message() + ": --net cannot work",
             host.tun_open_errno == ENODEV ? "sudo modprobe tun" : "sudo chmod 666 /dev/net/tun"});
    } else if (!host.has_net_admin) {
        out.push_back(
            {Section::Io, Severity::Note, "tap devices",
             "/dev/net/tun opens, but without CAP_NET_ADMIN only a tap that was made for you can be used",
             "sudo ip tuntap add dev tap0 mode tap user $USER"});
    } else {
        out.push_back({Section::Io, Severity::Ok, "tap devices",
                       "/dev/net/tun opens, CAP_NET_ADMIN to create them", ""});
    }
}

std::string print_limit(u64 bytes) { return bytes == kUnlimited ? "unlimited" : print_size(bytes); }

}  // namespace

bool waits_for_kernel_thread(const HostFacts& host) {
    return release_number(host.kernel_release) < kLazyRecoveryRelease && !host.has_favordynmods &&
           host.parameters.nx_huge_pages != "never";
}

void judge_host(const Facts& facts, Findings& out) {
    const HostFacts& host = facts.host;
    out.push_back({Section::Host, Severity::Ok, "kernel", "Linux " + host.kernel_release, ""});
    judge_cpu(host, out);
    if (host.is_container) out.push_back({Section::Host, Severity::Ok, "container", "yes", ""});
    judge_vm_creation(host, out);
}

void judge_io(const Facts& facts, Findings& out) {
    judge_ring(facts.host, out);
    judge_tap(facts.host, out);
    const u64 files = facts.host.open_files_limit;
    out.push_back({Section::Io, files >= kOpenFilesMin ? Severity::Ok : Severity::Problem, "open files",
                   fmt::format("limit {}{}", files,
                               files >= kOpenFilesMin ? "" : ": too few for a machine with disks and queues"),
                   files >= kOpenFilesMin ? "" : "ulimit -n 4096"});
}

void judge_memory(const Facts& facts, Findings& out) {
    const HostFacts& host = facts.host;
    const std::string& pages = host.transparent_huge_pages;
    if (pages.empty() || pages == "never") {
        out.push_back(
            {Section::Memory, Severity::Note, "huge pages",
             pages.empty() ? "this kernel has no transparent huge pages, so guest RAM comes in 4 KiB pages"
                           : "transparent huge pages are off, so guest RAM comes in 4 KiB pages",
             pages.empty() ? "" : "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"});
    } else {
        out.push_back({Section::Memory, Severity::Ok, "huge pages", "transparent: " + pages, ""});
    }
    out.push_back({Section::Memory, Severity::Ok, "locked memory",
                   "limit " + print_limit(host.memory_lock_limit_bytes) + "; mayfly pins no guest RAM", ""});
    if (host.overcommit_memory == "2") {
        out.push_back({Section::Memory, Severity::Note, "overcommit",
                       "vm.overcommit_memory is 2: --memory counts in full, touched or not",
                       "sudo sysctl vm.overcommit_memory=0"});
    } else if (!host.overcommit_memory.empty()) {
        out.push_back({Section::Memory, Severity::Ok, "overcommit",
                       "vm.overcommit_memory is " + host.overcommit_memory, ""});
    }
}

}  // namespace mayfly
