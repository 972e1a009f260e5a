// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/machine.h"

#include <algorithm>
#include <array>

#include <poll.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/boot/linux_driver.h"
#include "firmware/layout.h"
#include "firmware/tables/acpi.h"
#include "firmware/tables/mptable.h"
#include "vmm/error/verify.h"
#include "vmm/initramfs/initramfs.h"
#include "vmm/kernel_cache/kernel_cache.h"
#include "vmm/machine/boot/boot_state.h"
#include "vmm/machine/boot/linux_command_line.h"
#include "vmm/machine/console/panic_line.h"
#include "vmm/os/terminal.h"
#include "vmm/text/log.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr u64 kPage = 4096;

Result<void> check_memory_size(u64 bytes) {
    if (bytes < layout::kMemoryMin)
        return fail(Error::invalid(fmt::format("--memory {} is too small; the least is {}", print_size(bytes),
                                               print_size(layout::kMemoryMin))));
    if (bytes % kPage != 0)
        return fail(Error::invalid(fmt::format("--memory {} is not a multiple of 4 KiB", print_size(bytes))));
    struct sysinfo info {};
    if (::sysinfo(&info) < 0) return fail(Error::os("sysinfo"));
    const u64 host_bytes = u64{info.totalram} * info.mem_unit;
    // Guests that together, or alone, may have more than there is are what density lives on.
    if (bytes > host_bytes)
        log::warning(
            fmt::format("--memory {} is more than this host has, {} MiB: the guest may be killed when "
                        "it uses that much",
                        print_size(bytes), host_bytes >> 20));
    return {};
}

}  // namespace

Result<std::unique_ptr<Machine>> Machine::create(const BootConfig& config, OutputFds fds, EarlyKvm& early,
                                                 StopControl& stop, Timeline& timeline) {
    std::unique_ptr<Machine> machine(new Machine(config, stop, timeline));
    machine->output_.emplace(fds.console, stop, config.console_max_bytes);
    machine->debug_.emplace(config.debugcon, fds.debug, *machine->output_, stop);
    TRY_VOID(machine->build(early));
    return machine;
}

Machine::~Machine() {
    for (Thread& ap : aps_) ap.detach();
}

Result<void> Machine::build(EarlyKvm& early) {
    TRY_VOID(check_memory_size(config_.memory_bytes));
    TRY_VOID(open_images());
    if (lacks_early_output()) add_early_output();
    const ConsoleEnds ends{*output_, input_, kernel_log_ ? &*kernel_log_ : nullptr};
    devices_ = TRY(VirtioDevices::open(config_, shape_, ends, stop_));
    if (config_.exec) TRY_VOID(pack_program());
    // Linux, which is told of ECAM, would prefer them to it.
    has_config_ports_ =
        devices_->plan().has_pci() && (shape_.profile == Profile::Legacy || !choice_.is_linux);

    host_ = detect_host_kind();
    say_what_was_chosen();
    Result<GuestRam> ram = GuestRam::create({.size_bytes = config_.memory_bytes, .hole_base = layout::kHole});
    if (!ram)
        return fail(std::move(ram)
                        .error()
                        .about("--memory " + print_size(config_.memory_bytes))
                        .hint("limits on address space: ulimit -v, vm.overcommit_memory"));
    ram_.emplace(std::move(*ram));
    if (kernel_log_) kernel_log_->set_memory(ram_->memory());
    timeline_.reach(Phase::MemoryMapped);
    TRY_VOID(load());
    timeline_.reach(Phase::KernelLoaded);

    vm_.emplace(TRY(early.take_vm()));
    TRY_VOID(add_memory());
    TRY_VOID(add_irqchip());
    timeline_.reach(Phase::Irqchip);
    TRY_VOID(add_platform());
    TRY_VOID(add_vcpus(early));
    timeline_.reach(Phase::Vcpus);
    images_->ignore_stop();
    if (vmlinux_) vmlinux_->ignore_stop();
    return {};
}

Result<void> Machine::open_images() {
    images_.emplace(TRY(GuestImages::open(config_, stop_.token())));
    choice_ = TRY(choose_kernel(images_->kernel(), config_.protocol));
    shape_ = TRY(choose_shape(config_, choice_.protocol));
    vmlinux_ =
        TRY(unpack_cached(images_->kernel(), choice_, config_.memory_bytes, {.place = config_.kernel_cache}));
    if (config_.console_device == ConsoleDevice::Auto) config_.console_device = choose_console();
    return {};
}

