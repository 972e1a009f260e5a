// SPDX-License-Identifier: Apache-2.0
#include "vmm/answer_cache/answer_cache.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <ctime>
#include <optional>
#include <span>
#include <type_traits>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm/kernel_cache/content_sum.h"
#include "vmm/kernel_cache/file_times.h"
#include "vmm/os/ownership.h"

/// The linker's note, a hash of the whole binary; null in a program that is linked otherwise.
extern "C" const std::byte build_id_note[] __attribute__((weak));

namespace mayfly {

namespace {

constexpr std::string_view kFileName = "/kvm-answers";
constexpr u64 kFormat = 0x3173'6e61'6d76'6b6d;  // "mkvmans1"
constexpr u64 kConfirmedNs = 1'000'000'000;
constexpr std::size_t kBuildIdBytes = 20;
/// ELF gABI "Note Section": three words, and the owner "GNU" with its NUL.
constexpr std::size_t kNoteHeaderBytes = 16;

struct FileStamp {
    u64 device = 0;
    u64 inode = 0;
    u64 modified_ns = 0;
    u64 changed_ns = 0;
};

struct Key {
    std::array<char, 36> boot_id{};  // as text: 8-4-4-4-12 digits
    std::array<std::byte, kBuildIdBytes> build{};
    FileStamp device;
    FileStamp module;
};

/// The entry's file: this, then the table as CpuidTable keeps it. `sum` is of all that follows it.
struct Header {
    u64 format = kFormat;
    u64 confirmed_ns = 0;  // since the host's boot
    u64 sum = 0;
    Key key;
    u32 run_bytes = 0;
    KvmFlavour flavour = KvmFlavour::Unknown;
    u8 has_hypercalls = 0;
    u8 has_hardware_ipi = 0;
    u8 has_avic = 0;
    u8 hide_x2apic = 0;
    u8 has_tsc_deadline = 0;
    std::array<u8, 6> reserved{};
};
// The header is written and summed as bytes: no hole may hold stale stack content.
static_assert(std::has_unique_object_representations_v<Header> && offsetof(Header, key) == 24);

u64 right_sum(const Header& header, const CpuidTable& table) {
    const auto bytes = std::as_bytes(std::span(&header, 1)).subspan(offsetof(Header, key));
    return content_sum(content_sum(0, bytes), table.file_bytes());
}

std::array<iovec, 2> parts(Header& header, std::span<std::byte> table) {
    return {iovec{&header, sizeof header}, iovec{table.data(), table.size()}};
}

u64 since_boot_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return time_ns(now);
}

FileStamp stamp_of(const struct stat& status) {
    return {.device = status.st_dev,
            .inode = status.st_ino,
            .modified_ns = time_ns(status.st_mtim),
            .changed_ns = time_ns(status.st_ctim)};
}

std::string_view module_name(KvmFlavour flavour) {
    switch (flavour) {
        case KvmFlavour::Vmx: return "/kvm_intel";
        case KvmFlavour::Svm: return "/kvm_amd";
        case KvmFlavour::Pvm: return "/kvm_pvm";
        case KvmFlavour::Unknown: return {};
    }
    return {};
}

/// The header that an entry of this flavour must have now. Empty where a part is unknown.
std::optional<Key> make_key(const AnswerPlaces& places, const UniqueFd& device, KvmFlavour flavour) {
    const std::string_view module = module_name(flavour);
    Key key;
    struct stat of_device {};
    struct stat of_module {};
    if (module.empty() || ::fstat(device.get(), &of_device) != 0 ||
        ::stat((places.modules + std::string(module)).c_str(), &of_module) != 0)
        return std::nullopt;
    const UniqueFd boot_id =
        UniqueFd::adopt(::openat(AT_FDCWD, places.boot_id.c_str(), O_RDONLY | O_CLOEXEC));
    if (!boot_id.valid() || ::read(boot_id.get(), key.boot_id.data(), key.boot_id.size()) !=
                                static_cast<ssize_t>(key.boot_id.size()))
        return std::nullopt;
    if (build_id_note != nullptr)
        std::ranges::copy(std::span(build_id_note + kNoteHeaderBytes, kBuildIdBytes), key.build.begin());
    key.device = stamp_of(of_device);
    key.module = stamp_of(of_module);
    return key;
}

bool is_same(const Key& one, const Key& other) {
    return std::ranges::equal(std::as_bytes(std::span(&one, 1)), std::as_bytes(std::span(&other, 1)));
}

}  // namespace

