// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/machine.h"

#include <sys/sysinfo.h>

#include <fmt/format.h>

#include "firmware/layout.h"
#include "vmm/kvm/host_kind.h"
#include "vmm/machine/boot/boot_state.h"
#include "vmm/machine/boot/guest_load.h"
#include "vmm/machine/boot/module_choice.h"
#include "vmm/machine/boot/untaken_devices.h"
#include "vmm/machine/console/panic_line.h"
#include "vmm/machine/lifecycle/signals.h"
#include "vmm/os/clock.h"
#include "vmm/os/terminal.h"
#include "vmm/text/log.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

/// Every host that runs KVM has these.
constexpr u64 kHostMemoryMin = MiB(128);

Result<void> check_memory_size(u64 bytes) {
    if (bytes < layout::kMemoryMin)
        return fail(Error::invalid(fmt::format("--memory {} is too small; the minimum is {}",
                                               print_size(bytes), print_size(layout::kMemoryMin))));
    if (bytes % kPageBytes != 0)
        return fail(Error::invalid(fmt::format("--memory {} is not a multiple of 4 KiB", print_size(bytes))));
    if (bytes <= kHostMemoryMin) return {};
    struct sysinfo info {};
    if (::sysinfo(&info) < 0) return fail(Error::os("sysinfo"));
    const u64 host_bytes = u64{info.totalram} * info.mem_unit;
    // High density needs guests whose memory exceeds the host's, together or alone.
    if (bytes > host_bytes)
        log::warning(
            fmt::format("--memory {} is more than this host has, {} MiB: mayfly may be killed when "
                        "the guest uses that much",
                        print_size(bytes), host_bytes >> 20));
    return {};
}

Error not_ours(std::string_view what) {
    return Error::invalid(fmt::format("a guest of this machine cannot have this state of the {}", what));
}

bool maps_files(const BootConfig& config) {
    return !config.kernel.starts_with(kBuiltinPrefix) || !config.initrds.empty() || !config.modules.empty();
}

}  // namespace

Result<std::unique_ptr<Machine>> Machine::create(const BootConfig& config, OutputFds fds, StopControl& stop,
                                                 Timeline& timeline) {
    TRY_VOID(check_memory_size(config.memory_bytes));
    if (maps_files(config)) report_bus_errors();
    GuestImages images = TRY(GuestImages::open(config, stop.token()));
    std::unique_ptr<KvmHost> kvm = TRY(KvmHost::open());
    timeline.reach(Phase::KvmOpened);
    MachinePlan plan = TRY(plan_machine(config, kvm->answers().host, images));
    std::unique_ptr<Machine> machine(
        new Machine(config, std::move(plan), std::move(images), std::move(kvm), fds, stop, timeline));
    TRY_VOID(machine->build());
    return machine;
}

/// A guest refers to files of a shared directory by numbers that stand for files open in this process.
Result<void> Machine::check_carriable(const BootConfig& config) {
    if (config.shares.empty()) return {};
    return fail(Error::invalid(fmt::format("a machine that shares {} of the host cannot be saved: its guest "
                                           "works on files that are open in this process",
                                           config.shares.front().options.directory))
                    .hint("leave --share out, or copy: --copy-in, --copy-out"));
}

Result<std::unique_ptr<Machine>> Machine::restore(MachineParts parts, const MachineState& state,
                                                  OutputFds fds, StopControl& stop, Timeline& timeline) {
    TRY_VOID(check_carriable(parts.config));
    std::unique_ptr<KvmHost> kvm = TRY(KvmHost::open());
    timeline.reach(Phase::KvmOpened);
    std::unique_ptr<Machine> machine(new Machine(parts.config, std::move(parts.plan), std::move(parts.images),
                                                 std::move(kvm), fds, stop, timeline));
    TRY_VOID(machine->build_restored(state, std::move(parts.ram)));
    return machine;
}

