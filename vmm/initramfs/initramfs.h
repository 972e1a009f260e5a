// SPDX-License-Identifier: Apache-2.0
// pack_initramfs: an initramfs around one program, made while a machine starts: a directory's tree, the
// program, kernel modules, and our init that runs the program and reports how it ended.
//
// Not a general archiver: what it writes is for Linux's initramfs alone. No file is ever whole in our memory,
// but for a kernel module. What goes into the archive is sorted, so equal inputs give equal archives.
// Specification: Linux 6.12, Documentation/driver-api/early-userspace/buffer-format.rst ("newc").
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/initramfs/archive/guest_room.h"
#include "vmm/initramfs/copy_names.h"
#include "vmm/initramfs/root_kind.h"
#include "vmm/os/file_identity.h"
#include "vmm/os/unique_fd.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

/// Where the archive holds our init: the kernel's command line names it with "rdinit=".
inline constexpr std::string_view kInitPath = "/.mayfly/init";

/// A device for virtio-fs, and its place in the guest.
struct ShareMount {
    std::string tag;
    std::string place;  ///< absolute; made where it is missing
    bool is_read_only = false;
};

struct InitramfsRequest {
    /// With `root`: an absolute path inside it, a bare name that is searched there, or a relative path with a
    /// slash to a file of the host. Without: a file of the host.
    std::string program{};
    /// Without the program's own name.
    std::vector<std::string> arguments{};
    /// A directory that becomes the guest's root; empty for none.
    std::string root{};
    /// A live one is not packed: the guest has it as the share kRootTag (firmware/init/job.h).
    RootKind root_kind = RootKind::Packed;
    /// A directory that holds modules.dep or kernel/, VERSION or lib/modules/VERSION; empty for none.
    /// Required where modules are wanted.
    std::string modules{};
    /// Of the kernel that is to load them, "6.12.9-amd64"; empty: not known.
    std::string kernel_release{};
    /// "virtio_blk"; what they need comes with them, and what the kernel has built in is left out.
    std::vector<std::string_view> wanted_modules{};
    /// The same, where the kernel has them at all.
    std::vector<std::string_view> welcome_modules{};
    /// NAME=VALUE, added to the PATH, HOME and TERM that our init sets.
    std::vector<std::string> environment{};
    /// Where the program starts: an absolute path, made if it is not there; empty: /.
    std::string workdir{};
    /// USER[:GROUP], each a name that the root knows or a number; empty: root.
    std::string user{};
    /// Of the guest; empty: our init's.
    std::string hostname{};
    std::vector<CopyIn> copies_in{};
    /// Paths of the guest that init sends when the program has ended (firmware/init/file_records.h).
    std::vector<std::string> copies_out{};
    /// What init is told of each network: records of firmware/init/network_job.h.
    std::vector<std::string> networks{};
    /// Directories of the host that init mounts, in order.
    std::vector<ShareMount> shares{};
    /// The I/O port to which init writes its report (firmware/init/report.h), 32 bits wide.
    u16 status_port = 0;
    /// The first of the ports of its channel (firmware/init/channel.h).
    u16 channel_port = 0;
    /// The program has a terminal of this size.
    struct Terminal {
        u16 rows = 0;
        u16 columns = 0;
    };
    std::optional<Terminal> terminal{};
    /// Standard error is standard output.
    bool has_one_output = false;
    /// Init tells when the program runs.
    bool tells_start = false;
    /// The largest archive that the guest's memory has room for.
    u64 bytes_max = 0;
    /// The guest that unpacks it; empty: whether that has room is not looked at.
    FindRoom find_room{};
    /// What must not be packed, because it is to be written; null for none.
    OutputFiles* outputs = nullptr;
    StopToken stop{};
};

/// The archive, in a file without a name. Errors: NotFound where the program does not exist; Invalid where it
/// could not run (not executable, its interpreter missing), for a live root that has no place for what is
/// mounted in it, for a copy that has no place, for a file that
/// newc cannot hold or that is an output, for a module that is nowhere, and for an archive beyond
/// `bytes_max`, each by name; Os for files that cannot be read; Stopped.
Result<UniqueFd> pack_initramfs(const InitramfsRequest& request);

}  // namespace mayfly
