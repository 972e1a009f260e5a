// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/agent/startup.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <net/if.h>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/os/unique_fd.h"

namespace mayfly::lab {

namespace {

constexpr char kPortName[] = "mayfly.lab";
constexpr int kPortAttempts = 500;
constexpr useconds_t kPortWaitUs = 10'000;

struct MountSpec {
    const char* type;
    const char* where;
    const char* options;
};

constexpr MountSpec kMounts[] = {
    {"devtmpfs", "/dev", ""},
    {"proc", "/proc", ""},
    {"sysfs", "/sys", ""},
    {"devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666"},
    {"tmpfs", "/dev/shm", "size=90%"},
    {"tmpfs", "/run", ""},
    {"tmpfs", "/tmp", "size=90%"},
    {"debugfs", "/sys/kernel/debug", ""},
    {"tracefs", "/sys/kernel/tracing", ""},
    // Without it each KVM_CREATE_VM of this kernel may wait for tens of milliseconds.
    {"cgroup2", "/sys/fs/cgroup", "favordynmods"},
};

void complain(const char* what, const char* which) {
    std::fprintf(stderr, "lab: %s %s: %s\n", what, which, std::strerror(errno));
}

void mount_all() {
    for (const MountSpec& spec : kMounts) {
        mkdir(spec.where, 0755);
        if (mount(spec.type, spec.where, spec.type, 0, spec.options) != 0)
            complain("cannot mount", spec.where);
    }
    (void)!symlink("/proc/self/fd", "/dev/fd");
    (void)!symlink("/proc/self/fd/0", "/dev/stdin");
    (void)!symlink("/proc/self/fd/1", "/dev/stdout");
    (void)!symlink("/proc/self/fd/2", "/dev/stderr");
}

/// The file's first line, without its end; empty where it cannot be read.
std::string line_of(const char* path) {
    char line[4096] = {};
    const UniqueFd file = UniqueFd::adopt(open(path, O_RDONLY | O_CLOEXEC));
    if (!file.valid() || read(file.get(), line, sizeof line - 1) <= 0) return {};
    line[std::strcspn(line, "\n")] = '\0';
    return line;
}

/// Of a module's file: its name as the kernel has it.
std::string module_name(std::string_view path) {
    const std::string_view file = path.substr(path.rfind('/') + 1);
    std::string name(file.substr(0, file.find('.')));
    for (char& c : name)
        if (c == '-') c = '_';
    return name;
}

/// What the kernel's command line sets for a module, as modprobe takes it: NAME.PARAMETER=VALUE.
std::string module_parameters(const std::string& command_line, const std::string& name) {
    std::string parameters;
    for (size_t at = 0; at < command_line.size();) {
        const size_t end = std::min(command_line.find(' ', at), command_line.size());
        const std::string_view word = std::string_view(command_line).substr(at, end - at);
        if (word.starts_with(name + ".")) parameters.append(word.substr(name.size() + 1)).append(" ");
        at = end + 1;
    }
    return parameters;
}

void load_module(const char* path, const std::string& command_line) {
    const UniqueFd file = UniqueFd::adopt(open(path, O_RDONLY | O_CLOEXEC));
    const std::string parameters = module_parameters(command_line, module_name(path));
    if (!file.valid() || syscall(SYS_finit_module, file.get(), parameters.c_str(), 0) != 0)
        complain("cannot load", path);
}

/// A path a line, each after those it needs.
void load_modules() {
    std::FILE* list = std::fopen("/etc/lab-modules", "re");
    if (list == nullptr) return complain("cannot read", "/etc/lab-modules");
    const std::string command_line = line_of("/proc/cmdline");
    char line[512];
    while (std::fgets(line, sizeof line, list) != nullptr) {
        line[std::strcspn(line, "\n")] = '\0';
        load_module(line, command_line);
    }
    std::fclose(list);
}

void bring_up_loopback() {
    const UniqueFd socket_fd = UniqueFd::adopt(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request = {};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(socket_fd.get(), SIOCSIFFLAGS, &request) != 0) complain("cannot bring up", "lo");
}

bool has_port_name(const char* device) {
    char path[512];
    std::snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", device);
    const UniqueFd file = UniqueFd::adopt(open(path, O_RDONLY | O_CLOEXEC));
    char name[sizeof kPortName] = {};
    return file.valid() && read(file.get(), name, sizeof name - 1) == sizeof kPortName - 1 &&
           std::strcmp(name, kPortName) == 0;
}

int try_to_open_port() {
    DIR* ports = opendir("/sys/class/virtio-ports");
    if (ports == nullptr) return -1;
    int fd = -1;
    while (const dirent* entry = readdir(ports)) {
        if (entry->d_name[0] == '.' || !has_port_name(entry->d_name)) continue;
        char path[512];
        std::snprintf(path, sizeof path, "/dev/%s", entry->d_name);
        fd = open(path, O_RDWR | O_CLOEXEC);
        break;
    }
    closedir(ports);
    return fd;
}

/// A serial port that passes every byte on as it is.
int open_serial_port(const char* device) {
    const int fd = open(device, O_RDWR | O_NOCTTY | O_CLOEXEC);
    termios settings = {};
    if (fd < 0 || tcgetattr(fd, &settings) != 0) return fd;
    cfmakeraw(&settings);
    settings.c_cflag |= CLOCAL | CREAD;
    cfsetspeed(&settings, B115200);
    tcsetattr(fd, TCSANOW, &settings);
    return fd;
}

}  // namespace

void prepare_machine() {
    mount_all();
    // As a service manager would have it: tests of many descriptors and of locked memory are about mayfly.
    const rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    sethostname("lab", 3);
    bring_up_loopback();
    load_modules();
}

int open_port() {
    const std::string device = line_of("/etc/lab-channel");
    if (!device.empty()) return open_serial_port(device.c_str());
    for (int attempt = 0; attempt < kPortAttempts; ++attempt) {
        const int fd = try_to_open_port();
        if (fd >= 0) return fd;
        usleep(kPortWaitUs);
    }
    return -1;
}

void power_off() {
    sync();
    reboot(RB_POWER_OFF);
    for (;;) pause();
}

}  // namespace mayfly::lab
