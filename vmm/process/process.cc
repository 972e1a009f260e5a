// SPDX-License-Identifier: Apache-2.0
#include "vmm/process/process.h"

#include <cerrno>
#include <csignal>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/os/clock.h"

namespace mayfly {

namespace {

constexpr int kNoExec = 127;

/// A forked child's page must be shared on purpose; a vforked one's is anyway.
volatile Process::Birth* birth_page() {
    static volatile Process::Birth* const page = []() -> volatile Process::Birth* {
        void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        // SAFETY: the mapping is zeroed, larger than a Birth, which is trivial, and never unmapped.
        return memory == MAP_FAILED ? nullptr : static_cast<volatile Process::Birth*>(memory);
    }
    ();
    return page;
}

void hand_down(int fd, int number) {
    if (fd >= 0) ::dup2(fd, number);
}

/// In the child. After vfork it shares our memory: system calls only.
[[noreturn]] void become(const char* program, char* const* argv, const ProcessFiles& files, pid_t parent,
                         volatile Process::Birth& birth) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(kNoExec);
    hand_down(files.input, STDIN_FILENO);
    hand_down(files.output, STDOUT_FILENO);
    hand_down(files.error, STDERR_FILENO);
    hand_down(files.third, STDERR_FILENO + 1);
    hand_down(files.fourth, STDERR_FILENO + 2);
    // We ignore these signals, and exec keeps them ignored.
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (const int number : {SIGPIPE, SIGXFSZ}) ::sigaction(number, &standard, nullptr);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    birth.exec_ns = monotonic_ns();
    ::execv(program, argv);
    birth.exec_errno = errno;
    ::_exit(kNoExec);
}

}  // namespace

Result<Process> Process::start(const std::string& program, const std::vector<std::string>& arguments,
                               const ProcessFiles& files, bool is_forked) {
    volatile Birth* birth = birth_page();
    if (birth == nullptr) return fail(Error::os("mmap"));
    birth->exec_ns = 0;
    birth->exec_errno = 0;
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    // SAFETY: execve(2) does not write to the words, whatever its old prototype says.
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    // NOLINTNEXTLINE(clang-analyzer-unix.Vfork): the one assignment that vfork(2) allows
    const pid_t pid = is_forked ? ::_Fork() : ::vfork();
    if (pid == 0) become(program.c_str(), argv.data(), files, parent, *birth);
    if (pid < 0) return fail(Error::os(is_forked ? "fork" : "vfork"));
    const Birth known{birth->exec_ns, birth->exec_errno};
    UniqueFd pidfd = UniqueFd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    const int pidfd_errno = errno;
    Process process(pid, std::move(pidfd), known, is_forked);
    if (process.pidfd_.valid()) return process;
    process.signal(SIGKILL);
    (void)process.reap();
    return fail(Error::os("pidfd_open", pidfd_errno));
}

void Process::signal(int number) const {
    // A forked child may not have its group yet.
    if (::kill(-pid_, number) < 0) ::kill(pid_, number);
}

Process::End Process::reap() const {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    // Before it is reaped its number, and so its group's, cannot be reused.
    ::kill(-pid_, SIGKILL);
    return reap_alone();
}

Process::End Process::reap_alone() const {
    End end;
    while (::wait4(pid_, &end.wait_status, 0, &end.usage) < 0 && errno == EINTR) {
    }
    end.birth = birth_;
    if (is_forked_) {
        const volatile Birth* birth = birth_page();
        end.birth = {birth->exec_ns, birth->exec_errno};
    }
    return end;
}

}  // namespace mayfly
