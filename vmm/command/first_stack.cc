// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/first_stack.h"

#include <charconv>
#include <iterator>
#include <new>
#include <string_view>

#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/text/log.h"

namespace mayfly {

namespace {

constexpr u64 kStackPageBytes = 4096;

/// A line that is put together on a stack of a page or two: fmt would take more.
class ShortLine {
  public:
    ShortLine& operator<<(std::string_view text) {
        for (const char c : text)
            if (used_ < std::size(text_)) text_[used_++] = c;
        return *this;
    }
    ShortLine& operator<<(u64 number) {
        char digits[20];
        const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
        return *this << std::string_view(digits, static_cast<std::size_t>(end - digits));
    }
    [[nodiscard]] std::string_view view() const { return {text_, used_}; }

  private:
    char text_[256];
    std::size_t used_ = 0;
};

int g_status_without_memory = 0;

[[noreturn]] void end_now() {
    log::write_stderr(
        "mayfly: out of memory: the host has no more, or a limit is reached (ulimit -v, ulimit -d, "
        "memory.max of the cgroup)\n");
    ::_exit(g_status_without_memory);
}

}  // namespace

std::optional<FirstStack> first_stack() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
    // The name that was executed is the last that the kernel puts there, in the stack's highest page.
    const u64 name = ::getauxval(AT_EXECFN);
    const u64 top = (name | (kStackPageBytes - 1)) + 1;
    const u64 used = top - reinterpret_cast<u64>(__builtin_frame_address(0));
    // Another thread's stack, or a kernel that says nothing: no verdict.
    if (name == 0 || used > top) return std::nullopt;
    return FirstStack{.limit_bytes = limit.rlim_cur,
                      .left_bytes = limit.rlim_cur - (used < limit.rlim_cur ? used : limit.rlim_cur)};
}

void tell_small_stack(const FirstStack& stack, u64 needed_bytes) {
    ShortLine line;
    line << "mayfly: the stack limit (ulimit -s) of " << stack.limit_bytes / KiB(1) << " KiB leaves "
         << stack.left_bytes / KiB(1) << " KiB beside arguments and environment; mayfly needs "
         << needed_bytes / KiB(1) << " KiB\n";
    log::write_stderr(line.view());
}

void end_without_memory(int status) {
    g_status_without_memory = status;
    std::set_new_handler(end_now);
}

}  // namespace mayfly
