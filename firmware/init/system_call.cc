// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/system_call.h"

#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/reboot.h>

namespace mayfly::init {

int open_file(const char* path, u64 flags) {
    return static_cast<int>(
        system_call(__NR_openat, static_cast<u64>(AT_FDCWD), address(path), flags | O_CLOEXEC));
}

void close_file(int file) { system_call(__NR_close, static_cast<u64>(file)); }

void* allocate(u64 size_bytes) {
    const long at = system_call(__NR_mmap, 0, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                ~u64{0}, 0);
    // SAFETY: the kernel gave us these pages.
    return at < 0 ? nullptr : reinterpret_cast<void*>(at);
}

void power_off() {
    system_call(__NR_sync);
    system_call(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, 0);
    for (;;) system_call(__NR_pause);
}

}  // namespace mayfly::init
