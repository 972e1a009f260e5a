// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/module_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <functional>
#include <map>
#include <optional>

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/image/decompress.h"
#include "firmware/image/image.h"
#include "firmware/image/refuse.h"
#include "vmm/initramfs/modinfo.h"
#include "vmm/initramfs/module_list.h"
#include "vmm/initramfs/module_name.h"
#include "vmm/initramfs/module_scan.h"
#include "vmm/initramfs/root_directory.h"
#include "vmm/os/text_file.h"

namespace mayfly {

namespace {

constexpr std::string_view kList = "/modules.dep";
/// Distributions' lists have about 1 MiB.
constexpr u64 kListBytesMax = MiB(64);
/// The largest modules have some 10 MiB; with all their debugging information some 100.
constexpr u64 kModuleBytesMax = GiB(1);

bool has_list(const std::string& directory) { return path_exists((directory + std::string(kList)).c_str()); }

/// The names in a directory that hold modules.dep; empty where the directory does not exist.
std::vector<std::string> versions_in(const std::string& directory, bool is_listed, StopToken stop) {
    std::vector<std::string> found;
    DIR* listing = ::opendir(directory.c_str());
    if (listing == nullptr) return found;
    for (const dirent* entry = nullptr; !stop.is_requested() && (entry = ::readdir(listing)) != nullptr;) {
        const std::string path = directory + "/" + entry->d_name;
        if (entry->d_name[0] == '.') continue;
        // Without a list the directory is still recognised, so that the message can say what is missing.
        if (is_listed ? has_list(path) : path_exists((path + "/kernel").c_str())) found.push_back(path);
    }
    ::closedir(listing);
    std::sort(found.begin(), found.end());
    return found;
}

std::vector<std::string> all_versions(const std::string& directory, bool is_listed, StopToken stop) {
    for (const char* below : {"/lib/modules", "/usr/lib/modules", ""}) {
        std::vector<std::string> found = versions_in(directory + below, is_listed, stop);
        if (!found.empty()) return found;
    }
    return {};
}

/// "depmod -b BASE VERSION" for …/lib/modules/VERSION, which is where depmod looks.
std::string depmod_hint(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string version = path.substr(slash + 1);
    const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash);
    constexpr std::string_view kPlace = "/lib/modules";
    if (parent.size() > kPlace.size() && parent.substr(parent.size() - kPlace.size()) == kPlace)
        return fmt::format("depmod -b {} {}", printable(parent.substr(0, parent.size() - kPlace.size())),
                           printable(version));
    return fmt::format("depmod -b DIR {}, where DIR/lib/modules/{} is this directory", printable(version),
                       printable(version));
}

struct Found {
    std::string path;
    bool is_listed = true;  ///< by depmod, in modules.dep
};

/// Of several versions, the kernel's own is meant.
Result<std::string> choose_version(const std::string& directory, std::vector<std::string> versions,
                                   const std::string& release) {
    if (versions.size() == 1) return std::move(versions.front());
    for (std::string& version : versions)
        if (!release.empty() && version.ends_with("/" + release)) return std::move(version);
    return fail(Error::invalid(fmt::format("holds the modules of {} kernels", versions.size()))
                    .hint(fmt::format("name one: {} or {}", printable(versions[0]), printable(versions[1])))
                    .about(printable(directory)));
}

/// The directory that holds modules.dep, or without that file, kernel/.
Result<Found> find_version(const std::string& directory, const std::string& release, StopToken stop) {
    if (has_list(directory)) return Found{directory};
    std::vector<std::string> versions = all_versions(directory, true, stop);
    if (!versions.empty()) return Found{TRY(choose_version(directory, std::move(versions), release))};
    if (path_exists((directory + "/kernel").c_str())) return Found{directory, false};
    versions = all_versions(directory, false, stop);
    TRY_VOID(stop.check());
    if (versions.empty())
        return fail(Error::invalid("holds no kernel modules: no modules.dep or kernel/, no VERSION or "
                                   "lib/modules/VERSION with them")
                        .about(printable(directory)));
    return Found{TRY(choose_version(directory, std::move(versions), release)), false};
}

/// The directory of one kernel's modules, in or below the one that the user named. No path leaves it: the
/// author of its content must not choose files of this host for the guest.
class ModuleDirectory {
  public:
    static Result<ModuleDirectory> open(const InitramfsRequest& request) {
        std::string named = request.modules;
        while (named.size() > 1 && named.back() == '/') named.pop_back();
        RootDirectory top = TRY(RootDirectory::open(named));
        Found found = TRY(find_version(named, request.kernel_release, request.stop));
        std::string below = found.path.substr(named.size());
        below.erase(0, below.find_first_not_of('/'));
        return ModuleDirectory(request, std::move(top), std::move(found), below.empty() ? "" : below + "/");
    }

