// SPDX-License-Identifier: Apache-2.0
#include "vmm/kernel_cache/kernel_cache.h"

#include <cstdlib>
#include <utility>

#include <sys/auxv.h>

#include <fmt/format.h>

#include "vmm/error/verify.h"
#include "vmm/kernel_cache/cache_entry.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

/// Less is unpacked in the time that a file takes to be opened and checked, or nearly.
constexpr u64 kPayloadMin = MiB(1);
constexpr std::string_view kOff = "off";
constexpr std::string_view kSubdirectory = "/mayfly/kernels";

std::string variable(const char* name) {
    // A process with more rights than its user, by a set-user-ID bit or a file capability, does not let that
    // user choose where it writes and which kernels it trusts.
    const char* value = ::secure_getenv(name);
    return value != nullptr ? value : std::string();
}

/// Empty where no variable tells. XDG Base Directory Specification 0.8: relative paths are invalid and
/// ignored.
std::string find_place(const std::string& option) {
    if (!option.empty()) return option;
    if (std::string own = variable("MAYFLY_CACHE_DIR"); !own.empty()) return own;
    if (const std::string cache = variable("XDG_CACHE_HOME"); cache.starts_with('/'))
        return cache + std::string(kSubdirectory);
    if (const std::string home = variable("HOME"); home.starts_with('/'))
        return home + "/.cache" + std::string(kSubdirectory);
    return {};
}

/// One kernel's visit to the cache.
class Visit {
  public:
    Visit(const Image& kernel, const BzImage& bz, u64 memory_bytes, const KernelCacheOptions& options)
        : options_(options) {
        place_ = find_place(options.place);
        if (place_ == kOff || kernel.file() == nullptr) return;
        if (!bz.packing || bz.payload_bytes < kPayloadMin) return;
        kernel_ = identify(kernel, bz, options.settling_ns);
        stop_ = kernel.stop();
        // Unpacking refuses the kernel, with its own message.
        if (kernel_ && kernel_->unpacked_bytes > memory_bytes) kernel_.reset();
    }

    /// The entry's file, if there is one that can be used.
    UniqueFd find() {
        if (!kernel_) return {};
        directory_ = open_cache_directory(place_);
        if (!directory_.fd.valid()) return {};
        Opened entry = find_entry(directory_.fd, *kernel_, stop_);
        if (entry.fd.valid()) say("cached", {});
        entry_why_ = std::move(entry.why);
        return std::move(entry.fd);
    }

    void store(const Image& vmlinux) {
        if (!kernel_) return;
        if (const Reason why = try_to_store(vmlinux); !why.empty())
            say("not cached", why);
        else
            say("stored", entry_why_.empty() ? entry_why_ : "the entry that was there " + entry_why_);
    }

    [[nodiscard]] u64 unpacked_bytes() const { return kernel_ ? kernel_->unpacked_bytes : 0; }

  private:
    Reason try_to_store(const Image& vmlinux) {
        if (place_.empty() && ::getauxval(AT_SECURE) != 0)
            return "mayfly has more rights than its user, whose environment does not say where "
                   "(--kernel-cache)";
        if (place_.empty()) return "neither XDG_CACHE_HOME nor HOME is an absolute path";
        if (!directory_.why.empty()) return directory_.why;
        if (!kernel_->is_settled)
            return "the bzImage changed within the last 2 seconds, and may change again unnoticed";
        if (!directory_.fd.valid()) directory_ = make_cache_directory(place_);
        if (!directory_.fd.valid()) return directory_.why;
        const Result<ImageBytes> elf = vmlinux.bytes(0, vmlinux.size_bytes());
        VERIFY(elf.has_value());  // it is in memory
        return store_entry(directory_.fd, *kernel_, elf->bytes, {options_.bytes_max, options_.entries_max},
                           stop_);
    }

    void say(std::string_view what, const Reason& why) const {
        if (!log::is_verbose()) return;
        log::info(fmt::format("unpacked kernel: {}{}{}{}{}", what, place_.empty() ? "" : " in ", place_,
                              why.empty() ? "" : ": ", why));
    }

    const KernelCacheOptions& options_;
    std::string place_;
    std::optional<PackedKernel> kernel_;  ///< empty: not for the cache
    StopToken stop_;
    Opened directory_;
    Reason entry_why_;
};

}  // namespace

Result<std::optional<Image>> unpack_cached(const Image& kernel, const KernelChoice& choice, u64 memory_bytes,
                                           const KernelCacheOptions& options) {
    if (!choice.headers.bzimage) return std::optional<Image>();
    Visit visit(kernel, *choice.headers.bzimage, memory_bytes, options);
    if (UniqueFd file = visit.find(); file.valid())
        return Image::from_file_part("the unpacked kernel", std::move(file), visit.unpacked_bytes(),
                                     kernel.stop());
    Result<std::optional<Image>> unpacked = unpack_kernel(kernel, choice, memory_bytes);
    if (unpacked && *unpacked) visit.store(**unpacked);
    return unpacked;
}

}  // namespace mayfly
