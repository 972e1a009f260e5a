// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/measure/exit_events.h"

#include <array>
#include <cerrno>

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/os/text_file.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr std::array kTraceDirectories{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};

Result<u64> tracepoint_id(const char* name) {
    for (const char* directory : kTraceDirectories) {
        const std::string path = fmt::format("{}/events/kvm/{}/id", directory, name);
        const std::string text = read_text_file(path.c_str(), 32);
        if (!text.empty()) return parse_number(text, ~u32{0});
    }
    return fail(Error::host(fmt::format("tracefs shows no tracepoint kvm:{}", name)));
}

Result<UniqueFd> open_tracepoint(const char* name) {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_TRACEPOINT;
    attributes.size = sizeof attributes;
    attributes.config = TRY(tracepoint_id(name));
    attributes.disabled = 1;
    attributes.inherit = 1;
    attributes.enable_on_exec = 1;
    const long fd = ::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd >= 0) return UniqueFd::adopt(static_cast<int>(fd));
    const int why = errno;
    if (why == EACCES || why == EPERM)
        return fail(Error::os("perf_event_open", why)
                        .about(name)
                        .hint("needs root, or CAP_PERFMON and sysctl kernel.perf_event_paranoid=1"));
    return fail(Error::os("perf_event_open", why).about(name));
}

u64 read_count(const UniqueFd& fd) {
    u64 value = 0;
    return ::read(fd.get(), &value, sizeof value) == sizeof value ? value : 0;
}

}  // namespace

Result<ExitEvents> ExitEvents::open() {
    UniqueFd exits = TRY(open_tracepoint("kvm_exit"));
    UniqueFd returns = TRY(open_tracepoint("kvm_userspace_exit"));
    return ExitEvents(std::move(exits), std::move(returns));
}

ExitEvents::Counts ExitEvents::read() const { return {read_count(exits_), read_count(returns_)}; }

}  // namespace mayfly
