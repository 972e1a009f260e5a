// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/fuse_server.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "vmm/share/operations/operations.h"

namespace mayfly {

namespace {

/// The oldest version in a guest: Linux 5.4, the first with virtiofs.
constexpr u32 kMinorMin = 31;
/// The version in our answer: 7.38 and the parts of later versions that Linux requests by flags.
constexpr u32 kMinor = 38;
constexpr u32 kWriteBytesMax = MiB(1);
constexpr u16 kBackgroundMax = 64;
constexpr std::size_t kInitBytesOld = 16;

struct Operation {
    i32 (*run)(const operations::Call& call) = nullptr;
    bool is_change = false;  ///< refused on a read-only share
};

constexpr auto kOperations = [] {
    using namespace operations;
    std::array<Operation, fuse::STATX + 1> table{};
    table[FUSE_LOOKUP] = {lookup};
    table[FUSE_GETATTR] = {getattr};
    table[FUSE_SETATTR] = {setattr, true};
    table[FUSE_READLINK] = {operations::readlink};
    table[FUSE_SYMLINK] = {operations::symlink, true};
    table[FUSE_MKNOD] = {operations::mknod, true};
    table[FUSE_MKDIR] = {operations::mkdir, true};
    table[FUSE_UNLINK] = {operations::unlink, true};
    table[FUSE_RMDIR] = {operations::rmdir, true};
    table[FUSE_RENAME] = {operations::rename, true};
    table[FUSE_LINK] = {operations::link, true};
    table[FUSE_OPEN] = {operations::open};
    table[FUSE_READ] = {operations::read};
    table[FUSE_WRITE] = {operations::write, true};
    table[FUSE_STATFS] = {operations::statfs};
    table[FUSE_RELEASE] = {release};
    table[FUSE_FSYNC] = {operations::fsync};
    table[FUSE_SETXATTR] = {operations::setxattr, true};
    table[FUSE_GETXATTR] = {operations::getxattr};
    table[FUSE_LISTXATTR] = {operations::listxattr};
    table[FUSE_REMOVEXATTR] = {operations::removexattr, true};
    table[FUSE_FLUSH] = {flush};
    table[FUSE_OPENDIR] = {operations::opendir};
    table[FUSE_READDIR] = {operations::readdir};
    table[FUSE_RELEASEDIR] = {release};
    table[FUSE_FSYNCDIR] = {fsyncdir};
    table[FUSE_CREATE] = {create, true};
    table[FUSE_FALLOCATE] = {operations::fallocate, true};
    table[FUSE_READDIRPLUS] = {readdirplus};
    table[FUSE_RENAME2] = {rename2, true};
    table[FUSE_LSEEK] = {operations::lseek};
    table[FUSE_COPY_FILE_RANGE] = {operations::copy_file_range, true};
    table[FUSE_SYNCFS] = {operations::syncfs};
    table[FUSE_TMPFILE] = {operations::tmpfile, true};
    table[fuse::STATX] = {operations::statx};
    return table;
}();

/// Half of the descriptors are for files that are known, a quarter for those that are open, for all shares
/// together; the rest is the machine's.
u32 descriptors(u32 shares) {
    constexpr rlim_t kEnough = 1U << 18U;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return NodeTable::kOpenMin;
    return static_cast<u32>(std::min(limit.rlim_cur, kEnough)) / shares;
}

/// Guest memory per known file, a lower bound: Linux takes more.
constexpr u64 kGuestBytesPerNode = 1024;
constexpr u64 kNodesMin = 1U << 16U;
constexpr u32 kFilesMin = 16;

NodeTable::Limits node_limits(const FuseServer::Limits& limits, int root) {
    struct statfs there {};
    const bool is_overlay = ::fstatfs(root, &there) == 0 && there.f_type == OVERLAYFS_SUPER_MAGIC;
    return {.open_max = std::max(descriptors(limits.shares) / 2, NodeTable::kOpenMin),
            .nodes_max = static_cast<std::size_t>(
                std::max(limits.guest_memory_bytes / kGuestBytesPerNode / limits.shares, kNodesMin)),
            .ignores_births = is_overlay};
}

/// File systems that may report a failed write only when the file is closed.
bool tells_late(int directory) {
    struct statfs there {};
    if (::fstatfs(directory, &there) < 0) return true;
    constexpr std::array kLate{u32{NFS_SUPER_MAGIC},  u32{SMB_SUPER_MAGIC},  u32{CIFS_SUPER_MAGIC},
                               u32{SMB2_SUPER_MAGIC}, u32{FUSE_SUPER_MAGIC}, u32{CEPH_SUPER_MAGIC},
                               u32{AFS_SUPER_MAGIC}};
    return std::ranges::find(kLate, static_cast<u32>(there.f_type)) != kLate.end();
}

u64 wanted_features(const ShareOptions& options) {
    u64 wanted = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES |
                 FUSE_DONT_MASK | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
                 FUSE_PARALLEL_DIROPS | FUSE_POSIX_ACL | FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2 |
                 FUSE_SETXATTR_EXT | FUSE_INIT_EXT;
    const ShareCache cache = options.cache;
    if (options.announces_mounts) wanted |= FUSE_SUBMOUNTS;
    if (cache != ShareCache::Never) wanted |= FUSE_CACHE_SYMLINKS;
    if (cache != ShareCache::Always) wanted |= FUSE_AUTO_INVAL_DATA;
    if (cache == ShareCache::Never) wanted |= fuse::DIRECT_IO_ALLOW_MMAP;
    return wanted;
}

}  // namespace

Result<std::unique_ptr<FuseServer>> FuseServer::open(const ShareOptions& options, const Limits& limits) {
    UniqueFd root = UniqueFd::adopt(::open(options.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return fail(Error::os("open").about(options.directory));
    host::Attributes attributes{};
    if (const int error = host::attributes_of(root.get(), attributes); error < 0)
        return fail(Error::os("statx", -error).about(options.directory));
    const NodeTable::Limits nodes = node_limits(limits, root.get());
    return std::unique_ptr<FuseServer>(new FuseServer(options, std::move(root), attributes, nodes,
                                                      std::max(descriptors(limits.shares) / 4, kFilesMin)));
}

FuseServer::FuseServer(const ShareOptions& options, UniqueFd root, const host::Attributes& attributes,
                       const NodeTable::Limits& limits, u32 files_max)
    : share_{.options = options,
             .nodes{std::move(root), attributes, limits},
             .files = OpenFiles(files_max),
             .view = AttributeView(options),
             .descriptors = {}} {}

Result<void> FuseServer::enter() {
    if (::unshare(CLONE_FS) < 0) return fail(Error::os("unshare"));
    share_.descriptors = UniqueFd::adopt(::open("/proc/thread-self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!share_.descriptors.valid())
        return fail(Error::os("open").about("/proc/thread-self/fd").hint("--share needs /proc"));
    if (!host::open_beneath(share_.nodes.root().fd.get(), ".", O_PATH).valid())
        return fail(Error::os("openat2")
                        .about(share_.options.directory)
                        .hint("--share needs it: a seccomp filter may forbid it"));
    if (::fchdir(share_.descriptors.get()) < 0)
        return fail(Error::os("fchdir").about("/proc/thread-self/fd"));
    obey_quotas();
    ::umask(0);
    share_.mask = 0;
    share_.is_root = ::geteuid() == 0 && !share_.options.owner;
    share_.are_errors_late = tells_late(share_.nodes.root().fd.get());
    return {};
}

void FuseServer::reset() {
    has_begun_ = false;
    share_.files.clear();
    share_.nodes.clear();
}

std::optional<u32> FuseServer::serve(std::span<iovec> parts, std::span<iovec> room, Later* later) {
    std::optional<FuseRequest> request = FuseRequest::read(parts, request_storage_);
    if (!request) return 0;
    switch (request->header().opcode) {
        case FUSE_FORGET: forget(*request); return 0;
        case FUSE_BATCH_FORGET: forget_many(*request); return 0;
        case FUSE_INTERRUPT: return 0;  // waiting requests wait for a disk, which cannot be interrupted
        default: break;
    }
    FuseReply reply(room, reply_storage_);
    const i32 error = answer(*request, reply, later);
    if (error != operations::kLater) return reply.finish(request->header().unique, error);
    later->reply.emplace(reply);
    later->unique = request->header().unique;
    return std::nullopt;
}

i32 FuseServer::answer(FuseRequest& request, FuseReply& reply, Later* later) {
    const u32 opcode = request.header().opcode;
    if (request.is_malformed()) return -EINVAL;
    if (opcode == FUSE_INIT) return begin(request, reply);
    if (!has_begun_) return -EIO;
    if (opcode == FUSE_DESTROY) {
        reset();
        return 0;
    }
    if (opcode >= kOperations.size() || kOperations[opcode].run == nullptr) return -ENOSYS;
    const Operation& operation = kOperations[opcode];
    if (operation.is_change && share_.options.is_read_only) return -EROFS;
    Node* node = share_.nodes.find(request.header().nodeid);
    // Closes any open file.
    if (node == nullptr && operation.run == operations::release) node = &share_.nodes.root();
    if (node == nullptr) return -ESTALE;
    return operation.run({share_, request, reply, *node, later});
}

i32 FuseServer::begin(FuseRequest& request, FuseReply& reply) {
    const std::size_t bytes = std::min(request.rest().size(), sizeof(fuse_init_in));
    const auto in = request.take_part<fuse_init_in>(bytes);
    if (!in || bytes < kInitBytesOld) return -EINVAL;
    if (in->major > FUSE_KERNEL_VERSION) {
        // The driver asks again with our version.
        fuse_init_out ours{};
        ours.major = FUSE_KERNEL_VERSION;
        ours.minor = kMinor;
        reply.put(ours);
        return 0;
    }
    if (in->major < FUSE_KERNEL_VERSION || in->minor < kMinorMin) return -EPROTO;
    reset();
    const u64 offered = in->flags | ((in->flags & FUSE_INIT_EXT) != 0 ? u64{in->flags2} << 32U : 0);
    const u64 taken = offered & wanted_features(share_.options);
    share_.has_long_setxattr = (taken & FUSE_SETXATTR_EXT) != 0;
    share_.announces_submounts = (taken & FUSE_SUBMOUNTS) != 0;
    has_begun_ = true;
    fuse_init_out out{};
    out.major = FUSE_KERNEL_VERSION;
    out.minor = kMinor;
    out.max_readahead = in->max_readahead;
    out.flags = static_cast<u32>(taken);
    out.flags2 = static_cast<u32>(taken >> 32U);
    out.max_background = kBackgroundMax;
    out.congestion_threshold = kBackgroundMax / 4 * 3;
    out.max_write = kWriteBytesMax;
    out.time_gran = 1;
    out.max_pages = kWriteBytesMax / kPageBytes;
    reply.put(out);
    return 0;
}

void FuseServer::forget(FuseRequest& request) {
    const auto arguments = request.take<fuse_forget_in>();
    Node* const node = share_.nodes.find(request.header().nodeid);
    if (arguments && node != nullptr) share_.nodes.forget(*node, arguments->nlookup);
}

void FuseServer::forget_many(FuseRequest& request) {
    const auto arguments = request.take<fuse_batch_forget_in>();
    for (u32 i = 0; arguments && i < arguments->count; ++i) {
        const auto one = request.take<fuse_forget_one>();
        if (!one) return;
        if (Node* const node = share_.nodes.find(one->nodeid)) share_.nodes.forget(*node, one->nlookup);
    }
}

}  // namespace mayfly
