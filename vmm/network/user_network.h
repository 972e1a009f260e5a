// SPDX-License-Identifier: Apache-2.0
// UserNetwork: a passt of our own, for users without rights to a tap.
//
// It runs as long as this object, at the other end of a socket pair, and starts in parallel with the boot. A
// passt that cannot start ends the machine; one that ends later is restarted, after a while and not too
// often, and the guest's link is down until then. Should mayfly be killed, the socket closes and passt ends
// by itself. Lives until the loop is destroyed.
//
// Thread: start() and finish() the main thread, the latter when no loop runs; everything else the loop's,
// unless a comment says otherwise. Spec: man passt(1).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "vmm/network/passt.h"
#include "vmm/network/passt_arguments.h"
#include "vmm/network/readiness.h"
#include "vmm/network/restart_policy.h"
#include "vmm/process/process.h"

namespace mayfly {

class UserNetwork final : public Backend,
                          private PasstKeeper,
                          private ReadinessClient,
                          private Task,
                          private Timer {
  public:
    /// Called on the loop's thread with the reason why passt could not start.
    using OnFailure = std::function<void(std::string why)>;

    /// Errors: Invalid when passt is not installed; Host when it cannot be executed.
    static Result<std::unique_ptr<UserNetwork>> start(UserNetworkOptions options, OnFailure on_failure);
    ~UserNetwork() override { UserNetwork::finish(); }

    [[nodiscard]] Passt& backend() { return *passt_; }
    Result<void> attach(Loop& loop) override;
    /// Ends passt and waits for its end.
    void finish() override;

  private:
    /// One passt, with our ends of its socket and pipe.
    struct Launched {
        Process process;
        UniqueFd socket;
        UniqueFd words;  ///< its standard error output
    };

    UserNetwork(UserNetworkOptions options, std::string program, OnFailure on_failure);
    [[nodiscard]] Result<Launched> launch() const;
    void adopt(Launched made);
    Result<void> restart();
    void start_again_or_not(const std::string& how);
    /// The process has ended: reaps it. \returns how it ended, with its message.
    [[nodiscard]] std::string reap();

    void on_passt_lost(std::string_view why) override;  ///< any thread
    void run() override;
    void on_readable(u16 index) override;
    void on_writable(u16 /*index*/) override {}
    void on_gone(u16 /*index*/) override {}
    void on_time() override;

    UserNetworkOptions options_;
    std::string program_;
    OnFailure on_failure_;
    std::unique_ptr<Passt> passt_;
    std::optional<Process> process_;
    UniqueFd words_;
    Readiness end_;
    RestartPolicy policy_;
    std::atomic<Loop*> loop_ = nullptr;
    bool has_started_again_ = false;
    bool has_exited_badly_ = false;  ///< the last one that ended: by itself, and not with 0
};

}  // namespace mayfly
