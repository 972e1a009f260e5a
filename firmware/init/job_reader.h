// SPDX-License-Identifier: Apache-2.0
// The job as init works with it: pointers into the file's pages.
//
// Thread: init's only one.
#pragma once

#include "firmware/init/job.h"
#include "vmm/error/ints.h"

namespace mayfly::init {

enum class JobRoot : u8 {
    Own,      ///< what the archive unpacked to
    Overlay,  ///< the share kRootTag, below a layer in memory
    Shared,   ///< that share itself
};

struct Job {
    u16 status_port;
    u16 channel_port;
    bool has_terminal;
    bool has_one_output;  ///< standard error is standard output
    bool tells_start;     ///< the monitor is told when the program runs
    u16 rows;             ///< of the terminal
    u16 columns;
    JobRoot root;
    const char* host_name;
    u32 user;
    u32 group;
    const char* const* groups;  ///< decimal, beside it; ends with null
    const char* directory;      ///< where the program starts
    const char* program;
    const char* const* arguments;    ///< ends with null
    const char* const* environment;  ///< ends with null
    const char* const* copies_out;   ///< absolute paths; ends with null
    const char* const* modules;      ///< ends with null; each begins with its JobField
    const char* const* networks;     ///< ends with null; records of network_job.h. Null for none
    const char* const* shares;       ///< ends with null; pairs: "ro PLACE" or "rw PLACE", and a tag
};

struct JobReading {
    long error;  ///< 0, or a negated errno; EBADMSG for a file that is no job of ours
    Job job;
};
/// Reads kJobPath.
[[nodiscard]] JobReading read_job();

}  // namespace mayfly::init
