// SPDX-License-Identifier: Apache-2.0
// spawn_runs: starts contenders in turn and takes the time from exec to exit. It measures and does
// not judge.
//
//   spawn_runs RUNS WARMUP PAUSE_MS STAMP_FILE < PLAN
//
// A line of PLAN is one contender: NAME, expected status, then variables (A=B) and argv, separated by
// tabs; the argument @STAMP@ becomes STAMP_FILE. Contenders are interleaved run by run, in an order that
// rotates, so that noise, and one run's traces in caches, hit all alike. A pause before each
// run lets the kernel finish with the previous VM, whose deferred work (SRCU callbacks) would else
// be charged to a bystander. A line of output is one run: NAME, exec and exit (CLOCK_MONOTONIC,
// ns), minor faults, CPU time (ns), the contender's text in STAMP_FILE, with newlines as spaces.
// An unexpected status ends the program with 1. Single thread.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <time.h>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int kNoExec = 127;

struct Contender {
    std::string name;
    int status = 0;
    std::vector<std::string> variables;  // beside our own
    std::vector<std::string> arguments;
};

struct Run {
    long long exec_ns = 0;
    long long exit_ns = 0;
    int wait_status = 0;
    rusage usage{};
};

long long monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

long long cpu_ns(const rusage& usage) {
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000'000LL +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
}

std::vector<Contender> read_plan(const char* stamp_file) {
    std::vector<Contender> plan;
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream fields(line);
        Contender contender;
        std::string field;
        std::getline(fields, contender.name, '\t');
        std::getline(fields, field, '\t');
        contender.status = std::atoi(field.c_str());
        while (std::getline(fields, field, '\t')) {
            const bool is_variable =
                contender.arguments.empty() && field.find('=') < field.find('/');
            if (is_variable)
                contender.variables.push_back(field);
            else
                contender.arguments.push_back(field == "@STAMP@" ? stamp_file : field);
        }
        plan.push_back(contender);
    }
    return plan;
}

/// For execve(2), which does not write to the words, whatever its old prototype says.
std::vector<char*> pointers(const std::vector<std::string>& words) {
    std::vector<char*> list;
    list.reserve(words.size() + 1);
    for (const std::string& word : words) list.push_back(const_cast<char*>(word.c_str()));
    return list;
}

/// The child of vfork shares our memory, so it can leave its own stamp of exec behind.
Run run_once(const Contender& contender, int null_fd) {
    std::vector<char*> argv = pointers(contender.arguments);
    argv.push_back(nullptr);
    std::vector<char*> variables = pointers(contender.variables);
    for (char** own = environ; *own != nullptr; ++own) variables.push_back(*own);
    variables.push_back(nullptr);
    static volatile long long exec_ns;
    const pid_t child = ::vfork();
    if (child == 0) {
        // NOLINTBEGIN(clang-analyzer-unix.Vfork): the time of the execv is what the parent reads
        ::dup2(null_fd, STDIN_FILENO);
        ::dup2(null_fd, STDOUT_FILENO);
        exec_ns = monotonic_ns();
        // NOLINTEND(clang-analyzer-unix.Vfork)
        ::execve(argv[0], argv.data(), variables.data());
        ::_exit(kNoExec);
    }
    Run run;
    while (::wait4(child, &run.wait_status, 0, &run.usage) < 0 && errno == EINTR) {
    }
    run.exit_ns = monotonic_ns();
    run.exec_ns = exec_ns;
    return run;
}

std::string take_stamp(const char* stamp_file) {
    std::ifstream file(stamp_file);
    std::ostringstream text;
    text << file.rdbuf();
    ::unlink(stamp_file);
    std::string line = text.str();
    for (char& c : line)
        if (c == '\n' || c == '\t') c = ' ';
    return line;
}

bool is_as_expected(const Contender& contender, const Run& run) {
    if (WIFEXITED(run.wait_status) && WEXITSTATUS(run.wait_status) == contender.status) return true;
    std::cerr << "spawn_runs: " << contender.name << " ended with wait status " << run.wait_status
              << ", expected exit " << contender.status << "\n";
    return false;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        std::cerr << "usage: spawn_runs RUNS WARMUP PAUSE_MS STAMP_FILE < PLAN\n";
        return 2;
    }
    const int runs = std::atoi(argv[1]);
    const int warmup = std::atoi(argv[2]);
    const useconds_t pause_us = static_cast<useconds_t>(std::atoi(argv[3])) * 1000;
    const std::vector<Contender> plan = read_plan(argv[4]);
    const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (runs < 1 || plan.empty() || null_fd < 0) {
        std::cerr << "spawn_runs: nothing to run, or no /dev/null\n";
        return 2;
    }
    ::unlink(argv[4]);
    for (int turn = 0; turn < warmup + runs; ++turn) {
        for (std::size_t i = 0; i < plan.size(); ++i) {
            const Contender& contender = plan[(i + static_cast<std::size_t>(turn)) % plan.size()];
            ::usleep(pause_us);
            const Run run = run_once(contender, null_fd);
            if (!is_as_expected(contender, run)) return 1;
            const std::string stamp = take_stamp(argv[4]);
            if (turn < warmup) continue;
            std::cout << contender.name << '\t' << run.exec_ns << '\t' << run.exit_ns << '\t'
                      << run.usage.ru_minflt << '\t' << cpu_ns(run.usage) << '\t' << stamp << '\n';
        }
    }
    return 0;
}