MachineParts Machine::take_apart(std::unique_ptr<Machine> machine) {
    // The mapping stays in place; its other users go with the machine.
    return {.config = machine->config_,
            .plan = machine->plan_,
            .images = std::move(machine->images_),
            .ram = std::move(*machine->ram_)};
}

Machine::Machine(const BootConfig& config, MachinePlan plan, GuestImages images, std::unique_ptr<KvmHost> kvm,
                 OutputFds fds, StopControl& stop, Timeline& timeline)
    : config_(config),
      plan_(std::move(plan)),
      outside_{.stop = stop, .timeline = timeline},
      images_(std::move(images)),
      kvm_(std::move(kvm)),
      streams_{.console{fds, config.console_max_bytes, config.debugcon, stop}, .program{}},
      vcpus_(stop) {}

Machine::~Machine() {
    // Before the devices that they use.
    streams_.console.end_threads();
    if (streams_.program) streams_.program->end_threads();
    // A machine may end while it is paused, and is never resumed: the test device's thread waits for that.
    outside_.stop.gate().open();
}

Result<void> Machine::build() {
    add_early_output();
    devices_ = TRY(VirtioDevices::open(config_, plan_.devices, streams_.console.ends(), outside_.stop));
    if (config_.exec) TRY_VOID(pack_program(plan_, config_, images_, outside_.stop.token()));

    if (log::is_verbose()) {
        for (const std::string& line : describe(plan_, config_, images_.kernel().name())) log::info(line);
    }
    if (plan_.command_line.lacks_defaults)
        log::warning("the words of --append leave no room on the command line for mayfly's own");
    TRY_VOID(add_ram());
    outside_.timeline.reach(Phase::MemoryMapped);
    const EntryState entry = TRY(load_images(plan_, config_, images_, *ram_));
    outside_.timeline.reach(Phase::KernelLoaded);

    TRY_VOID(add_hardware());
    TRY_VOID(set_up_vcpus(entry));
    outside_.timeline.reach(Phase::Vcpus);
    images_.ignore_stop();
    return {};
}

Result<void> Machine::build_restored(const MachineState& state, GuestRam ram) {
    add_early_output();
    devices_ = TRY(VirtioDevices::open(config_, plan_.devices, streams_.console.ends(), outside_.stop));
    adopt_ram(std::move(ram));
    outside_.timeline.reach(Phase::MemoryMapped);
    TRY_VOID(add_hardware());
    TRY_VOID(restore_parts(state));
    outside_.timeline.reach(Phase::Vcpus);
    return {};
}

/// In the one order that is fast.
Result<void> Machine::add_hardware() {
    vm_.emplace(TRY(kvm_->system().create_vm()));
    outside_.timeline.reach(Phase::VmCreated);
    TRY_VOID(add_memory_slots());
    TRY_VOID(add_irqchip());
    outside_.timeline.reach(Phase::Irqchip);
    TRY_VOID(add_platform());
    return vcpus_.create(*vm_, plan_.cpus);
}

/// The kernel's controllers before what drives their lines.
Result<void> Machine::restore_parts(const MachineState& state) {
    const Irqchip irqchip = plan_.shape.irqchip;
    if (state.vm.chips.has_value() != (irqchip == Irqchip::Full)) return fail(not_ours("kernel's chips"));
    for (const VcpuState& vcpu : state.vcpus) {
        if (vcpu.lapic.has_value() != (irqchip != Irqchip::None)) return fail(not_ours("vCPUs"));
    }
    TRY_VOID(vcpus_.restore(*vm_, state.vcpus));
    TRY_VOID(restore_vm(*vm_, state.vm));
    if (!interrupts_->restore(state.interrupts)) return fail(not_ours("interrupt controllers"));
    if (!platform_->restore(state.platform)) return fail(not_ours("chips"));
    if (!devices_->restore(state.virtio)) return fail(not_ours("virtio devices"));
    if (!streams_.console.restore(state.console)) return fail(not_ours("console"));
    if (state.program.has_value() != streams_.program.has_value()) return fail(not_ours("program's streams"));
    if (streams_.program && !streams_.program->restore(*state.program))
        return fail(not_ours("program's streams"));
    return {};
}

