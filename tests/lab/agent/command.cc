// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/agent/command.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

namespace mayfly::lab {

namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr int kNotFound = 127;
constexpr int kNotExecutable = 126;

/// A measured command starts at a whole second: the kernel's own timers then stand where they stood last
/// time, and what the request woke up has gone back to sleep.
void wait_for_quiet_second() {
    const uint64_t second = monotonic_ns() / kNsPerSecond + 2;
    const timespec until = {static_cast<time_t>(second), 0};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
}

int make_pipe(UniqueFd& read_end, UniqueFd& write_end) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno;
    read_end = UniqueFd::adopt(ends[0]);
    write_end = UniqueFd::adopt(ends[1]);
    return 0;
}

int make_nonblocking(const UniqueFd& fd) {
    return fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK) == 0 ? 0 : errno;
}

std::string_view take_string(std::string_view& rest) {
    const size_t end = rest.find('\0');
    const std::string_view taken = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return taken;
}

uint32_t take_number(std::string_view& rest) {
    return static_cast<uint32_t>(std::strtoul(std::string(take_string(rest)).c_str(), nullptr, 10));
}

std::vector<char*> pointers_to(const std::vector<std::string>& strings) {
    std::vector<char*> pointers;
    pointers.reserve(strings.size() + 1);
    for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
    pointers.push_back(nullptr);
    return pointers;
}

void report_exit(Port& port, uint32_t id, const ExitReport& report) {
    // SAFETY: a struct of integers without padding.
    port.send(ToClient::Exit, id, {reinterpret_cast<const char*>(&report), sizeof report});
}

}  // namespace

uint64_t monotonic_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

bool CommandSpec::parse(std::string_view payload, CommandSpec& spec) {
    if (payload.empty() || payload.back() != '\0') return false;
    spec.flags = take_number(payload);
    spec.rows = static_cast<uint16_t>(take_number(payload));
    spec.columns = static_cast<uint16_t>(take_number(payload));
    spec.directory = take_string(payload);
    for (uint32_t left = take_number(payload); left > 0 && !payload.empty(); --left)
        spec.environment.emplace_back(take_string(payload));
    while (!payload.empty()) spec.arguments.emplace_back(take_string(payload));
    return !spec.arguments.empty();
}

std::unique_ptr<Command> Command::start(uint32_t id, const CommandSpec& spec, Port& port) {
    std::unique_ptr<Command> command(new Command(id, spec.flags));
    int error = command->open_streams(spec);
    if (error == 0) error = command->fork_and_execute(spec);
    if (error == 0) return command;
    const int status = error == ENOENT || error == ENOTDIR ? kNotFound : kNotExecutable;
    report_exit(port, id,
                {.wait_status = static_cast<uint32_t>(W_EXITCODE(status, 0)),
                 .start_error = static_cast<uint32_t>(error),
                 .elapsed_ns = 0,
                 .user_us = 0,
                 .system_us = 0,
                 .memory_kib_max = 0});
    return nullptr;
}

