// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/ports.h"

#include <linux/fcntl.h>

#include "firmware/init/system_call.h"

namespace mayfly::init {

namespace {

constexpr u64 kReportBytes = 4;

bool has_mark_port = false;
bool has_status_port = false;
bool has_all_ports = false;
int port_file = -1;
u16 status_port = 0;

bool permit(u16 port, u64 count, bool is_on) {
    return system_call(__NR_ioperm, port, count, is_on ? 1 : 0) == 0;
}

void permit_all(u64 level) { has_all_ports = system_call(__NR_iopl, level) == 0 && level != 0; }

}  // namespace

void open_mark_port() {
    has_mark_port = permit(kInitMarkPort, 1, true);
    if (!has_mark_port) permit_all(3);
}

void open_status_port(u16 port) {
    status_port = port;
    has_status_port = permit(port, kReportBytes, true);
    if (!has_status_port && !has_all_ports) permit_all(3);
    if (!has_status_port && !has_all_ports) port_file = open_file("/dev/port", O_WRONLY);
}

void give_up_ports() {
    if (has_mark_port) permit(kInitMarkPort, 1, false);
    if (has_status_port) permit(status_port, kReportBytes, false);
    if (has_all_ports) permit_all(0);
}

void mark(u8 value) {
    if (has_mark_port || has_all_ports)
        asm volatile("outb %0, %1" : : "a"(value), "d"(kInitMarkPort));
    else if (port_file >= 0)
        system_call(__NR_pwrite64, static_cast<u64>(port_file), address(&value), 1, kInitMarkPort);
}

bool send_report(InitReport report) {
    const u32 word = encode_init_report(report);
    if (has_status_port || has_all_ports) {
        asm volatile("outl %0, %1" : : "a"(word), "d"(status_port));
        return true;
    }
    if (port_file < 0) return false;
    // x86 is little endian, and the file goes from port to port: the byte with the kind is last.
    return system_call(__NR_pwrite64, static_cast<u64>(port_file), address(&word), kReportBytes,
                       status_port) == static_cast<long>(kReportBytes);
}

}  // namespace mayfly::init
