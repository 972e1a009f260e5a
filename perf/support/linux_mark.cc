// SPDX-License-Identifier: Apache-2.0
// linux_mark: runs a monitor in the nested lab and takes the times of its guest's marker and of its end. It
// measures and does not judge; linux_lab.py runs it and reads its line of JSON.
//
//   linux_mark --file FILE COMMAND...      the monitor's stdout is a file: nobody reads while it runs
//   linux_mark --pipe MARKER COMMAND...    it is a pipe, and MARKER is looked for
//
// A reader costs instructions whenever it wakes up, and a monitor that writes single bytes wakes it for each:
// a whole run is measured with a file, the part after the marker with a pipe. When the marker
// comes (and with a file never) each thread's /proc/PID/task/TID/stat is read once, and a probe of
// linux_lab.py takes its counters at that read. If $MARK_CPU names a processor, everything runs there.
//
// It starts $MARK_PHASE_US after a tick of the lab's timer, so that equal runs meet the ticks at equal
// places, and ends a run that lasts longer than $MARK_LIMIT_MS; linux_lab.py explains both. Single thread.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <string>
#include <string_view>
#include <time.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int kNoExec = 127;
constexpr int kUsage = 2;
constexpr size_t kBufferBytes = 1U << 20U;
/// The lab's kernel has CONFIG_HZ=250, and its ticks come at whole multiples of that.
constexpr long long kTickNs = 4'000'000;

char buffer[kBufferBytes];

long long monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

long long microseconds(const timeval& time) { return time.tv_sec * 1'000'000LL + time.tv_usec; }

void stay_on_processor() {
    const char* text = std::getenv("MARK_CPU");
    if (text == nullptr) {
        return;
    }
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(std::atoi(text)), &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0) {
        std::perror("linux_mark: sched_setaffinity");
        std::exit(kUsage);
    }
}

long number_in_environment(const char* name, long otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::atol(text);
}

void wait_for_phase(long long phase_ns) {
    const long long at_ns = (monotonic_ns() / kTickNs + 2) * kTickNs + phase_ns;
    const timespec at{at_ns / 1'000'000'000LL, static_cast<long>(at_ns % 1'000'000'000LL)};
    ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

void read_each_thread(pid_t pid) {
    const std::string directory = "/proc/" + std::to_string(pid) + "/task";
    DIR* tasks = ::opendir(directory.c_str());
    if (tasks == nullptr) {
        return;
    }
    while (const dirent* task = ::readdir(tasks)) {
        if (task->d_name[0] == '.') {
            continue;
        }
        const int fd = ::open((directory + "/" + task->d_name + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
        char line[512];
        if (fd < 0 || ::read(fd, line, sizeof line) < 0) {
            std::perror("linux_mark: stat of a thread");
        }
        ::close(fd);
    }
    ::closedir(tasks);
}

struct Output {
    long long marker_ns = 0;
    size_t bytes = 0;
};

/// Reads to the end of the stream; only new bytes, and a marker's length before them, are searched.
Output read_output(int fd, std::string_view marker, pid_t pid) {
    Output output;
    while (true) {
        if (output.bytes == kBufferBytes) {
            std::fprintf(stderr, "linux_mark: more than %zu bytes of output\n", kBufferBytes);
            std::exit(kUsage);
        }
        const ssize_t count = ::read(fd, buffer + output.bytes, kBufferBytes - output.bytes);
        if (count <= 0) {
            return output;
        }
        const size_t from = output.bytes < marker.size() ? 0 : output.bytes - marker.size();
        output.bytes += static_cast<size_t>(count);
        const std::string_view fresh(buffer + from, output.bytes - from);
        if (output.marker_ns == 0 && fresh.find(marker) != std::string_view::npos) {
            output.marker_ns = monotonic_ns();
            read_each_thread(pid);
        }
    }
}

pid_t start(char** command, int output) {
    const pid_t pid = ::vfork();
    if (pid == 0) {
        // NOLINTBEGIN(clang-analyzer-unix.Vfork): system calls that write nothing which the parent reads
        const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        ::dup2(null, STDIN_FILENO);
        ::dup2(output, STDOUT_FILENO);
        // NOLINTEND(clang-analyzer-unix.Vfork)
        ::execvp(command[0], command);
        ::_exit(kNoExec);
    }
    return pid;
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view mode = count > 3 ? arguments[1] : "";
    if (mode != "--file" && mode != "--pipe") {
        std::fprintf(stderr, "usage: linux_mark --file FILE COMMAND... | --pipe MARKER COMMAND...\n");
        return kUsage;
    }
    stay_on_processor();
    int ends[2] = {-1, -1};
    if (mode == "--pipe") {
        if (::pipe2(ends, O_CLOEXEC) != 0) {
            std::perror("linux_mark: pipe");
            return kUsage;
        }
    } else {
        ends[1] = ::open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
        if (ends[1] < 0) {
            std::perror(arguments[2]);
            return kUsage;
        }
    }
    wait_for_phase(number_in_environment("MARK_PHASE_US", 1000) * 1000);
    const long long begin_ns = monotonic_ns();
    const pid_t pid = start(arguments + 3, ends[1]);
    ::close(ends[1]);
    const Output output = mode == "--pipe" ? read_output(ends[0], arguments[2], pid) : Output{};
    int status = 0;
    rusage usage{};
    ::wait4(pid, &status, 0, &usage);
    const long long end_ns = monotonic_ns();
    std::printf(
        "{\"pid\": %d, \"status\": %d, \"init_ns\": %lld, \"exit_ns\": %lld, \"user_us\": %lld, "
        "\"system_us\": %lld, \"faults\": %ld, \"memory_kib_max\": %ld, \"bytes\": %zu}\n",
        pid, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
        output.marker_ns == 0 ? 0 : output.marker_ns - begin_ns, end_ns - begin_ns,
        microseconds(usage.ru_utime), microseconds(usage.ru_stime), usage.ru_minflt, usage.ru_maxrss,
        output.bytes);
    if (mode == "--pipe" && output.marker_ns == 0) {
        // The other output.
        std::fwrite(buffer, 1, output.bytes, stderr);
        return 1;
    }
    return 0;
}