ConsoleDevice Machine::choose_console() const {
    // A serial port costs two exits a character, and tells what comes before the first driver; the user who
    // names a console has decided.
    if (!choice_.is_linux) return ConsoleDevice::Serial;
    if (has_parameter(config_.append, "console"))
        return config_.append.find("console=hvc") != std::string::npos ? ConsoleDevice::Virtio
                                                                       : ConsoleDevice::Serial;
    if (!config_.has_default_append || has_parameter(config_.append, "earlycon") ||
        has_parameter(config_.append, "earlyprintk"))
        return ConsoleDevice::Serial;
    const Image& vmlinux = vmlinux_ ? *vmlinux_ : images_->kernel();
    // Where virtio is built in its PCI transport is too; the other is a module of Debian's.
    const bool has_transport =
        config_.transport == TransportChoice::Pci || has_driver(vmlinux, "virtio-mmio");
    return has_transport && has_driver(vmlinux, "virtio_console") ? ConsoleDevice::Virtio
                                                                  : ConsoleDevice::Serial;
}

bool Machine::lacks_early_output() const {
    return choice_.is_linux && config_.has_default_append &&
           config_.console_device == ConsoleDevice::Virtio && !config_.has_test_device &&
           !has_parameter(config_.append, "console") && !has_parameter(config_.append, "earlycon");
}

bool Machine::can_read_log(const PrintkRing& ring) const {
    // Linux's log_buf_add_cpu(): it moves its log where more processors are to have more, and each 4 KiB.
    constexpr u64 kMoreForACpu = KiB(4);
    constexpr u32 kTextBitsMin = 17;  // a boot's log, of which nothing is to be overwritten
    if (ring.text_bits < kTextBitsMin) return false;
    if ((config_.cpus - 1) * kMoreForACpu > (u64{1} << ring.text_bits) / 2) return false;
    // What moves it too, or alters its printed form.
    constexpr std::array kUnusual{"possible_cpus", "log_buf_len", "printk.time", "console_msg_format"};
    return std::ranges::none_of(kUnusual,
                                [&](std::string_view key) { return has_parameter(config_.append, key); });
}

void Machine::add_early_output() {
    const Image& vmlinux = vmlinux_ ? *vmlinux_ : images_->kernel();
    const std::optional<PrintkRing> ring = find_printk_ring(vmlinux);
    if (ring && can_read_log(*ring))
        kernel_log_.emplace(*ring, *output_, stop_);
    else
        early_console_.emplace(*output_);
}

Result<void> Machine::pack_program() {
    if (!choice_.is_linux)
        return fail(Error::invalid(fmt::format("--exec {}: {} is no Linux kernel", config_.exec->program,
                                               images_->kernel().name())));
    InitramfsRequest request{
        .program = config_.exec->program,
        .arguments = config_.exec->arguments,
        .root = config_.exec->root,
        .modules = config_.exec->modules,
        .status_port = config_.exit_ports.empty() ? layout::kPortExit : config_.exit_ports.front(),
        .bytes_max = config_.memory_bytes,
        .outputs = config_.exec->outputs,
        .stop = stop_.token()};
    if (!request.modules.empty()) request.wanted_modules = devices_->plan().linux_modules();
    return images_->set_initrd("the initramfs of --exec", TRY(pack_initramfs(request)));
}

Result<void> Machine::load() {
    const std::vector<BootModule> modules = images_->modules();
    BootRequest request;
    request.kernel_name = images_->kernel().name();
    request.command_line = command_line();
    request.initrd = images_->initrd();
    request.vmlinux = vmlinux_ ? &*vmlinux_ : nullptr;
    request.modules = modules;
    log::info("command line: " + request.command_line);
    if (::getrandom(request.rng_seed.data(), request.rng_seed.size(), 0) !=
        static_cast<ssize_t>(request.rng_seed.size()))
        return fail(Error::os("getrandom"));
    TRY_VOID(write_tables(request));
    entry_ =
        TRY(load_guest(images_->kernel(), choice_, request, *ram_, MemoryMap::for_ram(config_.memory_bytes)));
    return {};
}

std::string Machine::command_line() {
    if (choice_.is_linux) {
        // Virtio-mmio devices are in ACPI; with words of their own Linux would try each of them twice.
        LinuxCommandLine line =
            linux_command_line(config_, {config_.console_device, early_console_.has_value()},
                               config_.exec ? kInitPath : std::string_view(), log::is_verbose());
        const bool is_refused = line.text.size() > kLinuxCommandLineMax;  // the loader says so
        if (config_.has_default_append && !line.has_defaults && !is_refused)
            log::warning("--append leaves no room on the command line for mayfly's own words");
        marks_panics_ = line.marks_panics;
        if (kernel_log_) kernel_log_->set_level(linux_log_level(line.text));
        return std::move(line.text);
    }
    // A kernel that only starts like Linux may take a word that it does not know for its program's.
    const std::string devices = devices_->plan().mmio_words();
    return config_.append + (config_.append.empty() || devices.empty() ? "" : " ") + devices;
}

