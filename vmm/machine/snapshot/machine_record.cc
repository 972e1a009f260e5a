// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/snapshot/machine_record.h"

#include <algorithm>

#include <fmt/format.h>

#include "firmware/layout.h"
#include "vmm/machine/lifecycle/run_control.h"
#include "vmm/snapshot/format/section_codec.h"

namespace mayfly {

namespace coded {

template <>
inline constexpr auto last_value<Protocol> = Protocol::Multiboot2;
template <>
inline constexpr auto last_value<Profile> = Profile::Legacy;
template <>
inline constexpr auto last_value<Irqchip> = Irqchip::None;
template <>
inline constexpr auto last_value<TransportChoice> = TransportChoice::Mmio;
template <>
inline constexpr auto last_value<ConsoleDevice> = ConsoleDevice::Virtio;
template <>
inline constexpr auto last_value<EarlyOutput> = EarlyOutput::Uart;
template <>
inline constexpr auto last_value<ExitCodeRule> = ExitCodeRule::Qemu;

}  // namespace coded

namespace {

constexpr u32 kTag = section_tag("MACH");
constexpr u64 kMemoryMax = GiB(1024) * 8;
constexpr u8 kGroupAddress = 1;
constexpr const char* kNoDebugConsole = "off";
constexpr u64 kGraceMax = u64{1} << 40;

/// As the section has it.
struct Layout {
    u32 version = kLayoutVersion;
};

struct CodedProgram {
    std::string program;
    std::optional<ExecConfig::Terminal> terminal;
    u64 grace_ms = 0;
    bool has_one_output = false;
};

struct CodedMachine {
    std::string kernel;
    u64 memory_bytes = 0;
    u32 cpus = 0;
    Protocol protocol = Protocol::Linux;
    bool is_linux = false;
    Profile profile = Profile::Modern;
    Irqchip irqchip = Irqchip::Split;
    bool reinjects_ticks = true;
    TransportChoice transport = TransportChoice::Pci;
    bool has_config_window = true;
    bool has_rng = false;
    bool has_test_device = false;
    std::vector<DiskConfig> disks;
    std::vector<NetConfig> nets;
    ConsoleDevice console = ConsoleDevice::Serial;
    EarlyOutput early_output = EarlyOutput::None;
    std::optional<PrintkRing> log;
    GuestCommandLine command_line;
    bool has_debug_console = false;
    std::vector<u16> exit_ports;
    StatusRules status_rules;
    std::optional<CodedProgram> program;
};

}  // namespace

// Each fields() names all members, or says which not: one that is added does not compile until it is coded.

template <typename Coder>
void fields(Coder& coder, coded::As<Layout> auto& layout) {
    coder(layout.version);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Gpa> auto& address) {
    coder(address.value);
}

template <typename Coder>
void fields(Coder& coder, coded::As<PrintkRing> auto& ring) {
    auto& [head_id, descriptors, infos, text, count_bits, text_bits, first_id] = ring;
    coder(head_id, descriptors, infos, text, count_bits, text_bits, first_id);
}

template <typename Coder>
void fields(Coder& coder, coded::As<GuestCommandLine> auto& line) {
    auto& [text, lacks_defaults, marks_panics] = line;
    coder(text, lacks_defaults, marks_panics);
}

/// What its guest has found of it, and its name for messages: the rest is chosen anew.
template <typename Coder>
void fields(Coder& coder, coded::As<DiskConfig> auto& disk) {
    coder(disk.path, disk.is_read_only, disk.queues, disk.id);
}

template <typename Coder>
void fields(Coder& coder, coded::As<NetConfig> auto& net) {
    coder(net.place, net.mac, net.mtu, net.pairs);
}

template <typename Coder>
void fields(Coder& coder, coded::As<StatusRules> auto& rules) {
    auto& [exit_code, success] = rules;
    coder(exit_code, success);
}

template <typename Coder>
void fields(Coder& coder, coded::As<ExecConfig::Terminal> auto& terminal) {
    auto& [rows, columns] = terminal;
    coder(rows, columns);
}

template <typename Coder>
void fields(Coder& coder, coded::As<CodedProgram> auto& program) {
    auto& [name, terminal, grace_ms, has_one_output] = program;
    coder(name, terminal, grace_ms, has_one_output);
}

template <typename Coder>
void fields(Coder& coder, coded::As<CodedMachine> auto& machine) {
    auto& [kernel, memory_bytes, cpus, protocol, is_linux, profile, irqchip, reinjects_ticks, transport,
           has_config_window, has_rng, has_test_device, disks, nets, console, early_output, log, command_line,
           has_debug_console, exit_ports, status_rules, program] = machine;
    coder(kernel, memory_bytes, cpus, protocol, is_linux, profile, irqchip, reinjects_ticks, transport,
          has_config_window, has_rng, has_test_device, disks, nets, console, early_output, log, command_line,
          has_debug_console, exit_ports, status_rules, program);
}

namespace {

struct LayoutAndMachine {
    Layout layout;
    CodedMachine machine;
};

template <typename Coder>
void fields(Coder& coder, coded::As<LayoutAndMachine> auto& both) {
    coder(both.layout, both.machine);
}

IrqchipChoice choice_of(Irqchip irqchip) {
    switch (irqchip) {
        case Irqchip::Split: return IrqchipChoice::Split;
        case Irqchip::Full: return IrqchipChoice::Full;
        case Irqchip::None: break;
    }
    return IrqchipChoice::None;
}

CodedMachine coded_machine(const BootConfig& config, const MachinePlan& plan) {
    CodedMachine coded{.kernel = config.kernel,
                       .memory_bytes = config.memory_bytes,
                       .cpus = plan.cpus,
                       .protocol = plan.kernel.protocol,
                       .is_linux = plan.kernel.is_linux,
                       .profile = plan.shape.profile,
                       .irqchip = plan.shape.irqchip,
                       .reinjects_ticks = plan.pit.reinjects,
                       .transport = config.transport,
                       .has_config_window = config.has_config_window,
                       .has_rng = config.has_rng,
                       .has_test_device = config.has_test_device,
                       .disks = config.disks,
                       .nets = config.nets,
                       .console = plan.console,
                       .early_output = plan.early_output,
                       .log = plan.log,
                       .command_line = plan.command_line,
                       .has_debug_console = config.debugcon != kNoDebugConsole,
                       .exit_ports = config.exit_ports,
                       .status_rules = config.status_rules,
                       .program = std::nullopt};
    for (const PlannedDevice& device : plan.devices.devices)
        if (device.kind == DeviceKind::Net) coded.nets[device.index].mac = device.mac;
    if (config.exec)
        coded.program = {.program = config.exec->program,
                         .terminal = config.exec->terminal,
                         .grace_ms = static_cast<u64>(config.exec->grace.count()),
                         .has_one_output = config.exec->has_one_output};
    return coded;
}

BootConfig config_of(const CodedMachine& coded) {
    BootConfig config;
    config.kernel = coded.kernel;
    config.memory_bytes = coded.memory_bytes;
    config.cpus = coded.cpus;
    config.protocol = coded.protocol;
    config.profile = coded.profile == Profile::Modern ? ProfileChoice::Modern : ProfileChoice::Legacy;
    config.irqchip = choice_of(coded.irqchip);
    config.transport = coded.transport;
    config.has_config_window = coded.has_config_window;
    config.has_rng = coded.has_rng;
    config.has_test_device = coded.has_test_device;
    config.disks = coded.disks;
    config.nets = coded.nets;
    config.console_device = coded.console;
    if (!coded.has_debug_console) config.debugcon = kNoDebugConsole;
    config.exit_ports = coded.exit_ports;
    config.status_rules = coded.status_rules;
    if (coded.program) {
        ExecConfig& exec = config.exec.emplace();
        exec.program = coded.program->program;
        exec.terminal = coded.program->terminal;
        exec.grace = std::chrono::milliseconds(coded.program->grace_ms);
        exec.has_one_output = coded.program->has_one_output;
    }
    return config;
}

Error impossible(std::string_view what) {
    return Error::invalid(fmt::format("the snapshot is damaged: its machine has {}", what));
}

/// Names are shown in messages.
bool is_plain(std::string_view name) {
    return std::all_of(name.begin(), name.end(),
                       [](char c) { return static_cast<u8>(c) >= 0x20 && c != 0x7f; });
}

Result<void> check(const CodedMachine& coded) {
    if (coded.memory_bytes < layout::kMemoryMin || coded.memory_bytes > kMemoryMax ||
        coded.memory_bytes % kPageBytes != 0)
        return fail(impossible(fmt::format("{} bytes of memory", coded.memory_bytes)));
    if (coded.cpus == 0 || coded.cpus > RunControl::kVcpusMax)
        return fail(impossible(fmt::format("{} vCPUs", coded.cpus)));
    if (!is_plain(coded.kernel) || (coded.program && !is_plain(coded.program->program)))
        return fail(impossible("a name with control characters"));
    if (coded.protocol == Protocol::Auto) return fail(impossible("no boot protocol"));
    if (coded.console == ConsoleDevice::Auto) return fail(impossible("no console"));
    if (coded.early_output == EarlyOutput::Log && !coded.log) return fail(impossible("no kernel log"));
    for (const DiskConfig& disk : coded.disks) {
        if (disk.queues == 0 || disk.queues > kDiskQueuesMax)
            return fail(impossible(fmt::format("a disk with {} queues", disk.queues)));
        if (disk.id.size() > kDiskIdBytesMax) return fail(impossible("a disk with too long an id"));
    }
    for (const NetConfig& net : coded.nets) {
        if (!net.mac || (net.mac->front() & kGroupAddress) != 0)
            return fail(impossible("a network without an address of its own"));
        if (net.mtu.value_or(kMtuMin) < kMtuMin)
            return fail(impossible(fmt::format("an MTU of {}", *net.mtu)));
        if (net.pairs == 0 || net.pairs > kNetPairsMax)
            return fail(impossible(fmt::format("a network with {} queue pairs", net.pairs)));
    }
    if (coded.exit_ports.size() > kExitPortsMax)
        return fail(impossible(fmt::format("{} exit ports", coded.exit_ports.size())));
    if (coded.program && coded.program->grace_ms > kGraceMax)
        return fail(impossible(fmt::format("a grace of {} ms", coded.program->grace_ms)));
    return {};
}

Result<MachinePlan> plan_of(const CodedMachine& coded, const BootConfig& config) {
    MachinePlan plan;
    plan.host = detect_host_kind();
    plan.cpus = coded.cpus;
    plan.kernel.protocol = coded.protocol;
    plan.kernel.is_linux = coded.is_linux;
    plan.kernel.why = "as when the snapshot was made";
    plan.shape = TRY(choose_shape(config, coded.protocol));
    plan.pit = {.reinjects = coded.reinjects_ticks, .why = "as when the snapshot was made"};
    plan.console = coded.console;
    plan.early_output = coded.early_output;
    plan.log = coded.log;
    plan.devices = TRY(plan_devices(config, plan.shape, plan.console));
    TRY_VOID(choose_macs(config, plan.devices));
    plan.has_config_ports = has_config_ports(plan);
    plan.command_line = coded.command_line;
    return plan;
}

}  // namespace

Section encode(const MachineRecord& record) {
    return to_section(kTag,
                      LayoutAndMachine{.layout = {}, .machine = coded_machine(record.config, record.plan)});
}

Result<MachineRecord> decode_machine_record(std::span<const SectionView> sections) {
    // The layout's version first: what follows may have changed with it.
    const SectionView* const section = find_section(sections, kTag);
    if (section == nullptr) return fail(lacks_section(kTag));
    Layout layout;
    Decoder decoder(section->payload);
    decoder(layout);
    if (!decoder.has_failed() && layout.version != kLayoutVersion)
        return fail(Error::invalid(fmt::format("its machine has layout {}, and this mayfly's have layout {}",
                                               layout.version, kLayoutVersion))
                        .hint("restore it with the mayfly that made it"));
    const LayoutAndMachine both = TRY(from_section<LayoutAndMachine>(sections, kTag));
    TRY_VOID(check(both.machine));
    BootConfig config = config_of(both.machine);
    MachinePlan plan = TRY(plan_of(both.machine, config));
    return MachineRecord{.config = std::move(config), .plan = std::move(plan)};
}

}  // namespace mayfly
