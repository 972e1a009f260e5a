// SPDX-License-Identifier: Apache-2.0
#include "vmm/doctor/facts/host_facts.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cpuid.h>
#include <cstring>
#include <grp.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/doctor/facts/parse.h"
#include "vmm/os/huge_pages.h"
#include "vmm/os/text_file.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

namespace {

constexpr const char* kKvmDevice = "/dev/kvm";
constexpr const char* kTunDevice = "/dev/net/tun";
constexpr std::size_t kLongFileBytes = KiB(256);
constexpr u32 kCapNetAdmin = 12;  // Linux include/uapi/linux/capability.h

int open_errno(const char* path) {
    const UniqueFd fd = UniqueFd::adopt(::open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK));
    return fd.valid() ? 0 : errno;
}

/// Signature of the hypervisor below us: CPUID 0x40000000, EBX, ECX, EDX.
std::string hypervisor_signature() {
    u32 eax = 0;
    std::array<u32, 3> words{};
    __cpuid(0x4000'0000, eax, words[0], words[1], words[2]);
    std::array<char, sizeof words> text{};
    std::memcpy(text.data(), words.data(), sizeof words);
    std::string signature(text.data(), ::strnlen(text.data(), text.size()));
    const auto is_odd = [](char c) { return c < 0x20 || c > 0x7e; };
    std::replace_if(signature.begin(), signature.end(), is_odd, '?');
    return signature;
}

CpuFacts gather_cpu() {
    CpuFacts cpu;
    const std::string info = read_text_file("/proc/cpuinfo", KiB(16));
    const std::string_view flags = proc_field(info, "flags");
    const std::string_view vmx_flags = proc_field(info, "vmx flags");
    cpu.vendor = proc_field(info, "vendor_id");
    cpu.model = proc_field(info, "model name");
    cpu.online = static_cast<u32>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
    const std::string smt = read_text_file("/sys/devices/system/cpu/smt/active", 8);
    if (!smt.empty()) cpu.has_smt = smt == "1";
    cpu.has_vmx = has_word(flags, "vmx");
    cpu.has_svm = has_word(flags, "svm");
    cpu.has_posted_interrupts = has_word(vmx_flags, "posted_intr") || has_word(flags, "avic");
    cpu.has_x2avic = has_word(flags, "x2avic");
    cpu.has_ipi_virtualisation = has_word(vmx_flags, "ipi_virt") || has_word(flags, "avic");
    cpu.has_invariant_tsc = has_word(flags, "constant_tsc") && has_word(flags, "nonstop_tsc");
    u32 eax = 0;
    u32 ebx = 0;
    u32 ecx = 0;
    u32 edx = 0;
    // CPUID 1, ECX bit 31: reserved by every processor maker for hypervisors to set.
    cpu.is_guest = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & u32{1} << 31) != 0;
    if (cpu.is_guest) cpu.hypervisor = hypervisor_signature();
    return cpu;
}

ModuleParameters gather_parameters() {
    const auto read = [](const char* path) { return read_text_file(path, 32); };
    ModuleParameters found;
    found.enable_apicv = read("/sys/module/kvm_intel/parameters/enable_apicv");
    found.enable_ipiv = read("/sys/module/kvm_intel/parameters/enable_ipiv");
    if (found.enable_ipiv.empty()) found.enable_ipiv = read("/sys/module/kvm_amd/parameters/enable_ipiv");
    found.avic = read("/sys/module/kvm_amd/parameters/avic");
    found.nested = read("/sys/module/kvm_intel/parameters/nested");
    if (found.nested.empty()) found.nested = read("/sys/module/kvm_amd/parameters/nested");
    found.halt_poll_ns = read("/sys/module/kvm/parameters/halt_poll_ns");
    found.nx_huge_pages = read("/sys/module/kvm/parameters/nx_huge_pages");
    found.tsc_tolerance_ppm = read("/sys/module/kvm/parameters/tsc_tolerance_ppm");
    for (const VirtualisationParameter& parameter : kVirtualisationParameters) {
        const std::string path =
            fmt::format("/sys/module/{}/parameters/{}", parameter.module, parameter.name);
        const std::string value = read(path.c_str());
        if (value == "N" || value == "0") found.switched_off.push_back(parameter);
    }
    return found;
}