    [[nodiscard]] const std::string& label() const { return label_; }
    [[nodiscard]] std::string label_of(std::string_view name) const { return label_ + "/" + printable(name); }
    [[nodiscard]] StopToken stop() const { return request_.stop; }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] bool is_listed() const { return is_listed_; }

    /// The files with a module's suffix.
    [[nodiscard]] Result<std::vector<std::string>> paths() const {
        const UniqueFd itself = top_.open_beneath(below_.empty() ? "." : below_);
        if (!itself.valid()) return fail(Error::os("open").about(label_));
        return module_paths(itself, label_, stop());
    }

    /// Empty where the file does not exist. Errors: also where it is an output.
    [[nodiscard]] Result<std::optional<UniqueFd>> find(std::string_view name) const {
        UniqueFd file = top_.open_beneath(below_ + std::string(name));
        if (file.valid()) {
            struct stat status {};
            if (request_.outputs != nullptr && ::fstat(file.get(), &status) == 0)
                TRY_VOID(request_.outputs->check(status, label_of(name)));
            return std::optional<UniqueFd>(std::move(file));
        }
        if (errno == ENOENT) return std::optional<UniqueFd>();
        if (errno == EXDEV || errno == ELOOP)
            return fail(Error::invalid("is a symbolic link that leads out of " + top_.label())
                            .about(label_of(name))
                            .hint("put a copy of the file there"));
        return fail(Error::os("open").about(label_of(name)));
    }

  private:
    ModuleDirectory(const InitramfsRequest& request, RootDirectory top, Found found, std::string below)
        : request_(request),
          top_(std::move(top)),
          path_(std::move(found.path)),
          is_listed_(found.is_listed),
          label_(printable(path_)),
          below_(std::move(below)) {}

    const InitramfsRequest& request_;
    RootDirectory top_;
    std::string path_;
    bool is_listed_;
    std::string label_;
    std::string below_;  ///< from `top_` to it
};

