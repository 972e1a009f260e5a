// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/kvm_host.h"

#include <sched.h>

#include "vmm/answer_cache/runtime_directory.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

void say_kept(const AnswerCache& cache, const std::string& directory, bool is_stored) {
    if (!log::is_verbose()) return;
    log::info("KVM's answers " + std::string(is_stored ? "are kept in " + directory : "are not kept") +
              (cache.why().empty() ? "" : ": " + cache.why()));
}

Error wrong_answers() {
    return Error::host("KVM does not answer as it did when an earlier boot asked it")
        .hint("the kept answers are dropped: run the command again");
}

}  // namespace

Result<std::unique_ptr<KvmHost>> KvmHost::open() {
    UniqueFd device = TRY(KvmSystem::open_device());
    const std::string directory = runtime_directory();
    AnswerCache cache({.directory = directory}, device);
    if (cache.answers() != nullptr) {
        if (log::is_verbose()) log::info("KVM's answers are those of an earlier boot: " + directory);
        KvmSystem system = KvmSystem::on(std::move(device), cache.answers()->run_bytes);
        return std::unique_ptr<KvmHost>(new KvmHost(std::move(system), std::move(cache)));
    }
    KvmSystem system = TRY(KvmSystem::on(std::move(device)));
    const bool is_stored = cache.store(TRY(ask(system)), system.fd());
    say_kept(cache, directory, is_stored);
    return std::unique_ptr<KvmHost>(new KvmHost(std::move(system), std::move(cache)));
}

bool KvmHost::is_said_by_any_cpu() const {
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
    bool is_said = false;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE && !is_said; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (::sched_setaffinity(0, sizeof one, &one) != 0) continue;
        const auto now = ask(system_);
        is_said = now && mean_the_same(**now, answers());
    }
    ::sched_setaffinity(0, sizeof allowed, &allowed);
    return is_said;
}

bool KvmHost::are_right() const {
    const auto now = ask(system_);
    // A failed call proves nothing.
    if (!now) return true;
    // Where a host's CPUs differ, each has its own answers.
    if (!mean_the_same(**now, answers()) && !is_said_by_any_cpu()) return false;
    cache_.confirm();
    return true;
}

void KvmHost::check() {
    Check due = Check::Due;
    if (!check_.compare_exchange_strong(due, Check::Running, std::memory_order_acq_rel)) return;
    const bool is_right = are_right();
    if (!is_right) cache_.forget();
    check_.store(is_right ? Check::Right : Check::Wrong, std::memory_order_release);
    check_.notify_all();
}

void KvmHost::start_check(StopControl& stop) {
    if (!cache_.is_due()) return;
    check_.store(Check::Due, std::memory_order_release);
    Result<Thread> thread = Thread::start([this, &stop] {
        check();
        if (check_.load(std::memory_order_acquire) == Check::Wrong)
            stop.end({EndKind::HostError, 0, wrong_answers().message()});
    });
    // Without a thread, finish_check() does it at the end.
    if (thread) checker_.emplace(*thread);
}

Result<void> KvmHost::finish_check() {
    check();
    for (Check seen = check_.load(std::memory_order_acquire); seen == Check::Running;
         seen = check_.load(std::memory_order_acquire))
        check_.wait(seen, std::memory_order_acquire);
    if (check_.load(std::memory_order_acquire) == Check::Wrong) return fail(wrong_answers());
    return {};
}

}  // namespace mayfly
