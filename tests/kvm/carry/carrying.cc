// SPDX-License-Identifier: Apache-2.0
// Boots a guest as `mayfly boot` does, and again and again takes its machine apart and goes on with another
// one, in one process: pause, save, destroy, build, restore, run. The guest's memory stays where it is.
//
//   MAYFLY_CARRIES=SEED:APART_US:COUNT   each machine runs for up to APART_US, at most COUNT are left behind
//   MAYFLY_CARRIES_LOG=FILE              a line for each guest is added: how many there were
//
//   carrying boot BOOT-OPTIONS...
//
// Its status is mayfly's; or 70, with a line, where a machine cannot be carried, or none was carried in more
// than a second; or 77 without /dev/kvm. Reports are not written, and --timeout is ignored.
#include <atomic>
#include <chrono>
#include <cpuid.h>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include <signal.h>
#include <unistd.h>

#include "vmm/command/options/boot_options.h"
#include "vmm/machine/machine.h"
#include "vmm/os/clock.h"

namespace {

using namespace mayfly;

constexpr int kStatusNotCarried = 70;
constexpr u64 kTimeToCarryNs = 1'000'000'000;
constexpr std::chrono::seconds kPatience{20};

[[noreturn]] void give_up(const std::string& what, const Error& error) {
    std::fprintf(stderr, "carrying: %s: %s\n", what.c_str(), error.message().c_str());
    std::_Exit(kStatusNotCarried);
}

struct Plan {
    unsigned seed = 1;
    unsigned apart_us = 1000;
    unsigned count = 100;
};

Plan plan() {
    Plan plan;
    const char* const given = std::getenv("MAYFLY_CARRIES");
    if (given != nullptr && std::sscanf(given, "%u:%u:%u", &plan.seed, &plan.apart_us, &plan.count) != 3) {
        std::fputs("MAYFLY_CARRIES is not SEED:APART_US:COUNT\n", stderr);
        std::_Exit(kStatusNotCarried);
    }
    return plan;
}

/// QEMU's emulation of SVM gives no port to a guest's ring 3 while its TSS is busy, as a processor's always
/// is (target/i386/tcg, helper_check_io() wants type 9). There KVM reports a busy one and uses another; it
/// accepts the reported one.
bool has_emulated_svm() {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    __cpuid(0x4000'0000, a, b, c, d);
    return b == 0x5447'4354 && c == 0x4354'4743 && d == 0x4743'5447;  // "TCGTCGTCGTCG"
}

void leave_tss_as_emulated(MachineState& state) {
    constexpr u8 kAvailableTss = 9;
    for (VcpuState& vcpu : state.vcpus) vcpu.sregs.tr.type = kAvailableTss;
}

/// A machine, with the objects that must exist before and after it.
struct Lifetime {
    StopControl stop;
    Timeline timeline;
    std::unique_ptr<Machine> machine;
};

class Carrying {
  public:
    explicit Carrying(const Plan& plan) : random_(plan.seed), apart_us_(plan.apart_us), left_(plan.count) {}

    /// Runs the guest from its beginning to its end.
    Ending run(const BootConfig& config) {
        auto life = std::make_unique<Lifetime>();
        Result<std::unique_ptr<Machine>> machine =
            Machine::create(config, kOutput, life->stop, life->timeline);
        if (!machine) give_up("create", machine.error());
        life->machine = std::move(*machine);
        for (;;) {
            const Ending ending = run_until_saved(*life);
            if (!saved_) return ending;
            MachineParts parts = Machine::take_apart(std::move(life->machine));
            life = std::make_unique<Lifetime>();
            machine = Machine::restore(std::move(parts), *saved_, kOutput, life->stop, life->timeline);
            if (!machine) give_up("restore", machine.error());
            life->machine = std::move(*machine);
            saved_.reset();
            ++carried_;
        }
    }
    [[nodiscard]] unsigned carried() const { return carried_; }

  private:
    static constexpr OutputFds kOutput{.console = STDOUT_FILENO, .debug = -1};

    Ending run_until_saved(Lifetime& life) {
        std::atomic<bool> is_over = false;
        std::thread saving;
        if (left_ > 0) {
            --left_;
            const auto wait = std::chrono::microseconds(random_() % (apart_us_ + 1));
            saving = std::thread([&, wait] { save_after(wait, life, is_over); });
        }
        Ending ending = life.machine->run();
        is_over = true;
        if (saving.joinable()) saving.join();
        return ending;
    }

    void save_after(std::chrono::microseconds wait, Lifetime& life, const std::atomic<bool>& is_over) {
        std::this_thread::sleep_for(wait);
        if (is_over) return;
        if (const Result<void> paused = life.machine->pause(kPatience); !paused) {
            if (paused.error().kind() == ErrorKind::Stopped) return;
            give_up("pause", paused.error());
        }
        Result<MachineState> state = life.machine->save();
        if (!state) give_up("save", state.error());
        if (has_emulated_svm()) leave_tss_as_emulated(*state);
        saved_.emplace(std::move(*state));
        life.stop.end({EndKind::Quit, 0, {}});
    }

    std::mt19937 random_;
    unsigned apart_us_;
    unsigned left_;
    unsigned carried_ = 0;
    std::optional<MachineState> saved_;
};

void write_log(unsigned carried) {
    const char* const path = std::getenv("MAYFLY_CARRIES_LOG");
    std::FILE* const log = path != nullptr ? std::fopen(path, "a") : nullptr;
    if (log == nullptr) return;
    std::fprintf(log, "%u\n", carried);
    std::fclose(log);
}

}  // namespace

int main(int argc, char** argv) {
    if (::access("/dev/kvm", R_OK | W_OK) != 0) return 77;
    if (argc < 2) return kStatusFailed;
    const Result<BootArguments> arguments = parse_boot_arguments(argc - 1, argv + 1);
    if (!arguments) give_up("options", arguments.error());
    Result<BootConfig> config = boot_config(*arguments);
    if (!config) give_up("options", config.error());
    if (config->cpus == 0) config->cpus = 1;
    for (const int number : {kick_signal(), SIGPIPE}) ::signal(number, [](int) {});
    const Plan chosen = plan();
    Carrying carrying(chosen);
    const u64 begin_ns = monotonic_ns();
    const ExitStatus end = exit_status(carrying.run(*config), {});
    if (carrying.carried() == 0 && chosen.count > 0 && monotonic_ns() - begin_ns > kTimeToCarryNs)
        give_up("run", Error::host("no machine was left behind"));
    if (!end.line.empty()) std::fprintf(stderr, "mayfly: %s\n", end.line.c_str());
    write_log(carrying.carried());
    return end.status;
}
