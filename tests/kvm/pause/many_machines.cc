// SPDX-License-Identifier: Apache-2.0
// Makes, runs, pauses and destroys machines one after the other in one process, and checks what they leave
// behind.
//
//   many_machines COUNT BOOT-OPTIONS...
//
// The guest's console is dropped; each has to end with exit code 0, or is ended. Exits with 1, and a line,
// where a machine cannot be made or fails, or when threads, descriptors or mappings are left; with 77 without
// /dev/kvm.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include <signal.h>
#include <unistd.h>

#include "vmm/command/options/boot_options.h"
#include "vmm/machine/machine.h"

namespace {

using namespace mayfly;

/// After so many, everything exists that the process makes once, such as a sanitizer's thread.
constexpr int kWarmUp = 20;

/// ThreadSanitizer keeps mappings of its own for past threads and memory.
#if defined(__SANITIZE_THREAD__)
constexpr bool kCountsMappings = false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr bool kCountsMappings = false;
#else
constexpr bool kCountsMappings = true;
#endif
#else
constexpr bool kCountsMappings = true;
#endif

struct Held {
    std::size_t threads = 0;
    std::size_t descriptors = 0;
    std::size_t mappings = 0;
};

std::size_t entries(const char* directory) {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
    return count;
}

Held held() {
    std::ifstream maps("/proc/self/maps");
    std::size_t mappings = 0;
    for (std::string line; std::getline(maps, line);) ++mappings;
    return {entries("/proc/self/task"), entries("/proc/self/fd"), mappings};
}

[[noreturn]] void give_up(int number, const std::string& why) {
    std::fprintf(stderr, "machine %d: %s\n", number, why.c_str());
    std::_Exit(1);
}

void run_one(const BootConfig& config, int number) {
    StopControl stop;
    Timeline timeline;
    Result<std::unique_ptr<Machine>> machine = Machine::create(config, {}, stop, timeline);
    if (!machine) give_up(number, machine.error().message());
    std::atomic<bool> is_over = false;
    // Every other machine is paused while it runs, and taken apart afterwards; some end while paused, and are
    // never resumed.
    const bool ends_paused = number % 4 == 0;
    int pauses_left = number / 4 % 16 * 10;
    std::thread pausing([&] {
        while (number % 2 == 0 && !is_over) {
            if (!(*machine)->pause(std::chrono::seconds(20))) return;
            if (ends_paused && pauses_left-- == 0) return stop.end({EndKind::Quit, 0, {}});
            (*machine)->resume();
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
    });
    const Ending ending = (*machine)->run();
    is_over = true;
    pausing.join();
    machine->reset();
    stop.vcpus().kick_all();  // finds no vCPU any more
    if (ends_paused && ending.kind == EndKind::Quit) return;
    if (ending.kind != EndKind::ExitCode || ending.value != 0)
        give_up(number, "it ended otherwise: " + ending.message);
}

void say(const char* when, const Held& now) {
    std::printf("%s: %zu threads, %zu descriptors, %zu mappings\n", when, now.threads, now.descriptors,
                now.mappings);
}

}  // namespace

int main(int argc, char** argv) {
    if (::access("/dev/kvm", R_OK | W_OK) != 0) return 77;
    if (argc < 2) return 1;
    const int count = std::atoi(argv[1]);
    const Result<BootArguments> arguments = parse_boot_arguments(argc - 1, argv + 1);
    if (!arguments) give_up(0, arguments.error().message());
    Result<BootConfig> config = boot_config(*arguments);
    if (!config) give_up(0, config.error().message());
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(kick_signal(), &action, nullptr);
    Held before;
    for (int number = 1; number <= count; ++number) {
        run_one(*config, number);
        if (number == kWarmUp) before = held();
    }
    const Held after = held();
    say("before", before);
    say("after", after);
    // An allocator, or a sanitizer, keeps a few more; a machine that leaks one leaks one each time.
    const std::size_t mappings_max = before.mappings + static_cast<std::size_t>(count - kWarmUp) - 1;
    const bool is_clean = after.threads == before.threads && after.descriptors == before.descriptors &&
                          (!kCountsMappings || after.mappings <= mappings_max);
    return is_clean && count > kWarmUp ? 0 : 1;
}
