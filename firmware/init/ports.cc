// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/ports.h"

#include <initializer_list>

#include <linux/fcntl.h>

#include "firmware/init/channel.h"
#include "firmware/init/system_call.h"

namespace mayfly::init {

namespace {

constexpr u16 kReportBytes = 4;

struct Range {
    u16 first;
    u16 count;
    bool is_ours;  ///< ioperm(2) gave it to us
};
constinit Range marks{kInitMarkPort, 1, false};
constinit Range status{0, kReportBytes, false};
constinit Range channel_ports{0, channel::kPortsBytes, false};
bool has_all_ports = false;
int port_file = -1;

bool permit(Range& range, bool is_on) {
    range.is_ours = system_call(__NR_ioperm, range.first, range.count, is_on ? 1 : 0) == 0 && is_on;
    return range.is_ours;
}

void permit_all(u64 level) { has_all_ports = system_call(__NR_iopl, level) == 0 && level != 0; }

void open_range(Range& range) {
    if (permit(range, true) || has_all_ports) return;
    permit_all(3);
    if (!has_all_ports && port_file < 0) port_file = open_file("/dev/port", O_WRONLY);
}

/// `size_bytes` is 1 or 4. x86 is little endian, and the file goes from port to port.
bool write_port(const Range& range, u16 offset, u32 value, u64 size_bytes) {
    const u16 port = static_cast<u16>(range.first + offset);
    if (range.is_ours || has_all_ports) {
        if (size_bytes == 1)
            asm volatile("outb %0, %1" : : "a"(static_cast<u8>(value)), "d"(port) : "memory");
        else
            asm volatile("outl %0, %1" : : "a"(value), "d"(port) : "memory");
        return true;
    }
    return port_file >= 0 && system_call(__NR_pwrite64, static_cast<u64>(port_file), address(&value),
                                         size_bytes, port) == static_cast<long>(size_bytes);
}

}  // namespace

void open_mark_port() {
    if (!permit(marks, true)) permit_all(3);
}

void open_job_ports(u16 status_port, u16 channel_port) {
    status.first = status_port;
    channel_ports.first = channel_port;
    open_range(status);
    open_range(channel_ports);
}

void give_up_ports() {
    for (Range* range : {&marks, &status, &channel_ports}) {
        if (range->is_ours) permit(*range, false);
    }
    if (has_all_ports) permit_all(0);
}

void mark(u8 value) { write_port(marks, 0, value, 1); }

bool send_report(InitReport report) {
    return write_port(status, 0, encode_init_report(report), kReportBytes);
}

bool open_channel(u32 header_frame) {
    return write_port(channel_ports, channel::kOpenPort, header_frame, sizeof(header_frame));
}

void ring_monitor(u32 wishes) { write_port(channel_ports, channel::kDoorbellPort, wishes, 1); }

bool send_text(const char* text, u64 size_bytes) {
    if (channel_ports.first == 0) return false;
    for (u64 i = 0; i < size_bytes; ++i) {
        if (!write_port(channel_ports, channel::kTextPort, static_cast<u8>(text[i]), 1)) return false;
    }
    return true;
}

}  // namespace mayfly::init