int Command::open_streams(const CommandSpec& spec) {
    if ((flags_ & kRunTerminal) != 0) {
        output_ = UniqueFd::adopt(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
        if (!output_.valid() || grantpt(output_.get()) != 0 || unlockpt(output_.get()) != 0) return errno;
        char name[64];
        if (ptsname_r(output_.get(), name, sizeof name) != 0) return errno;
        child_input_ = UniqueFd::adopt(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
        input_ = UniqueFd::adopt(fcntl(output_.get(), F_DUPFD_CLOEXEC, 0));
        if (!child_input_.valid() || !input_.valid()) return errno;
        resize(spec.rows, spec.columns);
        return make_nonblocking(output_);
    }
    int error = 0;
    if ((flags_ & kRunMeasured) != 0) {
        output_ = UniqueFd::adopt(memfd_create("output", MFD_CLOEXEC));
        error_ = UniqueFd::adopt(memfd_create("error", MFD_CLOEXEC));
        if (!output_.valid() || !error_.valid()) return errno;
        child_output_ = UniqueFd::adopt(fcntl(output_.get(), F_DUPFD_CLOEXEC, 0));
        child_error_ = UniqueFd::adopt(fcntl(error_.get(), F_DUPFD_CLOEXEC, 0));
        if (!child_output_.valid() || !child_error_.valid()) return errno;
    } else {
        error = make_pipe(output_, child_output_);
        if (error == 0) error = make_pipe(error_, child_error_);
        if (error == 0) error = make_nonblocking(output_);
        if (error == 0) error = make_nonblocking(error_);
    }
    if (error != 0) return error;
    if ((flags_ & kRunInput) != 0 && (flags_ & kRunMeasured) == 0) {
        error = make_pipe(child_input_, input_);
        return error != 0 ? error : make_nonblocking(input_);
    }
    child_input_ = UniqueFd::adopt(open("/dev/null", O_RDONLY | O_CLOEXEC));
    return child_input_.valid() ? 0 : errno;
}

int Command::fork_and_execute(const CommandSpec& spec) {
    UniqueFd failure, child_failure;
    if (const int error = make_pipe(failure, child_failure)) return error;
    if ((flags_ & kRunMeasured) != 0) wait_for_quiet_second();
    started_ns_ = monotonic_ns();
    pid_ = fork();
    if (pid_ < 0) return errno;
    if (pid_ == 0) become(spec, child_failure.get());
    child_failure = UniqueFd();
    child_input_ = UniqueFd();
    child_output_ = UniqueFd();
    child_error_ = UniqueFd();
    // Ends when exec succeeded, for the pipe is closed by it.
    int error = 0;
    if (read(failure.get(), &error, sizeof error) != sizeof error) return 0;
    waitpid(pid_, nullptr, 0);
    return error;
}

void Command::become(const CommandSpec& spec, int error_pipe) const {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    setsid();
    const bool terminal = (flags_ & kRunTerminal) != 0;
    if (terminal) ioctl(child_input_.get(), TIOCSCTTY, 0);
    bool good = dup2(child_input_.get(), 0) == 0;
    good = good && dup2(terminal ? child_input_.get() : child_output_.get(), 1) == 1;
    good = good && dup2(terminal ? child_input_.get() : child_error_.get(), 2) == 2;
    // The same addresses each time, or the page tables' work would differ from run to run.
    if ((flags_ & kRunMeasured) != 0) personality(ADDR_NO_RANDOMIZE);
    if (good && chdir(spec.directory.empty() ? "/" : spec.directory.c_str()) == 0) {
        std::vector<char*> environment = pointers_to(spec.environment);
        std::vector<char*> arguments = pointers_to(spec.arguments);
        environ = environment.data();
        execvp(arguments[0], arguments.data());
    }
    const int error = errno;
    (void)!write(error_pipe, &error, sizeof error);
    _exit(kNotFound);
}

void Command::add_polled(std::vector<pollfd>& polled) const {
    // The measured one's output is read at its end.
    if ((flags_ & kRunMeasured) != 0) return;
    if (output_.valid()) polled.push_back({output_.get(), POLLIN, 0});
    if (error_.valid()) polled.push_back({error_.get(), POLLIN, 0});
    if (input_.valid() && !pending_input_.empty()) polled.push_back({input_.get(), POLLOUT, 0});
}

bool Command::handle_ready(int fd, Port& port) {
    if (input_.valid() && fd == input_.get()) {
        write_input(port);
    } else if (output_.valid() && fd == output_.get()) {
        forward(output_, ToClient::Output, port);
    } else if (error_.valid() && fd == error_.get()) {
        forward(error_, ToClient::Error, port);
    } else {
        return false;
    }
    return true;
}

void Command::queue_input(std::string_view bytes) { pending_input_.append(bytes); }

void Command::end_input() {
    input_ended_ = true;
    if (pending_input_.empty()) input_ = UniqueFd();
}

void Command::write_input(Port& port) {
    const ssize_t written = write(input_.get(), pending_input_.data(), pending_input_.size());
    if (written < 0 && (errno == EAGAIN || errno == EINTR)) return;
    // Nobody reads it any more: the rest is dropped, as a shell's pipe would.
    const size_t used = written < 0 ? pending_input_.size() : static_cast<size_t>(written);
    pending_input_.erase(0, used);
    const auto credit = static_cast<uint32_t>(used);
    // SAFETY: four bytes of a local integer.
    port.send(ToClient::Credit, id_, {reinterpret_cast<const char*>(&credit), sizeof credit});
    if (written < 0 || (input_ended_ && pending_input_.empty())) input_ = UniqueFd();
}

bool Command::forward(UniqueFd& from, ToClient type, Port& port) {
    char buffer[kDataBytesMax];
    const ssize_t got = read(from.get(), buffer, sizeof buffer);
    if (got > 0) {
        port.send(type, id_, {buffer, static_cast<size_t>(got)});
        return true;
    }
    // EIO: the last process has left the terminal.
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) from = UniqueFd();
    return false;
}

void Command::resize(uint16_t rows, uint16_t columns) const {
    if ((flags_ & kRunTerminal) == 0 || rows == 0) return;
    const winsize size = {rows, columns, 0, 0};
    ioctl(output_.get(), TIOCSWINSZ, &size);
}

void Command::signal(int number) const { kill(-pid_, number); }

void Command::finish(int wait_status, const rusage& usage, uint64_t now_ns, Port& port) {
    if ((flags_ & kRunMeasured) != 0) {
        lseek(output_.get(), 0, SEEK_SET);
        lseek(error_.get(), 0, SEEK_SET);
    }
    while (output_.valid() && forward(output_, ToClient::Output, port)) {
    }
    while (error_.valid() && forward(error_, ToClient::Error, port)) {
    }
    constexpr uint64_t kUsPerSecond = 1'000'000;
    const auto to_us = [](const timeval& time) {
        return static_cast<uint64_t>(time.tv_sec) * kUsPerSecond + static_cast<uint64_t>(time.tv_usec);
    };
    report_exit(port, id_,
                {.wait_status = static_cast<uint32_t>(wait_status),
                 .start_error = 0,
                 .elapsed_ns = now_ns - started_ns_,
                 .user_us = to_us(usage.ru_utime),
                 .system_us = to_us(usage.ru_stime),
                 .memory_kib_max = static_cast<uint64_t>(usage.ru_maxrss)});
}

}  // namespace mayfly::lab