Result<void> Machine::write_tables(BootRequest& request) const {
    // Without LAPICs there is nothing that MADT or MP table could say.
    if (shape_.irqchip == Irqchip::None) return {};
    const bool is_legacy = shape_.profile == Profile::Legacy;
    AcpiOptions acpi;
    acpi.cpu_count = config_.cpus;
    acpi.hardware_reduced = !is_legacy;
    acpi.has_ioapic_and_pic = is_legacy;
    acpi.has_serial_ioapic = !is_legacy;
    acpi.pci = PciHost{.ecam = EcamRange{.base = layout::kEcam, .end_bus = 0},
                       .has_config_ports = has_config_ports_ || is_legacy,
                       .memory32 = {.base = layout::kPciMemory, .size_bytes = layout::kPciMemoryBytes},
                       .config_pages = std::nullopt,
                       .memory64 = std::nullopt,
                       .intx = std::nullopt};
    if (devices_->plan().has_pci()) {
        acpi.pci->config_pages =
            PciWindow{.base = layout::kPciConfigPages, .size_bytes = layout::kPciConfigPagesBytes};
        if (is_legacy) acpi.pci->intx = layout::kIrqPci;
    }
    const std::vector<VirtioMmioSlot> mmio_slots = devices_->plan().mmio_slots();
    acpi.virtio_mmio = mmio_slots;
    acpi.serial = SerialPort{.port = layout::kPortSerial, .irq = layout::kIrqSerial};
    acpi.pvpanic_port = layout::kPortPvpanic;
    // Linux has kvmclock, and reads the chip for a third of a millisecond where it is told of one.
    acpi.has_rtc = is_legacy || !choice_.is_linux;
    request.rsdp = TRY(write_acpi(ram_->memory(), acpi));
    MpTableOptions mptable;
    mptable.cpu_count = config_.cpus;
    mptable.pci_intx = acpi.pci->intx;
    if (is_legacy) TRY_VOID(write_mptable(ram_->memory(), mptable));
    return {};
}

Result<void> Machine::add_memory() {
    // An unknown flavour may be VMX whose module is hidden from us.
    if (host_.flavour == KvmFlavour::Vmx || host_.flavour == KvmFlavour::Unknown)
        TRY_VOID(vm_->set_tss_address(layout::kKvmTss, layout::kKvmIdentityMap));
    // All of it now, though a KVM that shadows page tables charges 0.4 us for each MiB: making a slot at the
    // guest's first access would hide that, but an exception's push to a fresh stack, or kvmclock's page, is
    // no access that comes back to user space.
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
    if (early_console_) TRY_VOID(early_console_->add_memory(*vm_, slot + 1));
    return devices_->add_window(*vm_, slot);
}

Result<void> Machine::add_irqchip() {
    if (shape_.irqchip == Irqchip::None) user_irqchip_ = TRY(UserIrqchip::create(stop_));
    interrupts_.emplace(*vm_, shape_.irqchip, user_irqchip_.get());
    TRY_VOID(interrupts_->create(choose_pit(config_.pit, choice_.is_linux, host_.has_avic).reinjects));
    if (!host_.has_hypercalls) {
        // KVM would patch a VMCALL into the vendor's form for ever where neither reaches it; refused, it is
        // #UD.
        (void)vm_->enable(KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_FIX_HYPERCALL_INSN);
    }
    return {};
}

Result<void> Machine::add_platform() {
    const std::vector<u16> exit_ports =
        config_.exit_ports.empty() ? std::vector<u16>{layout::kPortExit} : config_.exit_ports;
    const PlatformOptions options{.profile = shape_.profile,
                                  .memory_bytes = config_.memory_bytes,
                                  .exit_ports = exit_ports,
                                  .exit_form = config_.exec ? ExitPort::Form::Word : ExitPort::Form::Value};
    platform_.emplace(options, *interrupts_, *debug_, input_, stop_, timeline_);
    if (user_irqchip_ != nullptr) user_irqchip_->map_onto(platform_->ports());
    interrupts_->map_onto(platform_->mmio());
    if (early_console_) early_console_->map_onto(platform_->mmio(), *vm_);
    if (config_.has_test_device) {
        test_device_.emplace(*vm_, *interrupts_, devices_->io().rewiring(), platform_->ports());
        test_device_->map_onto(platform_->ports());
    }
    const DeviceSurroundings around{.memory = ram_->memory(),
                                    .vm = *vm_,
                                    .interrupts = *interrupts_,
                                    .io = devices_->io(),
                                    .io_choice = config_.io};
    devices_->build(around, platform_->ports(), platform_->mmio(), platform_->reset_control(),
                    has_config_ports_);
    return platform_->map_devices(options, shape_.irqchip, has_config_ports_);
}

