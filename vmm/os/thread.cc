// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/thread.h"

#include <memory>

namespace mayfly {

namespace {

using Body = std::function<void()>;

void* run_body(void* argument) {
    const std::unique_ptr<Body> body(static_cast<Body*>(argument));
    (*body)();
    return nullptr;
}

}  // namespace

Result<Thread> Thread::start(Body body) {
    auto owned = std::make_unique<Body>(std::move(body));
    pthread_t handle{};
    const int status = ::pthread_create(&handle, nullptr, run_body, owned.get());
    if (status != 0)
        return fail(Error::os("starting a thread", status)
                        .hint("a limit on threads is reached: ulimit -u, or pids.max of the cgroup"));
    (void)owned.release();  // run_body has it now
    return Thread(handle);
}

}  // namespace mayfly
