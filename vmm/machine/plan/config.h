// SPDX-License-Identifier: Apache-2.0
// BootConfig: what the user asked for, as plain values. The code that acts on a value checks it.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "firmware/boot/boot.h"
#include "vmm/initramfs/copy_names.h"
#include "vmm/initramfs/root_kind.h"
#include "vmm/machine/lifecycle/ending.h"
#include "vmm/machine/lifecycle/snapshot_trigger.h"
#include "vmm/machine/plan/guest_network.h"
#include "vmm/network/port_forward.h"
#include "vmm/os/file_identity.h"
#include "vmm/share/operations/share_options.h"
#include "vmm/watch/watch_config.h"

namespace mayfly {

enum class ProfileChoice : u8 { Auto, Modern, Legacy };
enum class IrqchipChoice : u8 {
    Auto,   ///< the profile's
    Split,  ///< LAPICs in the kernel only
    Full,   ///< LAPICs, IOAPIC, 8259s and 8254 in the kernel
    None,   ///< nothing in the kernel: an 8259 pair in user space, one vCPU
};

enum class PitChoice : u8 {
    Auto,      ///< as suits the kernel and the host
    Reinject,  ///< a tick that the guest missed is delivered later
    Discard    ///< a missed tick is lost
};

enum class TransportChoice : u8 { Pci, Mmio };
enum class IoChoice : u8 {
    Auto,    ///< inline until a device proves hot
    Inline,  ///< on the vCPU thread that rang, where the device allows it
    Thread,  ///< on the I/O thread from the start
};
enum class ConsoleDevice : u8 {
    Auto,  ///< virtio for a Linux kernel that has the driver built in, unless its command line says otherwise
    Serial,
    Virtio
};

inline constexpr u16 kDiskQueuesMax = 16;
inline constexpr std::size_t kDiskIdBytesMax = 20;  ///< virtio 1.2 §5.2.6 "Device Operation": GET_ID
inline constexpr u16 kNetPairsMax = 8;
inline constexpr u16 kMtuMin = 68;  ///< what every IPv4 link carries: RFC 791
inline constexpr std::size_t kExitPortsMax = 16;

/// A token bucket's figures; 0 per second: no limit.
struct RateConfig {
    u64 per_second = 0;
    u64 burst = 0;  ///< 0: a tenth of a second's worth
};

struct DiskConfig {
    std::string path;
    bool is_read_only = false;
    bool is_overlay = false;  ///< writes do not reach the file: see DiskOverlay
    bool is_direct = false;
    bool is_surely_raw = false;  ///< even if it looks like another format
    u16 queues = 1;
    std::string id;  ///< the answer to GET_ID; empty: the disk's name
    RateConfig operations;
    RateConfig bytes;
};

struct NetConfig {
    enum class Kind : u8 { Tap, Passt, User };
    Kind kind = Kind::Tap;
    std::string place;  ///< the interface's name, or the socket's path; of User: empty
    std::optional<std::array<u8, 6>> mac;
    std::optional<u16> mtu;
    u16 pairs = 1;
    RateConfig bytes;
    RateConfig packets;
    std::vector<PortForward> forwards;  ///< of User only, as is the next
    bool has_host_loopback = false;     ///< the gateway's address leads to the host's loopback
    GuestNetwork guest;                 ///< configured by init, with `exec` only
};

/// A directory of the host that the guest sees live.
struct ShareConfig {
    ShareOptions options;
    std::string tag;          ///< the name by which a guest finds it; at most 36 bytes
    std::string mount_point;  ///< where init mounts it, with `exec` only; absolute
};

/// A program to run in the guest, with our own init, from an initramfs that is packed for this boot.
struct ExecConfig {
    std::string program;
    std::vector<std::string> arguments;
    std::string root;                       ///< a directory of the host; empty: only the program
    RootKind root_kind = RootKind::Packed;  ///< a live one is among BootConfig's shares
    std::string
        modules;  ///< kernel modules: .../lib/modules/VERSION, or a directory that holds it; may be empty
    std::vector<std::string> environment{};  ///< NAME=VALUE
    std::string workdir{};                   ///< absolute; empty: /
    std::string user{};                      ///< USER[:GROUP], names or numbers; empty: root
    std::string hostname{};                  ///< empty: mayfly
    std::vector<CopyIn> copies_in{};
    std::vector<CopyOut> copies_out{};
    /// Of the terminal that stdin and stdout are; empty where they are not.
    struct Terminal {
        u16 rows = 0;
        u16 columns = 0;
    };
    std::optional<Terminal> terminal{};
    std::chrono::milliseconds grace{10'000};  ///< between SIGTERM or SIGINT and SIGKILL
    bool has_one_output = false;              ///< stdout and stderr are the same file
    bool tells_start = false;                 ///< somebody waits for Machine::set_on_running()
    OutputFiles* outputs = nullptr;           ///< InitramfsRequest's
};

/// A snapshot to make of the machine.
struct SnapshotConfig {
    std::string directory;
    SnapshotMoment moment;
    bool goes_on = false;  ///< afterwards the machine runs on
};

struct BootConfig {
    std::string kernel;                ///< a path, or "builtin:NAME"
    std::string kernel_cache;          ///< KernelCacheOptions::place
    std::vector<std::string> initrds;  ///< more than one: Linux gets them one behind the other
    std::vector<std::string> modules;  ///< "FILE[ ARGS]", in order
    std::string append;
    bool has_default_append = true;  ///< Linux gets the words of linux_command_line.h
    bool is_quick_linux = false;     ///< and the words that leave out parts of its start
    std::optional<ExecConfig> exec;
    std::optional<SnapshotConfig> snapshot;
    WatchConfig watch;
    Protocol protocol = Protocol::Auto;
    ProfileChoice profile = ProfileChoice::Auto;
    IrqchipChoice irqchip = IrqchipChoice::Auto;
    PitChoice pit = PitChoice::Auto;
    u64 memory_bytes = MiB(128);
    u32 cpus = 1;  ///< 0: as many as a built-in guest needs, else 1; settled before a Machine is made
    std::optional<std::chrono::milliseconds> timeout;
    std::string console = "stdio";         ///< "stdio", "null" or a file to append to
    std::optional<u64> console_max_bytes;  ///< limit of bytes appended to that file
    std::string debugcon = "auto";         ///< "auto", "stdout", "stderr", "off" or a file to append to
    ConsoleDevice console_device = ConsoleDevice::Auto;
    std::vector<DiskConfig> disks;
    std::vector<NetConfig> nets;
    std::vector<ShareConfig> shares;
    bool has_rng = false;
    TransportChoice transport = TransportChoice::Pci;
    IoChoice io = IoChoice::Auto;
    bool has_config_window = true;
    std::vector<u16> exit_ports;
    StatusRules status_rules;
    bool has_test_device = false;

    bool wants_timeline = false;
    std::string timeline_json;
    bool wants_stats = false;
    std::string stats_json;
};

}  // namespace mayfly