Result<void> Machine::add_vcpus(EarlyKvm& early) {
    vcpus_.reserve(config_.cpus);
    contexts_.reserve(config_.cpus);
    for (u32 id = 0; id < config_.cpus; ++id) {
        Result<KvmVcpu> vcpu = vm_->create_vcpu(id);
        if (!vcpu) return fail(std::move(vcpu).error().about(fmt::format("vCPU {} of {}", id, config_.cpus)));
        vcpus_.push_back(std::move(*vcpu));
    }
    // Asked for last: the other thread has had the time that the vCPUs took.
    const CpuidTable cpuid = TRY(early.take_cpuid());
    const bool has_tsc_deadline = early.system().check(KVM_CAP_TSC_DEADLINE_TIMER) != 0;
    for (u32 id = 0; id < config_.cpus; ++id) {
        KvmVcpu& vcpu = vcpus_[id];
        TRY_VOID(set_up_vcpu(vcpu, cpuid, has_tsc_deadline));
        stop_.add_vcpu(vcpu.run_page());
        contexts_.push_back(VcpuContext{.vcpu = vcpu,
                                        .buses = {platform_->ports(), platform_->mmio()},
                                        .stop = stop_,
                                        .output = *output_,
                                        .debug = *debug_,
                                        .memory = ram_->memory(),
                                        .flavour = host_.flavour,
                                        .timeline = id == 0 ? &timeline_ : nullptr,
                                        .user_irqchip = user_irqchip_.get(),
                                        .test_device = test_device_ ? &*test_device_ : nullptr,
                                        .early_console = early_console_ ? &*early_console_ : nullptr,
                                        .kernel_log = kernel_log_ ? &*kernel_log_ : nullptr});
    }
    return {};
}

Result<void> Machine::set_up_vcpu(KvmVcpu& vcpu, CpuidTable cpuid, bool has_tsc_deadline) {
    const CpuidFacts facts{.cpu_count = config_.cpus,
                           .tsc_khz = vcpu.tsc_khz(),
                           .has_kernel_apic = shape_.irqchip != Irqchip::None,
                           .has_tsc_deadline = has_tsc_deadline,
                           .has_hypercalls = host_.has_hypercalls,
                           .has_hardware_ipi = host_.has_hardware_ipi,
                           .hide_x2apic = host_.hide_x2apic};
    make_guest_cpuid(cpuid, facts, vcpu.id());
    TRY_VOID(vcpu.set_cpuid(cpuid));
    // A refused MSR is the host's way of not having it; nothing that a guest needs depends on these.
    (void)TRY(vcpu.set_msrs(entry_msrs()));
    // An application processor waits for INIT and SIPI, which set every register.
    if (vcpu.id() != 0) return {};
    kvm_sregs sregs = TRY(vcpu.sregs());
    apply_entry_mode(entry_, sregs);
    TRY_VOID(vcpu.set_sregs(sregs));
    return vcpu.set_regs(entry_regs(entry_));
}

void Machine::say_what_was_chosen() const {
    if (!log::is_verbose()) return;
    log::info(fmt::format("kernel {}: {} ({})", images_->kernel().name(), to_string(choice_.protocol),
                          choice_.why));
    log::info(fmt::format("profile {}, irqchip {}: {}", to_string(shape_.profile), to_string(shape_.irqchip),
                          shape_.why));
    if (shape_.irqchip == Irqchip::Full) {
        const PitMode pit = choose_pit(config_.pit, choice_.is_linux, host_.has_avic);
        log::info(
            fmt::format("8254: late ticks are {}: {}", pit.reinjects ? "reinjected" : "discarded", pit.why));
    }
    log::info(fmt::format("{} memory, {} vCPU{}, KVM flavour {}", print_size(config_.memory_bytes),
                          config_.cpus, config_.cpus == 1 ? "" : "s", to_string(host_.flavour)));
}

void Machine::start_aps() {
    for (std::size_t i = 1; i < contexts_.size(); ++i) {
        Result<Thread> ap = Thread::start([this, i] { run_vcpu(contexts_[i], i); });
        if (!ap)
            return stop_.end({EndKind::HostError, 0, fmt::format("vCPU {}: {}", i, ap.error().message())});
        aps_.push_back(*ap);
    }
}

