// SPDX-License-Identifier: Apache-2.0
// Thread: a thread whose creation may fail, as it does where the host allows no more: std::thread throws.
//
// Thread: any.
#pragma once

#include <functional>

#include <pthread.h>

#include "vmm/error/result.h"

namespace mayfly {

class Thread {
  public:
    /// Runs `body` on a new thread. Errors: Os.
    static Result<Thread> start(std::function<void()> body);

    /// One of the three is called once, before this object goes.
    void join() { ::pthread_join(handle_, nullptr); }
    /// The same for a thread that was told to end, and may be in a blocking system call: sends it `signal`,
    /// which must have a handler, until it has ended.
    void interrupt_and_join(int signal);
    void detach() { ::pthread_detach(handle_); }

  private:
    explicit Thread(pthread_t handle) : handle_(handle) {}

    pthread_t handle_;
};

}  // namespace mayfly
