// SPDX-License-Identifier: Apache-2.0
// The surroundings of a program: file systems, a name, the loopback interface.
//
// What a kernel was built without is left out in silence; other failures are said, and the program runs all
// the same: it may not need what is missing. Thread: init's only one.
#pragma once

namespace mayfly::init {

/// /proc, /sys, /dev with /dev/pts and /dev/shm; and what tests of kernels look for in /sys, where the kernel
/// has it.
void mount_file_systems();
/// /tmp and /run, where the root has nothing in them.
void mount_scratch();
/// Brings lo up, and names the machine.
void set_up_host(const char* host_name);
/// Makes a directory, and those that lead to it.
void make_directories(const char* path);

}  // namespace mayfly::init