AnswerCache::AnswerCache(AnswerPlaces places, const UniqueFd& device) : places_(std::move(places)) {
    if (!has_directory()) return;
    // O_NONBLOCK, in case of a FIFO there.
    entry_ = UniqueFd::adopt(::openat(AT_FDCWD, (places_.directory + std::string(kFileName)).c_str(),
                                      O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (entry_.valid())
        read_entry(device);
    else if (errno != ENOENT)
        why_ = Error::os("open").message();
}

bool AnswerCache::has_directory() {
    struct stat status {};
    if (places_.directory.empty()) {
        why_ = "no runtime directory";
    } else if (::lstat(places_.directory.c_str(), &status) != 0) {
        if (errno != ENOENT) why_ = Error::os("stat").message();
    } else if (!S_ISDIR(status.st_mode)) {
        why_ = "is not a directory, or is a symbolic link";
    } else if (why_ = why_not_ours(status); why_.empty()) {
        return true;
    }
    return false;
}

void AnswerCache::read_entry(const UniqueFd& device) {
    Header header;
    // Its table need not be cleared.
    auto answers = std::make_unique_for_overwrite<KvmAnswers>();
    CpuidTable& table = answers->cpuid;
    const std::array<iovec, 2> into = parts(header, table.for_file_to_fill());
    const ssize_t got = ::readv(entry_.get(), into.data(), into.size());
    // Empty: another boot found the entry wrong, or writes it at this moment.
    if (got <= 0) return;
    if (static_cast<std::size_t>(got) < sizeof header + kCountedHeaderBytes || header.format != kFormat ||
        header.flavour > KvmFlavour::Unknown || !table.is_within_bounds() ||
        static_cast<std::size_t>(got) != sizeof header + table.file_bytes().size() ||
        header.sum != right_sum(header, table)) {
        why_ = "the entry is damaged, or of another format";
        return;
    }
    const std::optional<Key> key = make_key(places_, device, header.flavour);
    if (!key || !is_same(*key, header.key)) {
        why_ = "the entry is of another KVM, or another mayfly";
        return;
    }
    const u64 now_ns = since_boot_ns();
    is_due_ = header.confirmed_ns > now_ns || now_ns - header.confirmed_ns >= kConfirmedNs;
    answers->host = {.flavour = header.flavour,
                     .has_hypercalls = header.has_hypercalls != 0,
                     .has_hardware_ipi = header.has_hardware_ipi != 0,
                     .has_avic = header.has_avic != 0,
                     .hide_x2apic = header.hide_x2apic != 0};
    answers->run_bytes = header.run_bytes;
    answers->has_tsc_deadline = header.has_tsc_deadline != 0;
    answers_ = std::move(answers);
}

bool AnswerCache::store(std::unique_ptr<KvmAnswers> answers, const UniqueFd& device) {
    answers_ = std::move(answers);
    if (!entry_.valid()) {
        if (places_.directory.empty()) return false;
        if (::mkdir(places_.directory.c_str(), 0700) != 0 && errno != EEXIST) return false;
        if (!has_directory()) return false;
        entry_ = UniqueFd::adopt(::openat(AT_FDCWD, (places_.directory + std::string(kFileName)).c_str(),
                                          O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    }
    return entry_.valid() && write_entry(device);
}

bool AnswerCache::write_entry(const UniqueFd& device) {
    const std::optional<Key> key = make_key(places_, device, answers_->host.flavour);
    if (!key) return false;
    Header header;
    header.confirmed_ns = since_boot_ns();
    header.key = *key;
    header.run_bytes = answers_->run_bytes;
    header.flavour = answers_->host.flavour;
    header.has_hypercalls = answers_->host.has_hypercalls;
    header.has_hardware_ipi = answers_->host.has_hardware_ipi;
    header.has_avic = answers_->host.has_avic;
    header.hide_x2apic = answers_->host.hide_x2apic;
    header.has_tsc_deadline = answers_->has_tsc_deadline;
    header.sum = right_sum(header, answers_->cpuid);
    // In place: a reader in between finds a wrong sum.
    const std::size_t table_bytes = answers_->cpuid.file_bytes().size();
    const std::array<iovec, 2> from = parts(header, answers_->cpuid.for_file_to_fill().first(table_bytes));
    const auto size = static_cast<ssize_t>(sizeof header + table_bytes);
    return ::pwritev(entry_.get(), from.data(), from.size(), 0) == size &&
           ::ftruncate(entry_.get(), size) == 0;
}

void AnswerCache::confirm() const {
    const u64 now_ns = since_boot_ns();
    (void)::pwrite(entry_.get(), &now_ns, sizeof now_ns, offsetof(Header, confirmed_ns));
}

void AnswerCache::forget() const { (void)::ftruncate(entry_.get(), 0); }

}  // namespace mayfly
