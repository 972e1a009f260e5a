// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/initramfs.h"

#include <cerrno>
#include <map>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/image/refuse.h"
#include "firmware/init/init_image.h"
#include "firmware/init/job.h"
#include "vmm/initramfs/accounts.h"
#include "vmm/initramfs/archive.h"
#include "vmm/initramfs/module_files.h"
#include "vmm/initramfs/program.h"
#include "vmm/initramfs/root_directory.h"
#include "vmm/initramfs/tree_walk.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

constexpr EntryHeader kDirectory{.mode = S_IFDIR | 0755};
constexpr EntryHeader kOurProgram{.mode = S_IFREG | 0755};
constexpr std::string_view kOurDirectory = ".mayfly";

/// What every root has at least, so that there is a place for file systems and a console.
struct Basic {
    const char* path;
    EntryHeader header;
};
constexpr Basic kBasics[] = {
    {"proc", {.mode = S_IFDIR | 0555}},
    {"sys", {.mode = S_IFDIR | 0555}},
    {"dev", kDirectory},
    {"tmp", {.mode = S_IFDIR | S_ISVTX | 0777}},
    {"run", kDirectory},
};
/// Linux opens it for init before anything is mounted (Documentation/admin-guide/devices.txt: c 5 1).
constexpr Basic kConsole = {"dev/console", {.mode = S_IFCHR | 0600, .device_major = 5, .device_minor = 1}};

constexpr const char* kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr const char* kDefaultTerminal = "TERM=linux";
/// Of passwd or group.
constexpr std::size_t kAccountsBytesMax = 1 << 20;

class Packer {
  public:
    Packer(const InitramfsRequest& request, ArchiveWriter archive, std::optional<RootDirectory> root)
        : request_(request), archive_(std::move(archive)), root_(std::move(root)) {}

    Result<UniqueFd> run();

  private:
    Result<void> add_ours();
    Result<void> add_job(const Program& program, const std::vector<PackedModule>& modules);
    /// Of a file in the root, empty where it is not there.
    [[nodiscard]] std::string text_inside(const std::string& path) const;
    void add_environment(std::string& job, const Account& account) const;
    Result<void> add_tree();
    Result<void> add_basics();
    Result<void> add_entry(const TreeEntry& entry);
    Result<void> add_regular(const TreeEntry& entry, EntryHeader header);
    [[nodiscard]] Result<u64> measure_tree(u64 bytes_before) const;
    [[nodiscard]] EntryHeader header_of(const struct stat& status) const;
    void tell_left_out() const;

    const InitramfsRequest& request_;
    ArchiveWriter archive_;
    std::optional<RootDirectory> root_;
    uid_t user_ = ::geteuid();
    /// The group in the archive for each file of several names.
    std::map<std::pair<dev_t, ino_t>, u32> link_groups_{};
    u64 sockets_ = 0;
    u64 mounts_ = 0;
    std::string first_mounts_{};
};

void add_field(std::string& job, JobField field, std::string_view value) {
    job += static_cast<char>(field);
    job += value;
    job += '\0';
}

std::string_view variable_name(std::string_view assignment) {
    return assignment.substr(0, assignment.find('='));
}

std::string Packer::text_inside(const std::string& path) const {
    const UniqueFd file = root_ ? root_->open_inside(path) : UniqueFd();
    std::string text(file.valid() ? kAccountsBytesMax : 0, '\0');
    std::size_t used = 0;
    while (used < text.size()) {
        const ssize_t got = ::read(file.get(), text.data() + used, text.size() - used);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        used += static_cast<std::size_t>(got);
    }
    text.resize(used);
    return text;
}

/// The last that is given of a name counts, as in a shell.
void Packer::add_environment(std::string& job, const Account& account) const {
    std::vector<std::string> variables{kDefaultPath, "HOME=" + account.home, kDefaultTerminal};
    for (const std::string& given : request_.environment) {
        std::erase_if(variables, [&](const std::string& before) {
            return variable_name(before) == variable_name(given);
        });
        variables.push_back(given);
    }
    for (const std::string& variable : variables) add_field(job, JobField::Environment, variable);
}

