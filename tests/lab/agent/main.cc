// SPDX-License-Identifier: Apache-2.0
// The lab's agent: the first process of the nested host. Runs what the client asks for over a virtio-serial
// port, or a serial one, and switches the machine off when the client goes. Between requests it sleeps in
// poll(2) and wakes for nothing, so that a measured command has the machine to itself. One thread.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lab/agent/command.h"
#include "tests/lab/agent/port.h"
#include "tests/lab/agent/startup.h"
#include "vmm/doctor/facts/tsc_rate.h"
#include "vmm/os/unique_fd.h"

namespace mayfly::lab {

namespace {

/// A file on its way in.
struct Incoming {
    UniqueFd file;
    int error = 0;
};

class Agent {
  public:
    Agent(int port_fd, int child_fd) : port_(port_fd), child_fd_(child_fd) {}

    void serve();

  private:
    void handle(const Frame& frame);
    void handle_command(const Frame& frame);
    void run(const Frame& frame);
    void begin_put(const Frame& frame);
    void continue_put(const Frame& frame);
    void end_put(const Frame& frame);
    void get(const Frame& frame);
    void reap();
    Command* command_of(uint32_t id);

    Port port_;
    int child_fd_;
    std::map<uint32_t, std::unique_ptr<Command>> commands_;
    std::map<uint32_t, Incoming> incoming_;
};

void make_directories_above(const std::string& path) {
    for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
        mkdir(path.substr(0, slash).c_str(), 0755);
}

uint32_t word_at(const std::string& payload, size_t offset) {
    uint32_t word = 0;
    if (payload.size() >= offset + sizeof word) std::memcpy(&word, payload.data() + offset, sizeof word);
    return word;
}

void Agent::serve() {
    const uint32_t version = kProtocolVersion;
    // SAFETY: four bytes of a local integer.
    port_.send(ToClient::Hello, 0, {reinterpret_cast<const char*>(&version), sizeof version});
    std::vector<pollfd> polled;
    std::vector<Frame> frames;
    for (;;) {
        polled.assign({{port_.fd(), POLLIN, 0}, {child_fd_, POLLIN, 0}});
        for (const auto& [id, command] : commands_) command->add_polled(polled);
        if (poll(polled.data(), polled.size(), -1) < 0) continue;
        if (polled[1].revents != 0) reap();
        for (size_t i = 2; i < polled.size(); ++i) {
            if (polled[i].revents == 0) continue;
            for (const auto& [id, command] : commands_)
                if (command->handle_ready(polled[i].fd, port_)) break;
        }
        if ((polled[0].revents & POLLIN) != 0) {
            frames.clear();
            if (!port_.receive(frames)) return;
            for (const Frame& frame : frames) handle(frame);
        } else if ((polled[0].revents & POLLHUP) != 0) {
            return;
        }
    }
}

void Agent::handle(const Frame& frame) {
    switch (frame.type) {
        case ToAgent::Run: return run(frame);
        case ToAgent::Put: return begin_put(frame);
        case ToAgent::PutData: return continue_put(frame);
        case ToAgent::PutEnd: return end_put(frame);
        case ToAgent::Get: return get(frame);
        case ToAgent::PowerOff: power_off();
        case ToAgent::Wake: return;
        case ToAgent::Input:
        case ToAgent::InputEnd:
        case ToAgent::Signal:
        case ToAgent::Resize: return handle_command(frame);
    }
}

Command* Agent::command_of(uint32_t id) {
    const auto found = commands_.find(id);
    return found == commands_.end() ? nullptr : found->second.get();
}

/// A command that has just ended is not the client's mistake: it cannot know yet.
void Agent::handle_command(const Frame& frame) {
    Command* command = command_of(frame.id);
    if (command == nullptr) return;
    if (frame.type == ToAgent::Input) {
        command->queue_input(frame.payload);
    } else if (frame.type == ToAgent::InputEnd) {
        command->end_input();
    } else if (frame.type == ToAgent::Signal) {
        command->signal(static_cast<int>(word_at(frame.payload, 0)));
    } else {
        const uint32_t size = word_at(frame.payload, 0);
        command->resize(static_cast<uint16_t>(size), static_cast<uint16_t>(size >> 16));
    }
}

void Agent::run(const Frame& frame) {
    CommandSpec spec;
    if (!CommandSpec::parse(frame.payload, spec)) return;
    if (auto command = Command::start(frame.id, spec, port_)) commands_[frame.id] = std::move(command);
}

void Agent::begin_put(const Frame& frame) {
    if (frame.payload.size() < sizeof(uint32_t)) return;
    const std::string path = frame.payload.substr(sizeof(uint32_t));
    const mode_t mode = word_at(frame.payload, 0);
    make_directories_above(path);
    // A program that runs cannot be written, but can be replaced.
    unlink(path.c_str());
    Incoming incoming;
    incoming.file = UniqueFd::adopt(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!incoming.file.valid() || fchmod(incoming.file.get(), mode) != 0) incoming.error = errno;
    incoming_[frame.id] = std::move(incoming);
}

void Agent::continue_put(const Frame& frame) {
    Incoming& incoming = incoming_[frame.id];
    size_t done = 0;
    while (incoming.error == 0 && done < frame.payload.size()) {
        const ssize_t written =
            write(incoming.file.get(), frame.payload.data() + done, frame.payload.size() - done);
        if (written < 0) {
            incoming.error = errno;
        } else {
            done += static_cast<size_t>(written);
        }
    }
}

void Agent::end_put(const Frame& frame) {
    const int error = incoming_[frame.id].error;
    incoming_.erase(frame.id);
    port_.send(ToClient::PutDone, frame.id, error != 0 ? std::strerror(error) : "");
}

void Agent::get(const Frame& frame) {
    const UniqueFd file = UniqueFd::adopt(open(frame.payload.c_str(), O_RDONLY | O_CLOEXEC));
    ssize_t got = -1;
    if (file.valid()) {
        char buffer[kDataBytesMax];
        while ((got = read(file.get(), buffer, sizeof buffer)) > 0)
            port_.send(ToClient::GetData, frame.id, {buffer, static_cast<size_t>(got)});
    }
    port_.send(ToClient::GetDone, frame.id, got < 0 ? std::strerror(errno) : "");
}

void Agent::reap() {
    const uint64_t now_ns = monotonic_ns();
    signalfd_siginfo info;
    (void)!read(child_fd_, &info, sizeof info);
    for (;;) {
        int status = 0;
        rusage usage;
        const pid_t pid = wait4(-1, &status, WNOHANG, &usage);
        if (pid <= 0) return;
        // Others are orphans that came to us as the first process.
        for (auto entry = commands_.begin(); entry != commands_.end(); ++entry) {
            if (entry->second->pid() != pid) continue;
            entry->second->finish(status, usage, now_ns, port_);
            commands_.erase(entry);
            break;
        }
    }
}

/// Run by the client on its own machine, whose TSC is the lab's: prints the rate for the lab's kernel. By the
/// clock that QEMU's timers go by.
int say_tsc_khz() {
    const auto khz = tsc_khz_since(sample_tsc(CLOCK_MONOTONIC), CLOCK_MONOTONIC);
    if (khz) std::printf("%.0f\n", *khz);
    return khz ? 0 : 1;
}

}  // namespace

}  // namespace mayfly::lab

int main(int argc, char** argv) {
    using namespace mayfly::lab;
    if (argc == 2 && std::strcmp(argv[1], "--tsc-khz") == 0) return say_tsc_khz();
    if (getpid() != 1) {
        std::fprintf(stderr, "lab-agent: it mounts file systems and powers off: only for a first process\n");
        return 1;
    }
    prepare_machine();
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, nullptr);
    signal(SIGPIPE, SIG_IGN);
    const int child_fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    const int port_fd = open_port();
    if (child_fd < 0 || port_fd < 0) {
        std::fprintf(stderr, "lab: no port to the client\n");
    } else {
        Agent(port_fd, child_fd).serve();
    }
    power_off();
}
