// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/text.h"

#include <initializer_list>

#include <linux/errno.h>

#include "firmware/init/ports.h"
#include "firmware/init/system_call.h"

namespace mayfly::init {

namespace {

constexpr u64 kLineMax = 512;
constexpr u64 kErrorOutput = 2;

struct Named {
    long error;
    const char* name;
};
/// The usual errors of mounting, loading and executing. Linux's numbers for x86 (asm-generic/errno.h).
constexpr Named kNames[] = {
    {EPERM, "EPERM"},     {ENOENT, "ENOENT"},
    {EIO, "EIO"},         {ENXIO, "ENXIO"},
    {E2BIG, "E2BIG"},     {ENOEXEC, "ENOEXEC"},
    {EBADF, "EBADF"},     {EAGAIN, "EAGAIN"},
    {ENOMEM, "ENOMEM"},   {EACCES, "EACCES"},
    {EFAULT, "EFAULT"},   {EBUSY, "EBUSY"},
    {EEXIST, "EEXIST"},   {ENODEV, "ENODEV"},
    {ENOTDIR, "ENOTDIR"}, {EISDIR, "EISDIR"},
    {EINVAL, "EINVAL"},   {ENOSPC, "ENOSPC"},
    {EROFS, "EROFS"},     {ENOSYS, "ENOSYS"},
    {ELOOP, "ELOOP"},     {ELIBBAD, "ELIBBAD"},
    {EBADMSG, "EBADMSG"}, {EOPNOTSUPP, "EOPNOTSUPP"},
    {ENOKEY, "ENOKEY"},   {EKEYREJECTED, "EKEYREJECTED"},
    {ENOBUFS, "ENOBUFS"}, {EAFNOSUPPORT, "EAFNOSUPPORT"},
};

}  // namespace

u64 length(const char* text) {
    u64 size = 0;
    while (text[size] != 0) ++size;
    return size;
}

bool is_same(const char* a, const char* b) {
    while (*a != 0 && *a == *b) ++a, ++b;
    return *a == *b;
}

const char* base_name(const char* path) {
    const char* base = path;
    for (; *path != 0; ++path)
        if (*path == '/') base = path + 1;
    return base;
}

u32 decimal(const char* digits) {
    u32 value = 0;
    for (; *digits >= '0' && *digits <= '9'; ++digits) value = value * 10 + static_cast<u32>(*digits - '0');
    return value;
}

void say(const char* a, const char* b, const char* c, const char* d, const char* e, const char* f) {
    char line[kLineMax];
    u64 used = 0;
    for (const char* part : {"init: ", a, b, c, d, e, f})
        for (; *part != 0 && used + 1 < kLineMax; ++part) line[used++] = *part;
    line[used++] = '\n';
    if (!send_text(line, used)) system_call(__NR_write, kErrorOutput, address(line), used);
}

const char* error_name(long error) {
    for (const Named& known : kNames)
        if (known.error == error) return known.name;
    static char text[] = "errno 0000";
    u64 at = sizeof(text) - 1;
    for (long rest = error % 10'000; at > 6; rest /= 10) text[--at] = static_cast<char>('0' + rest % 10);
    return text;
}

}  // namespace mayfly::init

// Functions that the compiler calls implicitly.
extern "C" void* memset(void* to, int value, std::size_t count) {
    void* at = to;
    asm volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(value) : "memory");
    return to;
}

extern "C" void* memcpy(void* to, const void* from, std::size_t count) {
    void* at = to;
    asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count) : : "memory");
    return to;
}
