// SPDX-License-Identifier: Apache-2.0
#include "vmm/kernel_cache/kernel_cache.h"

#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "vmm/kernel_cache/cache_entry.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

/// Less is unpacked in the time that a file takes to be opened and checked, or nearly.
constexpr u64 kPayloadMin = MiB(1);
constexpr std::string_view kOff = "off";
constexpr std::string_view kSubdirectory = "/mayfly/kernels";

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : std::string();
}

/// Empty where there is nothing that would say. XDG Base Directory Specification 0.8: relative paths are
/// invalid and ignored.
std::string find_place(const std::string& option) {
    if (!option.empty()) return option;
    if (std::string own = variable("MAYFLY_CACHE_DIR"); !own.empty()) return own;
    if (const std::string cache = variable("XDG_CACHE_HOME"); cache.starts_with('/'))
        return cache + std::string(kSubdirectory);
    if (const std::string home = variable("HOME"); home.starts_with('/'))
        return home + "/.cache" + std::string(kSubdirectory);
    return {};
}

void say(std::string_view what, const std::string& place, const std::string& why) {
    if (!log::is_verbose()) return;
    log::info(fmt::format("unpacked kernel: {}{}{}{}", what, place, why.empty() ? "" : ": ", why));
}

/// One kernel's dealings with the cache.
class Visit {
  public:
    Visit(std::string place, const KernelCacheOptions& options)
        : place_(std::move(place)), options_(options) {}

    /// The entry; nothing where there is none, or none that can be used. Then why() may say why.
    std::optional<Image> find(const Image& kernel, const BzImage& bz, u64 memory_bytes) {
        Result<Image> found = look(kernel, bz, memory_bytes);
        if (found) return std::move(*found);
        if (found.error().kind() != ErrorKind::NotFound) why_ = found.error().message();
        return std::nullopt;
    }

    /// Errors: why it was not stored.
    Result<void> store(const Image& vmlinux) {
        if (!kernel_.is_settled)
            return fail(Error::invalid(
                fmt::format("the bzImage changed within the last {} s, and may change again unnoticed",
                            options_.settling_ns / 1'000'000'000)));
        if (!directory_.valid()) directory_ = TRY(make_cache_directory(place_));
        const ImageBytes elf = TRY(vmlinux.bytes(0, vmlinux.size_bytes()));
        return store_entry(directory_, kernel_, elf.bytes, {options_.bytes_max, options_.entries_max});
    }

    [[nodiscard]] bool can_store() const { return can_store_; }
    [[nodiscard]] const std::string& why() const { return why_; }

  private:
    Result<Image> look(const Image& kernel, const BzImage& bz, u64 memory_bytes) {
        kernel_ = TRY(identify(kernel, bz, options_.settling_ns));
        // Unpacking refuses it, in its own words.
        if (kernel_.unpacked_bytes > memory_bytes) return fail(Error::not_found("too large"));
        Result<UniqueFd> directory = open_cache_directory(place_);
        can_store_ = directory || directory.error().kind() == ErrorKind::NotFound;
        directory_ = TRY(std::move(directory));
        return find_entry(directory_, kernel_);
    }

    std::string place_;
    const KernelCacheOptions& options_;
    PackedKernel kernel_;
    UniqueFd directory_;
    std::string why_;
    bool can_store_ = false;
};

}  // namespace

Result<std::optional<Image>> unpack_cached(const Image& kernel, const KernelChoice& choice, u64 memory_bytes,
                                           const KernelCacheOptions& options) {
    if (!choice.is_bzimage) return std::optional<Image>();
    const std::string place = find_place(options.place);
    if (place == kOff || kernel.file() == nullptr) return unpack_kernel(kernel, choice, memory_bytes);
    const Result<BzImage> bz = read_bzimage(kernel);
    if (!bz || !bz->packing || bz->payload_bytes < kPayloadMin)
        return unpack_kernel(kernel, choice, memory_bytes);
    if (place.empty()) {
        say("not cached", "", "neither XDG_CACHE_HOME nor HOME is an absolute path");
        return unpack_kernel(kernel, choice, memory_bytes);
    }
    Visit visit(place, options);
    if (std::optional<Image> found = visit.find(kernel, *bz, memory_bytes)) {
        say("cached in ", place, "");
        return found;
    }
    Result<std::optional<Image>> unpacked = unpack_kernel(kernel, choice, memory_bytes);
    if (!unpacked || !*unpacked) return unpacked;
    if (!visit.can_store()) {
        say("not cached", "", visit.why());
        return unpacked;
    }
    if (const Result<void> stored = visit.store(**unpacked); stored)
        say("stored in ", place, visit.why());
    else
        say("not cached", "", stored.error().message());
    return unpacked;
}

}  // namespace mayfly