void Machine::add_early_output() {
    switch (plan_.early_output) {
        case EarlyOutput::None: break;
        case EarlyOutput::Log: streams_.console.add_log(*plan_.log); break;
        case EarlyOutput::Uart: streams_.console.add_early(); break;
    }
}

Result<void> Machine::add_ram() {
    Result<GuestRam> ram = GuestRam::create({.size_bytes = config_.memory_bytes, .hole_base = layout::kHole});
    if (!ram)
        return fail(std::move(ram)
                        .error()
                        .about("--memory " + print_size(config_.memory_bytes))
                        .hint("limits on address space: ulimit -v, vm.overcommit_memory"));
    adopt_ram(std::move(*ram));
    return {};
}

void Machine::adopt_ram(GuestRam ram) {
    ram_.emplace(std::move(ram));
    if (KernelLog* log = streams_.console.log()) {
        log->set_memory(ram_->memory());
        log->set_level(linux_log_level(plan_.command_line.text));
    }
}

Result<void> Machine::add_memory_slots() {
    if (wants_tss_address(plan_.host.flavour))
        TRY_VOID(vm_->set_tss_address(layout::kKvmTss, layout::kKvmIdentityMap));
    // The whole slot now, though a KVM that shadows page tables charges 0.4 us for each MiB: making a slot at
    // the guest's first access would hide that, but an exception's push to a fresh stack, or kvmclock's page,
    // does not return to user space.
    const std::span<const GuestRegion> regions = ram_->memory().regions();
    for (u32 slot = 0; slot < regions.size(); ++slot) {
        Result<void> set = vm_->set_memory(slot, regions[slot]);
        if (!set)
            return fail(std::move(set)
                            .error()
                            .about("--memory " + print_size(config_.memory_bytes))
                            .hint("KVM takes no slot above 8 TiB, and needs memory of its own for each"));
    }
    const u32 slot = static_cast<u32>(regions.size());
    if (EarlyConsole* early = streams_.console.early()) TRY_VOID(early->add_memory(*vm_, slot + 1));
    return devices_->add_window(*vm_, slot);
}

Result<void> Machine::add_irqchip() {
    interrupts_ = TRY(Interrupts::create(*vm_, plan_.shape.irqchip, plan_.pit.reinjects, outside_.stop));
    if (!plan_.host.has_hypercalls) {
        // KVM would patch a VMCALL into the vendor's form endlessly where neither reaches it; refused, it is
        // #UD.
        (void)vm_->enable(KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_FIX_HYPERCALL_INSN);
    }
    return {};
}

Result<void> Machine::add_platform() {
    const std::vector<u16> exit_ports =
        config_.exit_ports.empty() ? std::vector<u16>{layout::kPortExit} : config_.exit_ports;
    const PlatformOptions options{.profile = plan_.shape.profile,
                                  .memory_bytes = config_.memory_bytes,
                                  .exit_ports = exit_ports,
                                  .exit_form = config_.exec ? ExitPort::Form::Word : ExitPort::Form::Value};
    platform_.emplace(options, *interrupts_, streams_.console, outside_.stop, outside_.timeline);
    interrupts_->map_onto(platform_->ports(), platform_->mmio());
    if (EarlyConsole* early = streams_.console.early()) early->map_onto(platform_->mmio(), *vm_);
    if (config_.exec) {
        const ProgramStreams::Options streams{.has_terminal = config_.exec->terminal.has_value(),
                                              .grace = config_.exec->grace,
                                              .copies_out = config_.exec->copies_out};
        streams_.program.emplace(ram_->memory(), outside_.stop, streams,
                                 [this] { platform_->wake_by_serial(); });
        TRY_VOID(streams_.program->open_files());
        platform_->add_init_port(streams_.program->port());
    }
    if (config_.has_test_device) platform_->add_test_device(*vm_, *interrupts_, devices_->rewiring());
    const DeviceContext context{.memory = ram_->memory(),
                                .vm = *vm_,
                                .interrupts = *interrupts_,
                                .io = devices_->io(),
                                .io_choice = config_.io};
    devices_->build(context, platform_->ports(), platform_->mmio(),
                    plan_.has_config_ports ? &platform_->reset_control() : nullptr);
    return platform_->map_devices(options, plan_.shape.irqchip, plan_.has_config_ports);
}

