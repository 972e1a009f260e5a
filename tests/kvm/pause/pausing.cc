// SPDX-License-Identifier: Apache-2.0
// mayfly, but every machine is paused and resumed again and again while it runs, at moments that a seed
// chooses: the linker redirects Machine::run() here. Thus mayfly's tests run on machines that pause.
//
//   MAYFLY_PAUSES=SEED:APART_US:HOLD_US[:LIMIT_MS]   run for up to APART_US, stand still for up to HOLD_US
//   MAYFLY_PAUSES_LOG=FILE                           a line of JSON for each machine is added: what each took
//
// A pause that fails while the guest runs ends the process with 70 and a line on stderr; with a limit it is
// counted.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fmt/core.h>
#include <fmt/format.h>

#include "vmm/machine/machine.h"
#include "vmm/os/clock.h"

namespace {

using namespace mayfly;
using std::chrono::microseconds;

constexpr int kStatusPauseFailed = 70;

struct Plan {
    unsigned seed = 1;
    unsigned apart_us = 500;
    unsigned hold_us = 100;
    unsigned limit_ms = 20'000;
    bool may_fail = false;
};

Plan plan() {
    Plan plan;
    const char* const given = std::getenv("MAYFLY_PAUSES");
    if (given == nullptr) return plan;
    const int count =
        std::sscanf(given, "%u:%u:%u:%u", &plan.seed, &plan.apart_us, &plan.hold_us, &plan.limit_ms);
    if (count < 3) {
        std::fputs("MAYFLY_PAUSES is not SEED:APART_US:HOLD_US[:LIMIT_MS]\n", stderr);
        std::_Exit(kStatusPauseFailed);
    }
    plan.may_fail = count == 4;
    return plan;
}

class Pauses {
  public:
    explicit Pauses(Machine& machine)
        : machine_(machine), plan_(plan()), random_(plan_.seed), thread_([this] { run(); }) {}
    Pauses(const Pauses&) = delete;
    Pauses& operator=(const Pauses&) = delete;
    ~Pauses() {
        is_over_ = true;
        thread_.join();
        write_log();
    }

  private:
    void run() {
        while (!is_over_) {
            wait_up_to(plan_.apart_us);
            const u64 begin_ns = monotonic_ns();
            const Result<void> paused = machine_.pause(std::chrono::milliseconds(plan_.limit_ms));
            if (!paused) {
                if (paused.error().kind() == ErrorKind::Stopped) return;
                fail(paused.error());
                continue;
            }
            took_ns_.push_back(monotonic_ns() - begin_ns);
            wait_up_to(plan_.hold_us);
            const u64 resume_ns = monotonic_ns();
            machine_.resume();
            resumed_ns_.push_back(monotonic_ns() - resume_ns);
        }
    }

    void fail(const Error& error) {
        whys_.insert(error.message());
        ++failures_;
        if (plan_.may_fail) return;
        std::fprintf(stderr, "pause %zu failed: %s\n", took_ns_.size() + 1, error.message().c_str());
        std::_Exit(kStatusPauseFailed);
    }

    void wait_up_to(unsigned most_us) {
        const unsigned us = most_us == 0 ? 0 : static_cast<unsigned>(random_() % (most_us + 1));
        if (us != 0) std::this_thread::sleep_for(microseconds(us));
    }

    void write_log() const {
        const char* const path = std::getenv("MAYFLY_PAUSES_LOG");
        std::FILE* const log = path != nullptr ? std::fopen(path, "a") : nullptr;
        if (log == nullptr) return;
        fmt::print(log,
                   R"({{"pause_ns": [{}], "resume_ns": [{}], "failed": {}, "whys": ["{}"]}})"
                   "\n",
                   fmt::join(took_ns_, ", "), fmt::join(resumed_ns_, ", "), failures_,
                   fmt::join(whys_, "\", \""));
        std::fclose(log);
    }

    Machine& machine_;
    const Plan plan_;
    std::mt19937 random_;
    std::vector<u64> took_ns_;
    std::vector<u64> resumed_ns_;
    std::size_t failures_ = 0;
    std::set<std::string> whys_;
    std::atomic<bool> is_over_ = false;
    std::thread thread_;
};

}  // namespace

// The linker's names for the two.
Ending real_run(Machine* machine) asm("__real__ZN6mayfly7Machine3runEv");
Ending wrapped_run(Machine* machine) asm("__wrap__ZN6mayfly7Machine3runEv");

Ending wrapped_run(Machine* machine) {
    const Pauses pauses(*machine);
    return real_run(machine);
}
