// SPDX-License-Identifier: Apache-2.0
#include "vmm/threads/thread.h"

#include <csignal>
#include <ctime>
#include <memory>

namespace mayfly {

namespace {

using Body = std::function<void()>;

/// Enough for a crash report; the size of `ulimit -s` would count 64 times, once per vCPU.
constexpr std::size_t kStackBytes = KiB(256);

void* run_body(void* argument) {
    const std::unique_ptr<Body> body(static_cast<Body*>(argument));
    (*body)();
    return nullptr;
}

}  // namespace

Result<Thread> Thread::start(Body body) {
    auto owned = std::make_unique<Body>(std::move(body));
    pthread_t handle{};
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, kStackBytes);
    const int status = ::pthread_create(&handle, &attributes, run_body, owned.get());
    ::pthread_attr_destroy(&attributes);
    if (status != 0)
        return fail(Error::os("starting a thread", status)
                        .hint("a limit is reached: ulimit -u, pids.max of the cgroup, or ulimit -v"));
    (void)owned.release();  // run_body owns it now
    return Thread(handle);
}

void Thread::interrupt_and_join(int signal) {
    constexpr long kAgainNs = 1'000'000;
    constexpr long kNsInSecond = 1'000'000'000;
    timespec again{};
    do {
        // Repeated, because the signal may come just before the call that it should interrupt.
        ::pthread_kill(handle_, signal);
        ::clock_gettime(CLOCK_REALTIME, &again);
        again.tv_nsec += kAgainNs;
        again.tv_sec += again.tv_nsec / kNsInSecond;
        again.tv_nsec %= kNsInSecond;
    } while (::pthread_timedjoin_np(handle_, nullptr, &again) != 0);
}

}  // namespace mayfly
