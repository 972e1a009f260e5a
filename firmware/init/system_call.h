// SPDX-License-Identifier: Apache-2.0
// System calls of our init, which has no C library. A result from -4095 to -1 is a negated errno.
//
// Specification: System V ABI AMD64 1.0, §A.2.1 "Calling Conventions"; Linux's UAPI headers.
// Thread: init's only one.
#pragma once

#include <asm/unistd.h>

#include "vmm/error/ints.h"

namespace mayfly::init {

inline long system_call(long number, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0, u64 e = 0, u64 f = 0) {
    long result = 0;
    register u64 r10 asm("r10") = d;
    register u64 r8 asm("r8") = e;
    register u64 r9 asm("r9") = f;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

/// A pointer as a system call's argument.
inline u64 address(const void* pointer) { return reinterpret_cast<u64>(pointer); }

/// open(2) with O_CLOEXEC.
int open_file(const char* path, u64 flags);
void close_file(int file);
/// Anonymous zero pages, or null.
void* allocate(u64 size_bytes);
/// Ends the machine, when the work is done or an error cannot be reported.
[[noreturn]] void power_off();

}  // namespace mayfly::init
