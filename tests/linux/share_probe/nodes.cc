// SPDX-License-Identifier: Apache-2.0
// Nodes that are not files: pipes, sockets and devices belong to the guest, wherever their names lie.
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "probe.h"

namespace probe {
namespace {

void pipes(const std::string&) {
    done(::mkfifo("pipe", 0640), "mkfifo");
    need(S_ISFIFO(stat_of("pipe").st_mode) && (stat_of("pipe").st_mode & 07777) == 0640, "its type and mode");
    const pid_t child = ::fork();
    if (child == 0) {
        const int fd = ::open("pipe", O_WRONLY);
        ::_exit(fd >= 0 && ::write(fd, "through", 7) == 7 ? 0 : 1);
    }
    Fd end = open_file("pipe", O_RDONLY);
    char buffer[16];
    need(done(::read(end.get(), buffer, sizeof buffer), "read") == 7, "what came through");
    int status = 0;
    ::waitpid(child, &status, 0);
    need(status == 0, "the writer");
    end.close();
    refused(::open("pipe", O_WRONLY | O_NONBLOCK), ENXIO, "a pipe that nobody reads");
}

void sockets(const std::string&) {
    const Fd server(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, "socket");
    // SAFETY: sockaddr_un begins as every sockaddr does; bind() and connect() take its length.
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    done(::bind(server.get(), where, sizeof address), "bind");
    need(S_ISSOCK(stat_of("socket").st_mode), "its type");
    done(::listen(server.get(), 1), "listen");
    const Fd client(::socket(AF_UNIX, SOCK_STREAM, 0));
    done(::connect(client.get(), where, sizeof address), "connect");
    const Fd accepted(static_cast<int>(done(::accept(server.get(), nullptr, nullptr), "accept")));
    need(::write(client.get(), "hello", 5) == 5, "write");
    char buffer[16];
    need(::read(accepted.get(), buffer, sizeof buffer) == 5, "read");
    refused(::open("socket", O_RDONLY), ENXIO, "opening a socket");
    refused(::bind(Fd(::socket(AF_UNIX, SOCK_STREAM, 0)).get(), where, sizeof address), EADDRINUSE,
            "bind again");
}

void devices(const std::string&) {
    done(::mknod("zero", S_IFCHR | 0644, makedev(1, 5)), "mknod");
    const struct stat about = stat_of("zero");
    need(S_ISCHR(about.st_mode) && about.st_rdev == makedev(1, 5), "its type");
    // This system's own device, unless the file system is mounted without any.
    const int fd = ::open("zero", O_RDONLY);
    need(fd >= 0 || errno == EACCES, "opening it");
    if (fd >= 0) {
        char byte = 'x';
        need(::read(fd, &byte, 1) == 1 && byte == '\0', "reading it");
        ::close(fd);
    }
    done(::mknod("block", S_IFBLK | 0600, makedev(7, 300)), "mknod of a block device");
    need(S_ISBLK(stat_of("block").st_mode) && stat_of("block").st_rdev == makedev(7, 300),
         "what the block device is");
    done(::mknod("file", S_IFREG | 0600, 0), "mknod of a file");
    write_file("file", "contents");
    need(read_file("file") == "contents", "a file by mknod");
}

}  // namespace

std::vector<Entry> node_cases() { return {{"pipes", pipes}, {"sockets", sockets}, {"devices", devices}}; }

}  // namespace probe
