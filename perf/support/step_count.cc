// SPDX-License-Identifier: Apache-2.0
// step_count: runs a program instruction by instruction up to its first KVM_RUN.
//
//   step_count MAIN PROGRAM ARGUMENTS...
//   step_count --places MAIN PROGRAM ARGUMENTS...
//
// Prints a line for the code executed before the address MAIN (hexadecimal), and one for that up to KVM_RUN:
// instructions, and how many of them were CPUID, which traps where the host is a guest itself. With --places
// the program runs to its end, its output goes to standard error, and each address is printed, too, in
// hexadecimal, when it is first executed. Only the first thread is followed. Exits with 1 where the program
// ends before that KVM_RUN. Single thread.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unordered_set>

#include <linux/kvm.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr unsigned long kTwoBytes = 0xffff;
constexpr unsigned long kCpuid = 0xa20f;    // 0F A2
constexpr unsigned long kSyscall = 0x050f;  // 0F 05

struct Count {
    unsigned long instructions = 0;
    unsigned long cpuids = 0;
};

void print(const char* until, const Count& count) {
    std::printf("%s %lu %lu\n", until, count.instructions, count.cpuids);
}

/// Delivers the signal that stopped the program, unless it was the step's own. \returns whether the program
/// still runs.
bool step(pid_t program, int& signal) {
    int status = 0;
    if (::ptrace(PTRACE_SINGLESTEP, program, nullptr, signal) < 0 ||
        ::waitpid(program, &status, 0) != program || !WIFSTOPPED(status))
        return false;
    signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
    return true;
}

bool follow(pid_t program, unsigned long main_address, bool prints_places) {
    std::unordered_set<unsigned long> places;
    Count count;
    user_regs_struct registers{};
    bool has_run = false;
    int signal = 0;
    do {
        if (::ptrace(PTRACE_GETREGS, program, nullptr, &registers) < 0) return false;
        if (registers.rip == main_address) print("main", count);
        if (prints_places && places.insert(registers.rip).second) std::printf("%llx\n", registers.rip);
        const long word = ::ptrace(PTRACE_PEEKTEXT, program, registers.rip, nullptr);
        const unsigned long code = static_cast<unsigned long>(word) & kTwoBytes;
        if (!has_run && code == kSyscall && registers.rax == SYS_ioctl && registers.rsi == KVM_RUN) {
            print("run", count);
            has_run = true;
            if (!prints_places) break;
        }
        ++count.instructions;
        if (code == kCpuid) ++count.cpuids;
    } while (step(program, signal));
    return has_run;
}

}  // namespace

int main(int argc, char** argv) {
    const bool prints_places = argc > 1 && std::strcmp(argv[1], "--places") == 0;
    if (prints_places) ++argv, --argc;
    if (argc < 3) {
        std::fputs("usage: step_count [--places] MAIN PROGRAM ARGUMENTS...\n", stderr);
        return 2;
    }
    const pid_t program = ::fork();
    if (program == 0) {
        if (prints_places) ::dup2(STDERR_FILENO, STDOUT_FILENO);
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        ::execv(argv[2], argv + 2);
        ::_exit(127);
    }
    int status = 0;
    if (program < 0 || ::waitpid(program, &status, 0) != program || !WIFSTOPPED(status)) {
        std::fprintf(stderr, "step_count: %s: cannot be traced: %s\n", argv[2], std::strerror(errno));
        return 1;
    }
    const bool is_done = follow(program, std::strtoul(argv[1], nullptr, 16), prints_places);
    ::kill(program, SIGKILL);
    ::waitpid(program, &status, 0);
    return is_done ? 0 : 1;
}
