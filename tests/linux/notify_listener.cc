// SPDX-License-Identifier: Apache-2.0
// notify_listener: a service manager's side of NOTIFY_SOCKET, for a host without one.
//
//     notify_listener COMMAND...
//
// Runs the command with a socket of its own, prints each notice on stderr as "notice TIME TEXT", with the
// monotonic clock in nanoseconds and '|' for line ends, and exits with the command's status. Thread: one.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <time.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

long long now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

/// Those that are there.
void print_notices(int fd) {
    char text[4096];
    for (;;) {
        const ssize_t size = ::recv(fd, text, sizeof(text), MSG_DONTWAIT);
        if (size < 0) return;
        std::string line(text, static_cast<std::size_t>(size));
        for (char& c : line) c = c == '\n' ? '|' : c;
        std::fprintf(stderr, "notice %lld %s\n", now_ns(), line.c_str());
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un place{};
    place.sun_family = AF_UNIX;
    // A name of the kernel's choice, in the abstract namespace: unix(7), "Autobind feature".
    if (::bind(fd, reinterpret_cast<sockaddr*>(&place), sizeof(place.sun_family)) < 0) return 2;
    socklen_t size = sizeof(place);
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&place), &size) < 0) return 2;
    const std::string name(place.sun_path + 1, size - offsetof(sockaddr_un, sun_path) - 1);
    ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
    const pid_t child = ::fork();
    if (child == 0) {
        ::execvp(argv[1], argv + 1);
        ::_exit(127);
    }
    int status = 0;
    pid_t ended = 0;
    while (ended == 0) {
        constexpr int kLookMs = 20;
        pollfd readable{.fd = fd, .events = POLLIN, .revents = 0};
        (void)::poll(&readable, 1, kLookMs);
        ended = ::waitpid(child, &status, WNOHANG);
        print_notices(fd);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
