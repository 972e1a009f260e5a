// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/initramfs.h"

#include <cerrno>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/image/refuse.h"
#include "firmware/init/init_image.h"
#include "firmware/init/job.h"
#include "vmm/initramfs/accounts.h"
#include "vmm/initramfs/archive/archive.h"
#include "vmm/initramfs/archive/tree_packer.h"
#include "vmm/initramfs/archive/tree_walk.h"
#include "vmm/initramfs/copies_in.h"
#include "vmm/initramfs/module_files.h"
#include "vmm/initramfs/program.h"
#include "vmm/initramfs/root_directory.h"

namespace mayfly {

namespace {

constexpr EntryHeader kDirectory{.mode = S_IFDIR | 0755};
constexpr EntryHeader kOurProgram{.mode = S_IFREG | 0755};

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
    void add_environment(std::string& job) const;
    [[nodiscard]] Result<void> check_places() const;
    Result<void> add_basics();
    Result<void> add_copies();
    [[nodiscard]] bool is_live() const { return request_.root_kind != RootKind::Packed; }

    const InitramfsRequest& request_;
    ArchiveWriter archive_;
    std::optional<RootDirectory> root_;
    TreePacker trees_{archive_, request_.outputs, request_.stop};
    Account account_{};  // the program's
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
void Packer::add_environment(std::string& job) const {
    std::vector<std::string> variables{kDefaultPath, "HOME=" + account_.home, kDefaultTerminal};
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
    if (request_.tells_start) add_field(job, JobField::TellsStart, "");
    for (const PackedModule& module : modules)
        add_field(job, module.is_optional ? JobField::OptionalModule : JobField::Module, module.path);
    for (const std::string& network : request_.networks) add_field(job, JobField::Network, network);
    if (is_live()) add_field(job, JobField::LiveRoot, request_.root_kind == RootKind::Writable ? "rw" : "ro");
    for (const ShareMount& share : request_.shares) {
        add_field(job, JobField::Share, (share.is_read_only ? "ro " : "rw ") + share.place);
        add_field(job, JobField::ShareTag, share.tag);
    }
    // A live root has what is ours elsewhere.
    const bool is_beside = is_live() && program.host;
    add_field(job, JobField::Program,
              is_beside ? std::string(kOursBesideRoot) + program.guest_path.substr(1 + kOurDirectory.size())
                        : program.guest_path);
    add_field(job, JobField::Argument, request_.program);
    for (const std::string& argument : request_.arguments) add_field(job, JobField::Argument, argument);
    add_field(job, JobField::User, fmt::format("{} {}", account_.uid, account_.gid));
    for (const u32 group : account_.groups) add_field(job, JobField::Group, std::to_string(group));
    if (!request_.workdir.empty()) add_field(job, JobField::Directory, request_.workdir);
    if (!request_.hostname.empty()) add_field(job, JobField::HostName, request_.hostname);
    for (const std::string& path : request_.copies_out) add_field(job, JobField::CopyOut, path);
    add_environment(job);
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

/// Adds what the root lacks.
Result<void> Packer::add_basics() {
    struct stat status {};
    const auto is_missing = [&](const char* path) {
        return !root_ || is_live() || ::fstatat(root_->fd().get(), path, &status, AT_SYMLINK_NOFOLLOW) != 0;
    };
    for (const Basic& basic : kBasics) {
        if (is_missing(basic.path)) TRY_VOID(archive_.add(basic.path, basic.header));
    }
    struct stat root_status {};
    const bool has_dev = !is_missing("dev");
    if (has_dev && !S_ISDIR(status.st_mode)) return {};  // a node would have no place
    if (has_dev && ::fstat(root_->fd().get(), &root_status) != 0)
        return unreadable("fstat", root_->label(), "");
    const bool is_dev_empty = !has_dev || status.st_dev != root_status.st_dev;
    if (is_dev_empty || is_missing(kConsole.path)) return archive_.add(kConsole.path, kConsole.header);
    return {};
}

/// Nothing is made in a directory that is the guest's root itself.
Result<void> Packer::check_places() const {
    if (request_.root_kind != RootKind::Writable) return {};
    for (const char* place : {"proc", "sys", "dev"}) {
        struct stat status {};
        if (::fstatat(root_->fd().get(), place, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
            continue;
        return fail(
            Error::invalid(fmt::format("{}: has no directory {}, where the guest is to mount what its "
                                       "kernel has there",
                                       root_->label(), place))
                .hint(fmt::format("mkdir {}/{}; or without ,rw it is made in the guest's memory",
                                  root_->label(), place)));
    }
    return {};
}

Result<void> Packer::add_copies() {
    if (request_.copies_in.empty()) return {};
    if (is_live()) {
        TRY_VOID(archive_.add(kCopiesIn.substr(1), kDirectory));
        archive_.set_place(std::string(kCopiesIn.substr(1)) + "/");
    }
    CopiesIn copies(archive_, trees_, {.root = root_ ? &*root_ : nullptr, .is_packed = !is_live()},
                    {account_.uid, account_.gid}, request_.outputs);
    for (const CopyIn& copy : request_.copies_in) TRY_VOID(about(copies.add(copy), "--copy-in"));
    archive_.set_place("");
    return {};
}

Result<UniqueFd> Packer::run() {
    TRY_VOID(check_places());
    account_ = TRY(find_account(request_.user, text_inside("etc/passwd"), text_inside("etc/group")));
    TRY_VOID(add_ours());
    if (root_ && !is_live()) TRY_VOID(trees_.add({.fd = root_->fd(), .label = root_->label()}));
    TRY_VOID(add_basics());
    TRY_VOID(add_copies());
    TRY_VOID(archive_.add(kEndPath.substr(1), EntryHeader{.mode = S_IFREG | 0600}));
    return archive_.finish();
}

}  // namespace

Result<UniqueFd> pack_initramfs(const InitramfsRequest& request) {
    std::optional<RootDirectory> root;
    const auto mounts =
        request.root_kind == RootKind::Packed ? RootDirectory::Mounts::Missing : RootDirectory::Mounts::Seen;
    if (!request.root.empty()) root = TRY(RootDirectory::open(request.root, mounts));
    ArchiveWriter archive = TRY(ArchiveWriter::create(request.bytes_max, request.stop));
    archive.set_room(request.find_room);
    return Packer(request, std::move(archive), std::move(root)).run();
}

}  // namespace mayfly