/// Empty without such a file: nothing built in, no soft dependencies.
Result<std::string> read_list(const ModuleDirectory& directory, std::string_view name) {
    std::optional<UniqueFd> file = TRY(directory.find(name));
    struct stat status {};
    // An empty file is valid here, and invalid for Image.
    if (!file || (::fstat(file->get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0))
        return std::string();
    const std::string label = directory.label_of(name);
    const Image list = TRY(Image::from_fd(label, std::move(*file), directory.stop()));
    if (list.size_bytes() > kListBytesMax)
        return refuse("{}: {} bytes are too many for a list of modules", label, list.size_bytes());
    std::string text(list.size_bytes(), 0);
    TRY_VOID(about(list.read(0, std::as_writable_bytes(std::span(text))), label));
    return text;
}

/// A module's ELF file, in memory.
struct ModuleBytes {
    ImageBytes file;
    UnpackedBytes unpacked;
    std::span<const std::byte> elf;
};

Result<ModuleBytes> read_module(const ModuleDirectory& directory, std::string_view path) {
    const std::string label = directory.label_of(path);
    std::optional<UniqueFd> file = TRY(directory.find(path));
    if (!file) return fail(Error::os("open", ENOENT).about(label));
    struct stat status {};
    if (::fstat(file->get(), &status) != 0) return fail(Error::os("fstat").about(label));
    std::byte start[8] = {};
    if (!S_ISREG(status.st_mode) || ::pread(file->get(), start, sizeof(start), 0) != ssize_t{sizeof(start)})
        return fail(Error::invalid("is not a kernel module").about(label));
    const u64 size_bytes = static_cast<u64>(status.st_size);
    const bool is_elf = std::memcmp(start, ELFMAG, SELFMAG) == 0;
    const std::optional<Packing> packing = identify_packing(start);
    if ((!is_elf && !packing) || size_bytes > kModuleBytesMax)
        return fail(Error::invalid("is not a kernel module: neither ELF nor compressed").about(label));
    const Image image = TRY(Image::from_fd(label, std::move(*file), directory.stop()));
    ModuleBytes module;
    module.file = TRY(about(image.bytes(0, size_bytes), label));
    module.elf = module.file.bytes;
    if (is_elf) return module;
    module.unpacked =
        TRY(about(unpack_at_most(*packing, module.file.bytes, kModuleBytesMax, directory.stop()), label));
    module.elf = module.unpacked.bytes;
    if (module.elf.size() < SELFMAG || std::memcmp(module.elf.data(), ELFMAG, SELFMAG) != 0)
        return fail(
            Error::invalid("is not a kernel module: it unpacks to a file that is not ELF").about(label));
    return module;
}

/// By their paths: a module that was read for its dependencies is not read again.
using ReadModules = std::map<std::string, ModuleBytes, std::less<>>;

Result<const ModuleBytes*> read_once(const ModuleDirectory& directory, std::string_view path,
                                     ReadModules& modules) {
    auto known = modules.find(path);
    if (known == modules.end()) known = modules.emplace(path, TRY(read_module(directory, path))).first;
    return &known->second;
}

Result<ModuleInfo> read_info(const ModuleDirectory& directory, std::string_view path, ReadModules& modules) {
    const ModuleBytes* const module = TRY(read_once(directory, path, modules));
    if (std::optional<ModuleInfo> info = read_modinfo(module->elf)) return std::move(*info);
    return fail(Error::invalid("is not a kernel module: it lacks the section .modinfo")
                    .about(directory.label_of(path)));
}

Result<ModuleTexts> read_lists(const ModuleDirectory& directory, const InitramfsRequest& request,
                               ReadModules& modules) {
    ModuleTexts texts;
    texts.builtin = TRY(read_list(directory, "modules.builtin"));
    if (!directory.is_listed()) {
        const auto read = [&](std::string_view path) { return read_info(directory, path, modules); };
        std::vector<std::string_view> wanted = request.wanted_modules;
        wanted.insert(wanted.end(), request.optional_modules.begin(), request.optional_modules.end());
        const std::vector<std::string> paths = TRY(directory.paths());
        ScannedLists lists = TRY(scan_modules({.paths = paths,
                                               .label = directory.label(),
                                               .wanted = wanted,
                                               .read = read,
                                               .stop = request.stop}));
        texts.dependencies = std::move(lists.dependencies);
        texts.soft_dependencies = std::move(lists.soft_dependencies);
        return texts;
    }
    texts.dependencies = TRY(read_list(directory, kList.substr(1)));
    texts.soft_dependencies = TRY(read_list(directory, "modules.softdep"));
    if (!texts.soft_dependencies.empty()) texts.aliases = TRY(read_list(directory, "modules.alias"));
    return texts;
}

/// A module that was added after depmod ran.
Result<void> check_unlisted(const ModuleDirectory& directory, const ModuleList& list,
                            const std::vector<std::string_view>& wanted) {
    const auto is_lacking = [&](std::string_view name) { return list.lacks(name); };
    const auto lacking = std::find_if(wanted.begin(), wanted.end(), is_lacking);
    if (!directory.is_listed() || lacking == wanted.end()) return {};
    for (const std::string& path : TRY(directory.paths())) {
        if (!is_same_module(module_name(path), *lacking)) continue;
        return fail(Error::invalid(fmt::format("{} lies there, but modules.dep does not name it", path))
                        .hint(depmod_hint(directory.path()))
                        .about(directory.label()));
    }
    return {};
}

Result<void> check_release(const ModuleDirectory& directory, const ModuleBytes& module,
                           const std::string& release) {
    const std::optional<ModuleInfo> info = read_modinfo(module.elf);
    if (!info || info->release.empty() || release.empty() || info->release == release) return {};
    return fail(Error::invalid(fmt::format("has the modules of Linux {}, and the kernel is {}",
                                           printable(info->release), printable(release)))
                    .hint("--modules auto looks for a kernel's own")
                    .about(directory.label()));
}

}  // namespace

Result<std::vector<PackedModule>> pack_modules(const InitramfsRequest& request, ArchiveWriter& archive) {
    const ModuleDirectory base = TRY(ModuleDirectory::open(request));
    ReadModules read;
    const ModuleTexts texts = TRY(read_lists(base, request, read));
    const ModuleList list(texts);
    TRY_VOID(check_unlisted(base, list, request.wanted_modules));
    std::vector<std::string_view> wanted = request.wanted_modules;
    for (const std::string_view name : request.optional_modules)
        if (list.has(name)) wanted.push_back(name);
    const std::vector<ModuleToLoad> modules = TRY(about(list.resolve(wanted, request.stop), base.label()));
    std::vector<PackedModule> packed;
    if (modules.empty()) return packed;
    TRY_VOID(archive.add(".mayfly/modules", EntryHeader{.mode = S_IFDIR | 0755}));
    for (const ModuleToLoad& module : modules) {
        const std::string name = fmt::format(".mayfly/modules/{}.ko", module.name);
        const ModuleBytes* const bytes = TRY(read_once(base, module.path, read));
        TRY_VOID(check_release(base, *bytes, request.kernel_release));
        TRY_VOID(archive.add(name, EntryHeader{.mode = S_IFREG | 0644}, bytes->elf));
        const bool may_fail =
            std::ranges::find(request.optional_modules, module.name) != request.optional_modules.end();
        packed.push_back({"/" + name, module.is_optional || may_fail});
    }
    return packed;
}

}  // namespace mayfly
