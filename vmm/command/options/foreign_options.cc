// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/foreign_options.h"

#include <array>

namespace mayfly {

namespace {

constexpr const char* kKernel = "here the kernel is the operand: mayfly boot KERNEL";
constexpr const char* kAppend = "here it is --append STRING";
constexpr const char* kInitrd = "here it is --initrd FILE";
constexpr const char* kMemory = "here it is --memory SIZE, say 512M";
constexpr const char* kCpus = "here it is --cpus N";
constexpr const char* kDisk = "here it is --disk FILE";
constexpr const char* kNet = "here it is --net user, or --net tap=IFACE";
constexpr const char* kShare = "here it is --share DIR[:MOUNT]";
constexpr const char* kConsole = "here the serial port is on stdio unless --console says otherwise";
constexpr const char* kDebugger =
    "mayfly has no GDB server; --stats, --timeline and -v show what a guest does";
constexpr const char* kNoSocket = "mayfly has no API socket: the command line is the whole configuration";
constexpr const char* kNoFile =
    "mayfly reads no configuration file: the command line is the whole configuration";
constexpr const char* kNoReboot = "here every reboot ends the guest";
constexpr const char* kAlwaysKvm = "mayfly always uses KVM";
constexpr const char* kOneMachine = "here the machine is --profile modern or legacy";
constexpr const char* kCpuModel = "here a guest has the host's CPU, as KVM offers it";

constexpr const char* kTerminal = "here PROG has a terminal where stdin and stdout are one";
constexpr const char* kNoSeccomp = "mayfly does not confine itself yet: run it as a user of its own";

// QEMU; Firecracker; Cloud Hypervisor; crosvm; kvmtool: each word once, with the first that has it.
constexpr std::array kForeign{
    option_table::ForeignWord{"-kernel", kKernel},
    option_table::ForeignWord{"-append", kAppend},
    option_table::ForeignWord{"-initrd", kInitrd},
    option_table::ForeignWord{"-m", kMemory},
    option_table::ForeignWord{"-smp", kCpus},
    option_table::ForeignWord{"-drive", kDisk},
    option_table::ForeignWord{"-hda", kDisk},
    option_table::ForeignWord{"-blockdev", kDisk},
    option_table::ForeignWord{"-cdrom", "here it is --disk FILE,ro"},
    option_table::ForeignWord{"-nic", kNet},
    option_table::ForeignWord{"-netdev", kNet},
    option_table::ForeignWord{"-net", kNet},
    option_table::ForeignWord{"-virtfs", kShare},
    option_table::ForeignWord{"-fsdev", kShare},
    option_table::ForeignWord{"-device",
                              "here each kind of device has its option: --disk, --net, --share, --rng"},
    option_table::ForeignWord{"-nographic", kConsole},
    option_table::ForeignWord{"-serial", kConsole},
    option_table::ForeignWord{"-display", kConsole},
    option_table::ForeignWord{"-monitor", "mayfly has no monitor; Ctrl-A h lists a terminal's keys"},
    option_table::ForeignWord{"-debugcon", "here it is --debugcon WHERE"},
    option_table::ForeignWord{"-no-reboot", kNoReboot},
    option_table::ForeignWord{"-enable-kvm", kAlwaysKvm},
    option_table::ForeignWord{"-accel", kAlwaysKvm},
    option_table::ForeignWord{"-machine", kOneMachine},
    option_table::ForeignWord{"-M", kOneMachine},
    option_table::ForeignWord{"-cpu", kCpuModel},
    option_table::ForeignWord{"-s", kDebugger},
    option_table::ForeignWord{"-S", kDebugger},
    option_table::ForeignWord{"-gdb", kDebugger},
    option_table::ForeignWord{"-snapshot", "here it is --disk FILE,overlay"},
    option_table::ForeignWord{"--api-sock", kNoSocket},
    option_table::ForeignWord{"--config-file", kNoFile},
    option_table::ForeignWord{"--no-api", kNoSocket},
    option_table::ForeignWord{"--boot-timer", "here it is --timeline"},
    option_table::ForeignWord{"--metrics-path", "here it is --stats-json FILE"},
    option_table::ForeignWord{"--log-path", "here -v writes to stderr; --log FILE keeps the console"},
    option_table::ForeignWord{"--kernel", kKernel},
    option_table::ForeignWord{"--cmdline", kAppend},
    option_table::ForeignWord{"--initramfs", kInitrd},
    option_table::ForeignWord{"--serial", kConsole},
    option_table::ForeignWord{"--api-socket", kNoSocket},
    option_table::ForeignWord{"--fs", kShare},
    option_table::ForeignWord{"--gdb", kDebugger},
    option_table::ForeignWord{"--vcpus", kCpus},
    option_table::ForeignWord{"--drive", kDisk},
    option_table::ForeignWord{"--params", kAppend},
    option_table::ForeignWord{"-p", kAppend},
    option_table::ForeignWord{"--block", kDisk},
    option_table::ForeignWord{"--rwdisk", kDisk},
    option_table::ForeignWord{"--rwroot", kDisk},
    option_table::ForeignWord{"--shared-dir", kShare},
    option_table::ForeignWord{"--tap-name", kNet},
    option_table::ForeignWord{"--socket", kNoSocket},
    option_table::ForeignWord{"-k", kKernel},
    option_table::ForeignWord{"-i", kInitrd},
    option_table::ForeignWord{"-c", kCpus},
    option_table::ForeignWord{"-d", kDisk},
    option_table::ForeignWord{"-n", kNet},
    option_table::ForeignWord{"--network", kNet},
    option_table::ForeignWord{"--9p", kShare},
    // docker and podman run.
    option_table::ForeignWord{"-it", kTerminal},
    option_table::ForeignWord{"-ti", kTerminal},
    option_table::ForeignWord{"-t", kTerminal},
    option_table::ForeignWord{"-e", "here it is --env NAME=VALUE"},
    option_table::ForeignWord{"-w", "here it is --workdir DIR"},
    option_table::ForeignWord{"-u", "here it is --user USER[:GROUP]"},
    option_table::ForeignWord{"--volume", kShare},
    option_table::ForeignWord{"--publish", "here it is --net user,hostfwd=tcp::8080-:80"},
    option_table::ForeignWord{"--dns", "here it is --net user,dns=ADDRESS"},
    option_table::ForeignWord{"--rm", "here nothing is left when the guest has ended"},
    // What is still missing.
    option_table::ForeignWord{"--vsock", "mayfly has no vsock device yet: --exec has streams and copies"},
    option_table::ForeignWord{"--balloon", "mayfly has no balloon yet: --memory is fixed"},
    option_table::ForeignWord{"--seccomp", kNoSeccomp},
    option_table::ForeignWord{"--seccomp-filter", kNoSeccomp},
    option_table::ForeignWord{"--ram", kMemory},
};

// hyperfine.
constexpr std::array kForeignToBench{
    option_table::ForeignWord{"-r", "here it is -n or --runs N"},
    option_table::ForeignWord{"-w", "here it is --warmup N"},
    option_table::ForeignWord{"-p", "here it is --prepare CMD"},
    option_table::ForeignWord{"-L", "here it is --parameter NAME=A,B"},
    option_table::ForeignWord{"--parameter-list", "here it is --parameter NAME=A,B"},
    option_table::ForeignWord{"--parameter-scan", "here it is --parameter NAME=A,B"},
    option_table::ForeignWord{"-i", "here another status is expected by --expect-status N"},
    option_table::ForeignWord{"--ignore-failure", "here another status is expected by --expect-status N"},
    option_table::ForeignWord{"--export-json", "here it is --json FILE"},
    option_table::ForeignWord{"--export-csv", "here it is --csv FILE"},
    option_table::ForeignWord{"--command-name", "here it is --name NAME"},
};

}  // namespace

std::span<const option_table::ForeignWord> foreign_boot_options() { return kForeign; }
std::span<const option_table::ForeignWord> foreign_bench_options() { return kForeignToBench; }

}  // namespace mayfly
