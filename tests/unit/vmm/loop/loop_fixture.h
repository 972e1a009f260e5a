// SPDX-License-Identifier: Apache-2.0
// A loop on a thread of its own, and operations, tasks and pollers that call a function. Set-up only.
#pragma once

#include <dirent.h>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "vmm/loop/loop.h"

namespace mayfly {

class CallOperation final : public Operation {
  public:
    CallOperation() = default;
    explicit CallOperation(std::function<void(i32, bool)> what) : call(std::move(what)) {}
    void on_complete(i32 result, bool has_more) override {
        results.push_back(result);
        if (call) call(result, has_more);
    }
    std::function<void(i32, bool)> call;
    std::vector<i32> results;
};

class CallTask final : public Task {
  public:
    CallTask() = default;
    explicit CallTask(std::function<void()> what) : call(std::move(what)) {}
    void run() override { call(); }
    std::function<void()> call;
};

class CallTimer final : public Timer {
  public:
    explicit CallTimer(std::function<void()> what) : call(std::move(what)) {}
    void on_time() override { call(); }
    std::function<void()> call;
};

/// No rings of guests.
class NoPoller final : public Poller {
  public:
    bool poll() override { return false; }
    bool prepare_to_sleep() override {
        ++prepared;
        return true;
    }
    void woke() override { ++woken; }
    u64 prepared = 0;
    u64 woken = 0;
};

inline std::unique_ptr<Loop> make_loop(const LoopOptions& options = {}) {
    auto loop = Loop::create(options);
    if (!loop) FAIL(loop.error().message());
    return std::move(*loop);
}

/// Threads of this process: the kernel's io_uring workers are among them.
inline int count_threads() {
    int count = 0;
    DIR* tasks = ::opendir("/proc/self/task");
    while (const dirent* entry = ::readdir(tasks)) count += entry->d_name[0] != '.';
    ::closedir(tasks);
    return count;
}

}  // namespace mayfly
