// SPDX-License-Identifier: Apache-2.0
// The init of a guest that `mayfly boot --exec` starts: makes surroundings for one program, runs it, and
// reports to the monitor how it ended.
//
// A program of ring 3 without a C library, the first process of the guest's Linux. It forwards no signals and
// restarts nothing: when the program has ended, so has the machine, whatever it left running.
#include <asm/ioctls.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/signal.h>

#include "firmware/init/job_reader.h"
#include "firmware/init/ports.h"
#include "firmware/init/set_up.h"
#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

[[noreturn]] void end_with(InitReport report) {
    // What the program wrote may still be on its way through the console's driver.
    system_call(__NR_ioctl, 1, TCSBRK, 1);
    system_call(__NR_sync);
    if (!send_report(report)) say("cannot report: no I/O ports and no /dev/port");
    power_off();
}

[[noreturn]] void end_failed(InitStep step, long error) {
    end_with({InitReport::Kind::InitFailed, step, static_cast<u16>(error)});
}

/// Each is removed once it is loaded, for its memory.
void load_modules(const Job& job) {
    for (const char* const* next = job.modules; *next != nullptr; ++next) {
        const char* path = *next + 1;
        long result = open_file(path, O_RDONLY);
        if (result >= 0) {
            const int file = static_cast<int>(result);
            result = system_call(__NR_finit_module, static_cast<u64>(file), address(""), 0);
            close_file(file);
        }
        if (result == 0 || result == -EEXIST) {
            system_call(__NR_unlink, address(path));
            continue;
        }
        say("cannot load the kernel module ", base_name(path), ": ", error_name(-result));
        if (**next == static_cast<char>(JobField::Module)) end_failed(InitStep::Module, -result);
    }
}

/// In the child. What becomes of execve goes into `outcome`, which is closed when it succeeds.
[[noreturn]] void become_program(const Job& job, int outcome) {
    constexpr u64 kSteal = 1;  // from a session that has it
    system_call(__NR_setsid);
    system_call(__NR_ioctl, 0, TIOCSCTTY, kSteal);
    mark(kInitMarkProgram);
    give_up_ports();
    const i32 result = static_cast<i32>(
        system_call(__NR_execve, address(job.program), address(job.arguments), address(job.environment)));
    system_call(__NR_write, static_cast<u64>(outcome), address(&result), sizeof(result));
    system_call(__NR_exit_group, 127);
    __builtin_unreachable();
}

InitReport report_of(u32 status) {
    const u32 signal = status & 0x7f;  // wait(2): WTERMSIG, and WEXITSTATUS in the next byte
    if (signal != 0) return {InitReport::Kind::Signalled, InitStep::None, static_cast<u16>(signal)};
    return {InitReport::Kind::Exited, InitStep::None, static_cast<u16>(status >> 8 & 0xff)};
}

[[noreturn]] void run_program(const Job& job) {
    i32 outcome[2] = {-1, -1};
    long result = system_call(__NR_pipe2, address(outcome), O_CLOEXEC);
    if (result < 0) end_failed(InitStep::Fork, -result);
    const long child = system_call(__NR_fork);
    if (child < 0) end_failed(InitStep::Fork, -child);
    if (child == 0) become_program(job, outcome[1]);
    close_file(outcome[1]);
    i32 failure = 0;
    do {
        result = system_call(__NR_read, static_cast<u64>(outcome[0]), address(&failure), sizeof(failure));
    } while (result == -EINTR);
    close_file(outcome[0]);
    if (result == sizeof(failure)) {
        say("cannot execute ", job.program, ": ", error_name(-failure));
        end_failed(InitStep::Execute, -failure);
    }
    // Orphans become our children: each is waited for, so that no zombie stays.
    for (;;) {
        u32 status = 0;
        const long ended = system_call(__NR_wait4, ~u64{0}, address(&status), 0, 0);
        if (ended == child) end_with(report_of(status));
        if (ended < 0 && ended != -EINTR) end_failed(InitStep::Fork, -ended);
    }
}

}  // namespace

}  // namespace mayfly::init

extern "C" [[noreturn]] void init_main() {
    using namespace mayfly;
    using namespace mayfly::init;
    open_mark_port();
    mark(kInitMarkStarted);
    mount_file_systems();
    open_console();
    const auto [error, job] = read_job();
    if (error != 0) {
        // Without the job we do not know the port for a report.
        say("cannot report: ", kJobPath.data(), ": ", error_name(-error));
        power_off();
    }
    open_status_port(job.status_port);
    load_modules(job);
    set_up_network();
    run_program(job);
}