void Machine::wait_for_aps() {
    // Most leave at once. A vCPU that is still in the kernel after a second or so ends with the process.
    constexpr u32 kWaitMax = 1 << 20;
    for (u32 wait_us = 16; wait_us < kWaitMax && stop_.threads_inside() > 0; wait_us *= 2) {
        ::usleep(wait_us);
        stop_.kick_all();
    }
    if (stop_.threads_inside() > 0) return;
    for (Thread& ap : aps_) ap.join();
    aps_.clear();
}

Result<void> Machine::connect_console() {
    if (config_.console != "stdio") return {};
    const StdinKind kind = stdin_kind();
    ConsoleInput::Wiring wiring;
    wiring.fd = kind == StdinKind::Background ? -1 : STDIN_FILENO;
    wiring.is_terminal = kind == StdinKind::Foreground;
    const bool is_terminal = wiring.is_terminal;
    VirtioConsole* virtio = devices_->console();
    if (virtio != nullptr) {
        wiring.deliver = [virtio](std::span<const u8> bytes) { return virtio->receive(bytes); };
        wiring.resize = [virtio](WindowSize size) { return virtio->resize(size); };
    } else {
        platform_->serial().connect();
        wiring.deliver = [this](std::span<const u8> bytes) -> std::optional<std::size_t> {
            const std::unique_lock<std::mutex> lock = platform_->ports().lock(platform_->uart());
            return platform_->uart().receive(bytes);
        };
    }
    TRY_VOID(input_.connect(std::move(wiring), stop_));
    if (is_terminal && ::isatty(STDOUT_FILENO) == 1) output_->look_for_questions();
    if (is_terminal) make_terminal_raw();
    return {};
}

Result<void> Machine::hurry_early_output() {
    // A kernel that hangs has no exits; what it said last must not wait for the timeout to be looked at. By a
    // kick, because it is a vCPU's thread that writes the console: there a stalled reader does not keep us.
    Thread thread = TRY(Thread::start([this] {
        constexpr int kLookMs = 50;
        while (::poll(nullptr, 0, kLookMs), !stop_.is_requested()) {
            if (kernel_log_ && kernel_log_->has_given_way()) return;
            if (kernel_log_ ? kernel_log_->has_more() : early_console_->has_collected(vcpus_[0]))
                stop_.kick_all();
        }
    }));
    thread.detach();  // nobody takes a machine that has run apart
    return {};
}

Ending Machine::run() {
    if (const Result<void> connected = connect_console(); !connected)
        return {EndKind::HostError, 0, "console: " + connected.error().message()};
    const bool is_looked_at = (kernel_log_ || early_console_) && output_->is_looked_at();
    if (is_looked_at || (kernel_log_ && kernel_log_->is_verbose())) {
        if (const Result<void> started = hurry_early_output(); !started) {
            restore_terminal();
            return {EndKind::HostError, 0, "early console: " + started.error().message()};
        }
    }
    start_aps();
    run_vcpu(contexts_[0], 0);
    timeline_.reach(Phase::Exit);
    wait_for_aps();
    devices_->finish();
    if (early_console_) early_console_->drain(vcpus_[0]);
    if (kernel_log_) kernel_log_->finish();
    debug_->finish();
    output_->flush();
    if (output_->has_asked_lately()) input_.settle(output_->fd());
    restore_terminal();
    return understood(stop_.ending());
}

Ending Machine::understood(Ending ending) const {
    GuestFacts facts;
    facts.has_panic_mark =
        marks_panics_ && ram_->memory().read_object<u16>(Gpa{kResetFlagAddress}) == kResetFlagPanic;
    if (config_.exec) facts.program = config_.exec->program;
    Ending understood = understand(std::move(ending), facts);
    // A kernel that was told to stay, or had no time to read that it was not to, has panicked long ago.
    if (understood.kind == EndKind::Panic || understood.kind == EndKind::Timeout)
        understood.panic_words = panic_words();
    return understood;
}

std::string Machine::panic_words() const {
    if (!choice_.is_linux) return {};
    std::string line;
    if (kernel_log_) {
        line = panic_line(kernel_log_->records());
    } else if (const auto ring = find_printk_ring(vmlinux_ ? *vmlinux_ : images_->kernel())) {
        PrintkRecords records(*ring);
        records.set_memory(ram_->memory());
        line = panic_line(records);
    }
    return line.empty() ? panic_line(output_->last_bytes()) : line;
}

ExitCounts Machine::exit_counts() const {
    ExitCounts total;
    for (const VcpuContext& context : contexts_) total.add(context.counts);
    return total;
}

}  // namespace mayfly
