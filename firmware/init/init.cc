// SPDX-License-Identifier: Apache-2.0
// The init of a guest that `mayfly boot --exec` starts: prepares the environment of one program, runs it, and
// reports to the monitor how it ended.
//
// A program of ring 3 without a C library, the first process of the guest's Linux. It restarts nothing: when
// the program ends, the machine ends, whatever other processes run.
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "firmware/init/copy_in.h"
#include "firmware/init/job_reader.h"
#include "firmware/init/live_root.h"
#include "firmware/init/network.h"
#include "firmware/init/ports.h"
#include "firmware/init/program.h"
#include "firmware/init/set_up.h"
#include "firmware/init/shares.h"
#include "firmware/init/streams.h"
#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

[[noreturn]] void end_with(InitReport report) {
    system_call(__NR_sync);
    if (!send_report(report)) say("cannot report: no I/O ports and no /dev/port");
    power_off();
}

[[noreturn]] void end_failed(InitStep step, long error) {
    end_with({InitReport::Kind::InitFailed, step, static_cast<u16>(error)});
}

/// Each file is removed once it is loaded, to free its memory.
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

}  // namespace

}  // namespace mayfly::init

extern "C" [[noreturn]] void init_main() {
    using namespace mayfly;
    using namespace mayfly::init;
    open_mark_port();
    mark(kInitMarkStarted);
    mount_file_systems();
    const auto [error, job] = read_job();
    if (error != 0) {
        // Without the job we do not know the port for a report.
        say("cannot report: ", kJobPath.data(), ": ", error_name(-error));
        power_off();
    }
    open_job_ports(job.status_port, job.channel_port);
    if (system_call(__NR_access, address(kEndPath.data()), 0) != 0) end_failed(InitStep::Unpack, ENOSPC);
    load_modules(job);
    if (job.root != JobRoot::Own) {
        if (const long problem = enter_live_root(job.root); problem != 0)
            end_failed(InitStep::Root, -problem);
        if (const long problem = copy_in(kCopiesBesideRoot.data(), "/"); problem != 0)
            end_failed(InitStep::CopyIn, -problem);
    }
    mount_scratch();
    if (const long problem = mount_shares(job.shares); problem != 0) end_failed(InitStep::Share, -problem);
    set_up_host(job.host_name);
    if (const long problem = set_up_networks(job); problem != 0) end_failed(InitStep::Network, -problem);
    Streams streams;
    if (const long problem = streams.open(*job.copies_out != nullptr); problem != 0)
        end_failed(InitStep::Channel, -problem);
    end_with(run_program(job, streams));
}
