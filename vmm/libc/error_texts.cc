// SPDX-License-Identifier: Apache-2.0
// The usual texts for an errno on Linux, where musl's differ: users search the web for these, and scripts
// match them. The linker turns strerror() into __wrap_strerror() (meson.build). Thread: any.
#include <algorithm>
#include <array>
#include <cerrno>

namespace {

struct ErrorText {
    int number;
    const char* text;
};

constexpr auto kTexts = std::to_array<ErrorText>({
    {EIO, "Input/output error"},
    {ECHILD, "No child processes"},
    {ENOMEM, "Cannot allocate memory"},
    {EBUSY, "Device or resource busy"},
    {EXDEV, "Invalid cross-device link"},
    {EMFILE, "Too many open files"},
    {ENOTTY, "Inappropriate ioctl for device"},
    {ESPIPE, "Illegal seek"},
    {EDOM, "Numerical argument out of domain"},
    {ERANGE, "Numerical result out of range"},
    {EDEADLK, "Resource deadlock avoided"},
    {ENAMETOOLONG, "File name too long"},
    {ELOOP, "Too many levels of symbolic links"},
    {ETIME, "Timer expired"},
    {EOVERFLOW, "Value too large for defined data type"},
    {ERESTART, "Interrupted system call should be restarted"},
    {EUSERS, "Too many users"},
    {ENOTSOCK, "Socket operation on non-socket"},
    {EMSGSIZE, "Message too long"},
    {EOPNOTSUPP, "Operation not supported"},
    {EADDRINUSE, "Address already in use"},
    {EADDRNOTAVAIL, "Cannot assign requested address"},
    {ENETUNREACH, "Network is unreachable"},
    {ENETRESET, "Network dropped connection on reset"},
    {ECONNABORTED, "Software caused connection abort"},
    {EISCONN, "Transport endpoint is already connected"},
    {ENOTCONN, "Transport endpoint is not connected"},
    {ESHUTDOWN, "Cannot send after transport endpoint shutdown"},
    {ETOOMANYREFS, "Too many references: cannot splice"},
    {ETIMEDOUT, "Connection timed out"},
    {EHOSTUNREACH, "No route to host"},
    {EINPROGRESS, "Operation now in progress"},
    {EUCLEAN, "Structure needs cleaning"},
    {EDQUOT, "Disk quota exceeded"},
    {EOWNERDEAD, "Owner died"},
    {ERFKILL, "Operation not possible due to RF-kill"},
    {133, "Memory page has hardware error"},
});

}  // namespace

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names, ld --wrap
extern "C" char* __real_strerror(int number);

extern "C" char* __wrap_strerror(int number) {
    const auto* found = std::find_if(kTexts.begin(), kTexts.end(),
                                     [number](const ErrorText& one) { return one.number == number; });
    // SAFETY: strerror()'s type is older than const; callers may not write to its result.
    return found != kTexts.end() ? const_cast<char*>(found->text) : __real_strerror(number);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