bool is_in_group(gid_t group) {
    if (::getegid() == group) return true;
    std::array<gid_t, 1024> groups{};
    const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
    return count > 0 && std::find(groups.begin(), groups.begin() + count, group) != groups.begin() + count;
}

KvmDevice gather_kvm_device() {
    KvmDevice device;
    struct stat status {};
    if (::stat(kKvmDevice, &status) < 0) {
        device.open_errno = errno;
        // A directory that we may not search still holds the device.
        device.exists = errno == EACCES;
        return device;
    }
    device.exists = true;
    device.mode = status.st_mode & 07777;
    device.open_errno = open_errno(kKvmDevice);
    device.is_member = is_in_group(status.st_gid);
    // Not getgrgid(): a static binary has no name services.
    const std::string groups = read_text_file("/etc/group", kLongFileBytes);
    const std::string users = read_text_file("/etc/passwd", kLongFileBytes);
    const std::optional<GroupLine> group = find_group(groups, status.st_gid);
    device.group = group ? std::string(group->name) : std::to_string(status.st_gid);
    const std::string_view user = find_user(users, ::getuid());
    device.is_listed = group && !user.empty() && has_word(group->members, user);
    return device;
}

bool has_capability(u32 bit) {
    const std::string status = read_text_file("/proc/self/status");
    const std::string_view text = proc_field(status, "CapEff");
    u64 effective = 0;
    std::from_chars(text.data(), text.data() + text.size(), effective, 16);
    return (effective & u64{1} << bit) != 0;
}

u64 soft_limit(decltype(RLIMIT_NOFILE) resource) {
    rlimit limit{};
    return ::getrlimit(resource, &limit) == 0 ? u64{limit.rlim_cur} : 0;
}

}  // namespace

HostFacts gather_host() {
    HostFacts host;
    utsname name{};
    if (::uname(&name) == 0) host.kernel_release = name.release;
    host.flavour = detect_flavour();
    host.has_kvm_module = path_exists("/sys/module/kvm");
    host.is_container = path_exists("/.dockerenv") || path_exists("/run/.containerenv");
    host.is_root = ::geteuid() == 0;
    host.cpu = gather_cpu();
    host.parameters = gather_parameters();
    host.kvm_device = gather_kvm_device();
    host.clocksource = read_text_file("/sys/devices/system/clocksource/clocksource0/current_clocksource", 64);
    host.clocksources_available =
        read_text_file("/sys/devices/system/clocksource/clocksource0/available_clocksource", 256);
    host.transparent_huge_pages = chosen_word(read_text_file(kHugePagesSetting, 128));
    host.overcommit_memory = read_text_file("/proc/sys/vm/overcommit_memory", 8);
    const CgroupMounts cgroups = parse_cgroup_mounts(read_text_file("/proc/self/mountinfo", kLongFileBytes));
    host.has_cgroup2 = cgroups.has_cgroup2_root;
    host.has_favordynmods = cgroups.has_favordynmods;
    host.memory_lock_limit_bytes = soft_limit(RLIMIT_MEMLOCK);
    host.open_files_limit = soft_limit(RLIMIT_NOFILE);
    host.has_tun = path_exists(kTunDevice);
    host.tun_open_errno = open_errno(kTunDevice);
    host.has_net_admin = has_capability(kCapNetAdmin);
    host.io_uring_disabled = read_text_file("/proc/sys/kernel/io_uring_disabled", 8);
    host.ring = detect_ring_features();
    return host;
}

}  // namespace mayfly