Result<void> Machine::set_up_vcpus(const EntryState& entry) {
    const KvmAnswers& answers = kvm_->answers();
    return vcpus_.set_up(answers.cpuid,
                         cpuid_facts(plan_.cpus, plan_.shape.irqchip, plan_.host, answers.has_tsc_deadline),
                         entry);
}

void Machine::set_watch(ConsoleWatch* watch) {
    streams_.console.output().set_watch(watch);
    if (streams_.program) streams_.program->set_watch(watch);
}

void Machine::set_on_running(std::function<void()> tell) {
    if (streams_.program)
        streams_.program->set_on_running(std::move(tell));
    else
        outside_.on_running = std::move(tell);
}

Result<void> Machine::connect_console() {
    if (streams_.program) return streams_.program->connect();
    if (config_.console != "stdio") return {};
    VirtioConsole* virtio = devices_->console();
    if (virtio == nullptr) {
        TRY_VOID(streams_.console.connect(platform_->connect_serial(), {}));
        platform_->ask_for_serial_input();
        return {};
    }
    TRY_VOID(streams_.console.connect(
        [this, virtio](std::span<const u8> bytes) -> std::optional<std::size_t> {
            const GuestGate::Visit visit(outside_.stop.gate());
            return visit ? virtio->receive(bytes) : std::nullopt;
        },
        [this, virtio](WindowSize size) {
            const GuestGate::Visit visit(outside_.stop.gate());
            return visit && virtio->resize(size);
        }));
    virtio->ask_for_input();
    return {};
}

Ending Machine::run() {
    if (const Result<void> connected = connect_console(); !connected)
        return {EndKind::HostError, 0, "console: " + connected.error().message()};
    if (const Result<void> started = streams_.console.start_looking(vcpus_[0]); !started) {
        restore_terminal();
        return {EndKind::HostError, 0, "early console: " + started.error().message()};
    }
    devices_->begin();
    if (outside_.on_running) outside_.on_running();
    vcpus_.run({.buses = {platform_->ports(), platform_->mmio()},
                .stop = outside_.stop,
                .console = streams_.console,
                .memory = ram_->memory(),
                .flavour = plan_.host.flavour,
                .user_irqchip = interrupts_->user(),
                .test_device = platform_->test_device()},
               {.timeline = outside_.timeline, .after_exit = [this] { kvm_->start_check(outside_.stop); }});
    devices_->finish();
    if (streams_.program) streams_.program->finish();
    streams_.console.finish(vcpus_[0]);
    if (const Result<void> checked = kvm_->finish_check(); !checked)
        return {EndKind::HostError, 0, checked.error().message()};
    Ending ending = resolved_ending(outside_.stop.ending());
    return streams_.program ? streams_.program->judged(std::move(ending)) : ending;
}

Result<void> Machine::pause(std::chrono::milliseconds limit) {
    const u64 deadline_ns = monotonic_ns() + static_cast<u64>(std::chrono::nanoseconds(limit).count());
    TRY_VOID(outside_.stop.vcpus().pause(deadline_ns));
    if (!outside_.stop.gate().close(deadline_ns)) {
        resume_vcpus();
        return fail(Error::host("a thread that reads the console does not stop in time"));
    }
    if (streams_.program && !streams_.program->await_written(deadline_ns)) {
        resume_vcpus();
        return fail(Error::host("a reader of the program's output is too slow"));
    }
    Result<void> paused = devices_->pause(deadline_ns);
    if (paused) return paused;
    resume_vcpus();
    // A request to end the machine ends the I/O thread too.
    if (outside_.stop.is_requested()) return fail(Error::stopped());
    return paused;
}

