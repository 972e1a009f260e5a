// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/snapshot/host_record.h"

#include <cpuid.h>
#include <cstring>

#include <sys/utsname.h>

#include <fmt/format.h>

#include "vmm/os/clock.h"
#include "vmm/os/text_file.h"
#include "vmm/snapshot/format/section_codec.h"

namespace mayfly {

namespace coded {

template <>
inline constexpr auto last_value<KvmFlavour> = KvmFlavour::Unknown;

}  // namespace coded

namespace {

constexpr u32 kTag = section_tag("HOST");
constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";
constexpr u32 kSteppingBits = 0xf;

std::string vendor() {
    u32 words[4]{};
    __cpuid(0, words[0], words[1], words[2], words[3]);
    const u32 ordered[3]{words[1], words[3], words[2]};
    char text[sizeof ordered];
    std::memcpy(text, ordered, sizeof ordered);
    return {text, sizeof text};
}

u32 signature() {
    u32 eax = 0;
    u32 ebx = 0;
    u32 ecx = 0;
    u32 edx = 0;
    __cpuid(1, eax, ebx, ecx, edx);
    return eax;
}

}  // namespace

template <typename Coder>
void fields(Coder& coder, coded::As<HostRecord> auto& record) {
    auto& [maker, kernel, boot_id, flavour, vendor_name, processor, made_seconds] = record;
    coder(maker, kernel, boot_id, flavour, vendor_name, processor, made_seconds);
}

HostRecord this_host(KvmFlavour flavour, std::string maker) {
    utsname name{};
    (void)::uname(&name);
    return {.maker = std::move(maker),
            .kernel = name.release,
            .boot_id = read_text_file(kBootId, 64),
            .flavour = flavour,
            .vendor = vendor(),
            .signature = signature(),
            .made_seconds = wall_seconds()};
}

Section encode(const HostRecord& record) { return to_section(kTag, record); }

Result<HostRecord> decode_host_record(std::span<const SectionView> sections) {
    return from_section<HostRecord>(sections, kTag);
}

std::string print_processor(const HostRecord& host) {
    // Intel SDM volume 2, CPUID: "Version Information Returned by CPUID in EAX".
    const u32 family = (host.signature >> 8 & 0xf) + (host.signature >> 20 & 0xff);
    const u32 model = (host.signature >> 4 & 0xf) | (host.signature >> 12 & 0xf0);
    return fmt::format("{} family {} model {} stepping {}", host.vendor, family, model,
                       host.signature & kSteppingBits);
}

Result<void> check_host(const HostRecord& made, const HostRecord& here) {
    if (made.flavour != here.flavour)
        return fail(Error::host(fmt::format("the snapshot was made with KVM's {}, and this host has {}",
                                            to_string(made.flavour), to_string(here.flavour)))
                        .hint("boot the guest here, and make a snapshot of that"));
    if (made.vendor != here.vendor || (made.signature & ~kSteppingBits) != (here.signature & ~kSteppingBits))
        return fail(Error::host(fmt::format("the snapshot was made on another processor: {}, and this is {}",
                                            print_processor(made), print_processor(here)))
                        .hint("boot the guest here, and make a snapshot of that"));
    if (made.boot_id != here.boot_id)
        return fail(Error::host("the snapshot was made before this host was started, or on another host: its "
                                "guest's clock cannot go on here")
                        .hint("boot the guest here, and make a snapshot of that"));
    return {};
}

}  // namespace mayfly
