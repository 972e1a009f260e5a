// SPDX-License-Identifier: Apache-2.0
// A command that the client asked for: its process and the pipes to and from it. Does not wait: the agent's
// loop tells it what poll(2) and wait4(2) said.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "tests/lab/agent/port.h"
#include "vmm/os/unique_fd.h"

namespace mayfly::lab {

/// The request in a Run frame.
struct CommandSpec {
    uint32_t flags = 0;
    uint16_t rows = 0;
    uint16_t columns = 0;
    std::string directory;
    std::vector<std::string> environment;
    std::vector<std::string> arguments;

    /// False when the payload is not what protocol.h says.
    [[nodiscard]] static bool parse(std::string_view payload, CommandSpec& spec);
};

class Command {
  public:
    /// Starts it; where that fails the client gets an error instead.
    [[nodiscard]] static std::unique_ptr<Command> start(uint32_t id, const CommandSpec& spec, Port& port);

    [[nodiscard]] uint32_t id() const { return id_; }
    [[nodiscard]] pid_t pid() const { return pid_; }

    void add_polled(std::vector<pollfd>& polled) const;
    /// Moves what can be moved through the descriptor that poll(2) named; false when it is not one of ours.
    bool handle_ready(int fd, Port& port);

    void queue_input(std::string_view bytes);
    void end_input();
    void resize(uint16_t rows, uint16_t columns) const;
    void signal(int number) const;

    /// The process has ended: passes on what it left in the pipes, and reports.
    void finish(int wait_status, const rusage& usage, uint64_t now_ns, Port& port);

  private:
    Command(uint32_t id, uint32_t flags) : id_(id), flags_(flags) {}

    [[nodiscard]] int open_streams(const CommandSpec& spec);
    [[nodiscard]] int fork_and_execute(const CommandSpec& spec);
    [[noreturn]] void become(const CommandSpec& spec, int error_pipe) const;
    void write_input(Port& port);
    /// False at the end of the stream, or when there is nothing now.
    bool forward(UniqueFd& from, ToClient type, Port& port);

    uint32_t id_;
    uint32_t flags_;
    pid_t pid_ = -1;
    uint64_t started_ns_ = 0;
    // Ours, and the process's until it has been started.
    UniqueFd input_, output_, error_;
    UniqueFd child_input_, child_output_, child_error_;
    std::string pending_input_;
    bool input_ended_ = false;
};

[[nodiscard]] uint64_t monotonic_ns();

}  // namespace mayfly::lab