Result<void> Packer::add_job(const Program& program, const std::vector<PackedModule>& modules) {
    std::string job(kJobHeader);
    job += '\0';
    add_field(job, JobField::StatusPort, std::to_string(request_.status_port));
    add_field(job, JobField::ChannelPort, std::to_string(request_.channel_port));
    if (const auto& terminal = request_.terminal)
        add_field(job, JobField::Terminal, fmt::format("{} {}", terminal->rows, terminal->columns));
    if (request_.has_one_output) add_field(job, JobField::OneOutput, "");
    for (const PackedModule& module : modules)
        add_field(job, module.is_optional ? JobField::OptionalModule : JobField::Module, module.path);
    add_field(job, JobField::Program, program.guest_path);
    add_field(job, JobField::Argument, request_.program);
    for (const std::string& argument : request_.arguments) add_field(job, JobField::Argument, argument);
    const Account account =
        TRY(find_account(request_.user, text_inside("etc/passwd"), text_inside("etc/group")));
    add_field(job, JobField::User, fmt::format("{} {}", account.uid, account.gid));
    for (const u32 group : account.groups) add_field(job, JobField::Group, std::to_string(group));
    if (!request_.workdir.empty()) add_field(job, JobField::Directory, request_.workdir);
    if (!request_.hostname.empty()) add_field(job, JobField::HostName, request_.hostname);
    add_environment(job, account);
    job += kJobEnd;
    job += '\0';
    return archive_.add(kJobPath.substr(1), EntryHeader{.mode = S_IFREG | 0600}, job);
}

/// What is not the user's tree.
Result<void> Packer::add_ours() {
    const Program program = TRY(find_program(request_.program, root_ ? &*root_ : nullptr));
    // The root itself: otherwise it would have the mode of a tmpfs, which everybody may write to.
    TRY_VOID(archive_.add(".", kDirectory));
    TRY_VOID(archive_.add(kOurDirectory, kDirectory));
    TRY_VOID(archive_.add(kInitPath.substr(1), kOurProgram, init_image()));
    std::vector<PackedModule> modules;
    if (!request_.modules.empty())
        modules = TRY(pack_modules(request_, archive_));
    else if (!request_.wanted_modules.empty())
        return refuse("the kernel module {} is needed, but there is no directory of modules",
                      request_.wanted_modules.front());
    TRY_VOID(add_job(program, modules));
    if (!program.host) return {};
    TRY_VOID(archive_.add(".mayfly/bin", kDirectory));
    EntryHeader header = kOurProgram;
    header.mtime = program.host->mtime;
    return archive_.add_file(std::string_view(program.guest_path).substr(1), header, program.host->file,
                             program.host->size_bytes);
}

EntryHeader Packer::header_of(const struct stat& status) const {
    EntryHeader header{
        .mode = status.st_mode, .uid = status.st_uid, .gid = status.st_gid, .mtime = archive_time(status)};
    // What an ordinary user owns is root's in the guest, as if root had made it there.
    if (user_ != 0 && status.st_uid == user_) header.uid = header.gid = 0;
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
        header.device_major = major(status.st_rdev);
        header.device_minor = minor(status.st_rdev);
    }
    return header;
}

