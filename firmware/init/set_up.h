// SPDX-License-Identifier: Apache-2.0
// A program's environment: file systems, a host name, the loopback interface.
//
// Features that a kernel was built without are skipped silently; other failures are reported, and the program
// runs all the same: it may not need them. Thread: init's only one.
#pragma once

namespace mayfly::init {

/// /proc, /sys, /dev with /dev/pts and /dev/shm; and the file systems in /sys that kernel tests use, where
/// the kernel has them.
void mount_file_systems();
/// /tmp and /run, where the root's are empty.
void mount_scratch();
/// Brings lo up, and sets the host name.
void set_up_host(const char* host_name);
/// Makes a directory and its parents.
void make_directories(const char* path);

}  // namespace mayfly::init
