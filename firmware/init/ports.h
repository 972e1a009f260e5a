// SPDX-License-Identifier: Apache-2.0
// The I/O ports by which init speaks to the monitor: boot marks, its channel, and the report at the end.
//
// By `out` where Linux allows a process to use ports (ioperm(2), iopl(2)), else through /dev/port.
// Thread: init's only one, and its child until that executes the program.
#pragma once

#include "firmware/init/report.h"

namespace mayfly::init {

/// Asks for the port of the marks; /dev need not be mounted.
void open_mark_port();
/// Asks for the status port and those of the channel, and for /dev/port where nothing else works.
void open_job_ports(u16 status_port, u16 channel_port);
/// In the child: the program does not inherit the ports.
void give_up_ports();

void mark(u8 value);
/// False where neither works.
bool send_report(InitReport report);

// The channel's ports (firmware/init/channel.h). False where neither works.
bool open_channel(u32 header_frame);
void ring_monitor(u32 wishes);
/// A line of init's own. False where neither works.
bool send_text(const char* text, u64 size_bytes);

}  // namespace mayfly::init