Result<void> Packer::add_regular(const TreeEntry& entry, EntryHeader header) {
    if (request_.outputs != nullptr)
        TRY_VOID(request_.outputs->check(entry.status, root_->label() + "/" + printable(entry.path)));
    if (entry.status.st_nlink > 1) {
        const auto next = static_cast<u32>(link_groups_.size() + 1);
        const auto [group, is_first] =
            link_groups_.try_emplace({entry.status.st_dev, entry.status.st_ino}, next);
        header.link_group = group->second;
        if (!is_first) return archive_.add(entry.path, header);
    }
    const UniqueFd file = UniqueFd::adopt(::openat(
        entry.directory.get(), entry.name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file.valid()) return unreadable("open", root_->label(), entry.path);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return unreadable("fstat", root_->label(), entry.path);
    if (status.st_ino != entry.status.st_ino || status.st_dev != entry.status.st_dev)
        return refuse("{}/{}: was replaced while it was packed", root_->label(), printable(entry.path));
    return archive_.add_file(entry.path, header, file, static_cast<u64>(entry.status.st_size));
}

Result<void> Packer::add_entry(const TreeEntry& entry) {
    if (entry.path == kOurDirectory)
        return refuse("{}/{}: is a name that the initramfs needs for itself", root_->label(), kOurDirectory);
    const EntryHeader header = header_of(entry.status);
    switch (entry.status.st_mode & S_IFMT) {
        case S_IFREG: return add_regular(entry, header);
        case S_IFSOCK: ++sockets_; return {};
        case S_IFLNK: {
            char target[4096];
            const ssize_t size = ::readlinkat(entry.directory.get(), entry.name, target, sizeof(target));
            if (size < 0) return unreadable("readlink", root_->label(), entry.path);
            return archive_.add(entry.path, header, std::string_view(target, static_cast<std::size_t>(size)));
        }
        default: break;
    }
    if (entry.is_elsewhere) {
        constexpr u64 kNamed = 8;
        if (++mounts_ <= kNamed) first_mounts_ += " " + printable(entry.path);
        if (mounts_ == kNamed + 1) first_mounts_ += " ...";
    }
    return archive_.add(entry.path, header);
}

/// What the archive takes in the end when it has `bytes_before` without the tree.
Result<u64> Packer::measure_tree(u64 bytes_before) const {
    u64 total = bytes_before;
    std::map<std::pair<dev_t, ino_t>, bool> seen;
    const auto add_size = [&](const TreeEntry& entry) -> Result<void> {
        const bool is_regular = S_ISREG(entry.status.st_mode);
        bool has_content = is_regular || S_ISLNK(entry.status.st_mode);
        if (is_regular && entry.status.st_nlink > 1)
            has_content = seen.try_emplace({entry.status.st_dev, entry.status.st_ino}, true).second;
        if (!S_ISSOCK(entry.status.st_mode))
            total += entry_bytes(entry.path, has_content ? static_cast<u64>(entry.status.st_size) : 0);
        return {};
    };
    TRY_VOID(walk_tree(root_->fd(), root_->label(), request_.stop, add_size));
    return total;
}

void Packer::tell_left_out() const {
    if (sockets_ > 0)
        log::warning(fmt::format("{}: {} socket{} left out of the initramfs", root_->label(), sockets_,
                                 sockets_ == 1 ? "" : "s"));
    if (mounts_ > 0 && log::is_verbose())
        log::info(fmt::format("{}: on other file systems and so empty in the initramfs:{}", root_->label(),
                              first_mounts_));
}

Result<void> Packer::add_tree() {
    const u64 bytes_before = archive_.size_bytes();
    archive_.set_origin(root_->label() + "/");
    archive_.set_forecast([this, bytes_before] { return measure_tree(bytes_before); });
    TRY_VOID(walk_tree(root_->fd(), root_->label(), request_.stop,
                       [this](const TreeEntry& entry) { return add_entry(entry); }));
    archive_.set_forecast(nullptr);
    archive_.set_origin("");
    tell_left_out();
    return {};
}

/// Adds what the root lacks.
Result<void> Packer::add_basics() {
    struct stat status {};
    const auto is_missing = [&](const char* path) {
        return !root_ || ::fstatat(root_->fd().get(), path, &status, AT_SYMLINK_NOFOLLOW) != 0;
    };
    for (const Basic& basic : kBasics) {
        if (is_missing(basic.path)) TRY_VOID(archive_.add(basic.path, basic.header));
    }
    struct stat root_status {};
    const bool has_dev = !is_missing("dev");
    if (has_dev && !S_ISDIR(status.st_mode)) return {};  // a node would have no place
    if (root_ && ::fstat(root_->fd().get(), &root_status) != 0)
        return unreadable("fstat", root_->label(), "");
    const bool is_dev_empty = !has_dev || status.st_dev != root_status.st_dev;
    if (is_dev_empty || is_missing(kConsole.path)) return archive_.add(kConsole.path, kConsole.header);
    return {};
}

Result<UniqueFd> Packer::run() {
    TRY_VOID(add_ours());
    if (root_) TRY_VOID(add_tree());
    TRY_VOID(add_basics());
    return archive_.finish();
}

}  // namespace

Result<UniqueFd> pack_initramfs(const InitramfsRequest& request) {
    std::optional<RootDirectory> root;
    if (!request.root.empty()) root = TRY(RootDirectory::open(request.root));
    ArchiveWriter archive = TRY(ArchiveWriter::create(request.bytes_max, request.stop));
    return Packer(request, std::move(archive), std::move(root)).run();
}

}  // namespace mayfly
