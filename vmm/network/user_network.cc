// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/user_network.h"

#include <array>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/process/program_path.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

constexpr const char* kOption = "--net user";
constexpr int kPasstFd = 3;  // ProcessFiles::third
constexpr u64 kSettleNs = 1'000'000;
constexpr std::size_t kWordsBytesMax = 64 << 10;  // a pipe's capacity: pipe(7) "Pipe capacity"

struct Ends {
    UniqueFd ours;
    UniqueFd theirs;
};

/// `fds`: as socketpair(2) and pipe2(2) fill them.
Result<Ends> ends_of(std::array<int, 2> fds) {
    Ends ends{UniqueFd::adopt(fds[0]), UniqueFd::adopt(fds[1])};
    ends.theirs = UniqueFd::adopt(::fcntl(fds[1], F_DUPFD_CLOEXEC, kHandedFdMin));
    if (!ends.theirs.valid()) return fail(Error::os("F_DUPFD_CLOEXEC"));
    return ends;
}

Result<Ends> make_sockets() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) < 0)
        return fail(Error::os("socketpair"));
    return ends_of(fds);
}

/// A pipe that never blocks its writer: it is read only at the end.
Result<Ends> make_pipe() {
    std::array<int, 2> fds{};
    if (::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK) < 0) return fail(Error::os("pipe2"));
    return ends_of(fds);
}

Result<UniqueFd> open_null() {
    const UniqueFd low = UniqueFd::adopt(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!low.valid()) return fail(Error::os("open").about("/dev/null"));
    UniqueFd high = UniqueFd::adopt(::fcntl(low.get(), F_DUPFD_CLOEXEC, kHandedFdMin));
    if (!high.valid()) return fail(Error::os("F_DUPFD_CLOEXEC"));
    return high;
}

std::string read_all(const UniqueFd& pipe) {
    std::string text(kWordsBytesMax, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = ::read(pipe.get(), text.data() + size, text.size() - size);
        if (got <= 0) break;
        size += static_cast<std::size_t>(got);
    }
    text.resize(size);
    return text;
}

std::string how_it_ended(int wait_status) {
    if (WIFSIGNALED(wait_status)) return fmt::format("was ended by signal {}", WTERMSIG(wait_status));
    return fmt::format("ended with status {}", WEXITSTATUS(wait_status));
}

}  // namespace

Result<std::unique_ptr<UserNetwork>> UserNetwork::start(UserNetworkOptions options, OnFailure on_failure) {
    Result<std::string> program = find_program("passt");
    if (!program)
        return fail(std::move(program).error().about(kOption).hint("apt install passt; https://passt.top"));
    std::unique_ptr<UserNetwork> self(
        new UserNetwork(std::move(options), std::move(*program), std::move(on_failure)));
    Result<Launched> launched = self->launch();
    if (!launched) return fail(Error::host(fmt::format("{}: {}", kOption, launched.error().message())));
    Launched made = std::move(*launched);
    self->passt_ = std::make_unique<Passt>(std::move(made.socket), kOption);
    self->passt_->set_keeper(*self);
    if (!self->options_.has_host_loopback) self->passt_->guard_loopback();
    self->adopt(std::move(made));
    return self;
}

UserNetwork::UserNetwork(UserNetworkOptions options, std::string program, OnFailure on_failure)
    : options_(std::move(options)),
      program_(std::move(program)),
      on_failure_(std::move(on_failure)),
      end_(*this, 0) {}

Result<UserNetwork::Launched> UserNetwork::launch() const {
    Ends sockets = TRY(make_sockets());
    Ends words = TRY(make_pipe());
    const UniqueFd null = TRY(open_null());
    const ProcessFiles files{.input = null.get(),
                             .output = null.get(),
                             .error = words.theirs.get(),
                             .third = sockets.theirs.get()};
    Process process = TRY(Process::start(program_, passt_arguments(options_, kPasstFd), files, false));
    if (process.exec_errno() == 0)
        return Launched{std::move(process), std::move(sockets.ours), std::move(words.ours)};
    static_cast<void>(process.reap());
    return fail(Error::os("execve", process.exec_errno()).about(program_));
}

void UserNetwork::adopt(Launched made) {
    process_.emplace(std::move(made.process));
    words_ = std::move(made.words);
    log::info(fmt::format("{}: {} has process number {}", kOption, program_, process_->pid()));
}

Result<void> UserNetwork::attach(Loop& loop) {
    loop_.store(&loop, std::memory_order_release);
    TRY_VOID(passt_->attach(loop));
    return end_.attach(loop, process_->pidfd());
}

void UserNetwork::finish() {
    if (!process_) return;
    pollfd over{process_->pidfd().get(), POLLIN, 0};
    const bool is_over = ::poll(&over, 1, 0) == 1;
    process_->signal(SIGKILL);
    const std::string how = reap();
    // A passt that could not start, whose end no loop has seen.
    if (is_over) log::warning(how);
}

std::string UserNetwork::reap() {
    const Process::End end = process_->reap_alone();
    process_.reset();
    has_exited_badly_ = WIFEXITED(end.wait_status) && WEXITSTATUS(end.wait_status) != 0;
    const std::string words = passt_last_words(read_all(words_));
    return fmt::format("{}: passt {}{}{}", kOption, how_it_ended(end.wait_status), words.empty() ? "" : ": ",
                       words);
}

// --- a passt that ends ---

void UserNetwork::on_passt_lost(std::string_view why) {
    if (why != kPasstClosed) log::warning(fmt::format("{}: passt: {}", kOption, why));
    Loop* const loop = loop_.load(std::memory_order_acquire);
    if (loop != nullptr) loop->post(*this);
}

/// A passt that has closed its socket is useless; the kill does not matter if it has ended already.
void UserNetwork::run() {
    passt_->take_link_down();
    if (process_) process_->signal(SIGKILL);
}

void UserNetwork::on_readable(u16 /*index*/) {
    end_.detach();
    const std::string how = reap();
    passt_->take_link_down();
    if (has_exited_badly_ && !has_started_again_ && !passt_->has_spoken()) return on_failure_(how);
    start_again_or_not(how);
}

void UserNetwork::start_again_or_not(const std::string& how) {
    Loop& loop = *loop_.load(std::memory_order_acquire);
    const std::optional<u64> delay_ns = policy_.delay_after_end(loop.now_ns());
    if (!delay_ns) {
        return log::warning(
            fmt::format("{}; it was started {} times within a minute, the guest's link is down from now on",
                        how, RestartPolicy::kRestartsMax));
    }
    log::warning(fmt::format("{}; the guest's link is down, until another is started in {} ms", how,
                             *delay_ns / 1'000'000));
    loop.set_timer(*this, loop.now_ns() + *delay_ns);
}

void UserNetwork::on_time() {
    Loop& loop = *loop_.load(std::memory_order_acquire);
    if (loop.is_stopping()) return;
    if (!passt_->has_settled() || !end_.has_settled())
        return loop.set_timer(*this, loop.now_ns() + kSettleNs);
    has_started_again_ = true;
    const Result<void> started = restart();
    if (started) return;
    if (process_) {
        process_->signal(SIGKILL);
        static_cast<void>(reap());
    }
    start_again_or_not(fmt::format("{}: {}", kOption, started.error().message()));
}

Result<void> UserNetwork::restart() {
    Loop& loop = *loop_.load(std::memory_order_acquire);
    Launched made = TRY(launch());
    UniqueFd socket = std::move(made.socket);
    adopt(std::move(made));
    TRY_VOID(end_.attach(loop, process_->pidfd()));
    return passt_->reconnect(loop, std::move(socket));
}

}  // namespace mayfly