void Machine::resume() {
    devices_->resume();
    resume_vcpus();
}

Result<MachineState> Machine::save() {
    TRY_VOID(check_carriable(config_));
    if (streams_.program && streams_.program->is_copying_out())
        return fail(Error::host("the program has ended, and its files are being copied out"));
    // First everything on its way into KVM: it is then part of vCPUs and controllers.
    TRY_VOID(devices_->flush());
    if (TestDeviceWiring* test_device = platform_->test_device()) TRY_VOID(test_device->flush(vcpus_[0]));
    const Irqchip irqchip = plan_.shape.irqchip;
    // Before the receivers of its interrupts, whose state then includes interrupts sent meanwhile.
    std::optional<PitState> pit;
    if (irqchip == Irqchip::Full) pit = TRY(save_pit(*vm_));
    // Not within the braces: where TRY returns, objects that they have begun would leak.
    std::vector<VcpuState> vcpus =
        TRY(vcpus_.save(kvm_->system(), *vm_, irqchip != Irqchip::None, plan_.host.flavour));
    const VmState vm = TRY(save_vm(*vm_, pit));
    // The console's last: once it is saved, nothing can fail.
    return MachineState{.vcpus = std::move(vcpus),
                        .vm = vm,
                        .interrupts = interrupts_->save(),
                        .platform = platform_->save(),
                        .virtio = devices_->save(),
                        .console = streams_.console.save(vcpus_[0]),
                        .program = streams_.program ? std::optional(streams_.program->save()) : std::nullopt};
}

void Machine::resume_vcpus() {
    outside_.stop.gate().open();
    outside_.stop.vcpus().resume();
}

Ending Machine::resolved_ending(Ending ending) const {
    GuestFacts facts;
    facts.has_panic_mark = plan_.command_line.marks_panics &&
                           ram_->memory().read_object<u16>(Gpa{kResetFlagAddress}) == kResetFlagPanic;
    if (config_.exec) facts.program = config_.exec->program;
    Ending resolved = resolve_ending(std::move(ending), facts);
    // A kernel that hangs after a panic by its own setting has panicked long before the timeout.
    if (resolved.kind == EndKind::Panic || resolved.kind == EndKind::Timeout)
        resolved.panic_words = panic_words();
    return resolved;
}

std::vector<std::string> Machine::untaken_devices(const Ending& ending) const {
    std::vector<PlannedDevice> untaken;
    if (!plan_.kernel.is_linux || !may_lack_devices(config_, ending)) return {};
    for (GuestDevice& device : devices_->devices()) {
        // An I/O thread that hangs in the host may hold it forever: then another thread has it.
        if (!device.core().mutex().try_lock()) continue;
        const Lock lock(device.core().mutex(), std::adopt_lock);
        if (!device.core().was_taken()) untaken.push_back(device.plan());
    }
    if (untaken.empty()) return {};
    return untaken_lines(config_, untaken, missing_drivers(plan_, images_));
}

std::optional<PrintkRing> Machine::printk_ring() const {
    if (plan_.log || !plan_.kernel.is_linux) return plan_.log;
    const std::optional<ElfImage> vmlinux = images_.vmlinux(plan_.kernel);
    return vmlinux ? find_printk_ring(*vmlinux) : std::nullopt;
}

MachinePlan Machine::plan() const {
    MachinePlan plan = plan_;
    plan.log = printk_ring();
    return plan;
}

std::string Machine::panic_words() const {
    if (!plan_.kernel.is_linux) return {};
    std::string line;
    if (const KernelLog* log = streams_.console.log()) {
        line = panic_line(log->records());
    } else if (const std::optional<PrintkRing> ring = printk_ring()) {
        PrintkRecords records(*ring);
        records.set_memory(ram_->memory());
        line = panic_line(records);
    }
    return line.empty() ? panic_line(streams_.console.output().last_bytes()) : line;
}

}  // namespace mayfly
