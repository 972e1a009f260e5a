// SPDX-License-Identifier: Apache-2.0
// The options of `mayfly boot`: what the parser takes, and what help, man page and completions say.
#pragma once

#include <array>

#include "vmm/command/options/boot_options.h"
#include "vmm/command/options/device_options.h"
#include "vmm/command/options/share_option.h"
#include "vmm/command/table/command_page.h"
#include "vmm/command/table/option_table.h"

namespace mayfly {

inline constexpr CommandPage kBootPage{
    .command = "boot",
    .summary = "boot a kernel; the guest's verdict is the exit status",
    .operands = "[OPTIONS] [KERNEL] [-- ARG...]",
    .text =
        "KERNEL is an ELF, bzImage or Multiboot file, or builtin:NAME; --list shows the built-in guests. "
        "Without a KERNEL the built-in demo boots. ARGs are for the program of --exec.\n"
        "\n"
        "An option's name may be cut short as long as it stays unique. Sizes take K, M, G or T (powers of "
        "1024). [Brackets] at the end of a line hold the default.\n"
        "\n"
        "On a terminal, Ctrl-A x ends the machine and Ctrl-A h lists the keys.",
    .status =
        "0-123 the guest's own; with --exec 0-255, the program's own (128+N: signal N killed it). Otherwise "
        "124 timeout, 125 mayfly failed, 126 the guest crashed, 127 the kernel or the program does not "
        "exist, 128+N signal N ended mayfly."};

namespace boot_option_table {
using A = BootArguments;

inline constexpr std::array kOptions{
    Option<A>{.section = "Kernel",
              .name = "initrd",
              .value = "FILE",
              .completion = "FILE",
              .help = "initial RAM disk; repeatable: Linux finds the files one behind the other",
              .list = &A::initrds},
    Option<A>{.name = "append",
              .value = "STRING",
              .help = "kernel command line",
              .text = &A::append,
              .may_be_empty = true},
    Option<A>{.name = "no-default-append",
              .help = "pass --append to Linux as it is, without mayfly's own words; -v prints the whole line",
              .flag = &A::omits_default_append},
    Option<A>{.name = "quick-linux",
              .help =
                  "have Linux skip rarely needed parts of its start: names of constants in trace events, TCP "
                  "congestion control in BPF, built-in keys",
              .flag = &A::is_quick_linux},
    Option<A>{.name = "module",
              .value = "'FILE[ ARGS]'",
              .completion = "FILE",
              .help = "Multiboot or PVH module with its arguments; repeatable",
              .list = &A::modules},
    Option<A>{.name = "protocol",
              .value = "NAME",
              .completion = "auto linux pvh multiboot multiboot2",
              .help = "boot protocol: auto, linux, pvh, multiboot or multiboot2 [auto]",
              .text = &A::protocol},
    Option<A>{.name = "kernel-cache",
              .value = "DIR",
              .completion = "DIR off",
              .help = "keep unpacked bzImages in DIR; off: keep none [~/.cache/mayfly/kernels]",
              .text = &A::kernel_cache},
    Option<A>{.name = "list", .help = "list the built-in guests and exit", .flag = &A::is_list},

    Option<A>{.section = "Program in a Linux guest",
              .name = "exec",
              .value = "PROG",
              .completion = "FILE",
              .help = "run PROG in the guest; its status becomes mayfly's. Its arguments follow --",
              .text = &A::exec},
    Option<A>{
        .name = "root",
        .value = "DIR[,live[,rw]]",
        .completion = "DIR",
        .help = "directory that becomes the guest's root. Alone: a copy. live: DIR itself, with the guest's "
                "changes above it, gone at the end; live,rw: the guest changes DIR",
        .text = &A::root},
    Option<A>{
        .name = "modules",
        .value = "DIR|auto",
        .completion = "DIR auto",
        .help = "where the kernel's modules are: its lib/modules/VERSION; auto looks beside the kernel, then "
                "on this machine",
        .text = &A::modules_directory},
    Option<A>{.name = "env",
              .value = "NAME[=VALUE]",
              .help = "set a variable for PROG, without VALUE to its value here; repeatable",
              .list = &A::environment},
    Option<A>{.name = "workdir",
              .value = "DIR",
              .help = "the guest's directory in which PROG starts; made where missing [/]",
              .text = &A::workdir},
    Option<A>{.name = "user",
              .value = "USER[:GROUP]",
              .help = "run PROG as this user: names from the root's passwd and group, or numbers "
                      "[0]",
              .text = &A::user},
    Option<A>{
        .name = "hostname", .value = "NAME", .help = "the guest's host name [mayfly]", .text = &A::hostname},
    Option<A>{.name = "copy-in",
              .value = "HOST:GUEST",
              .completion = "FILE",
              .help = "copy a file or directory into the guest before PROG starts; repeatable",
              .list = &A::copies_in},
    Option<A>{.name = "copy-out",
              .value = "GUEST:HOST",
              .help = "copy one out when PROG has ended, whatever its status; repeatable",
              .list = &A::copies_out},
    Option<A>{.name = "grace",
              .value = "SECONDS",
              .help = "time between SIGTERM or SIGINT and killing PROG [10]",
              .text = &A::grace},

    Option<A>{.section = "Machine",
              .name = "memory",
              .value = "SIZE",
              .completion = "128M 256M 512M 1G 2G 4G",
              .help = "guest RAM, 2M or more [128M]",
              .text = &A::memory},
    Option<A>{.name = "cpus", .value = "N", .help = "vCPUs, 1 to 64 [1]", .text = &A::cpus},
    Option<A>{.name = "profile",
              .value = "NAME",
              .completion = "auto modern legacy",
              .help = "interrupt controllers and timers: modern, legacy (as a PC has them) or auto [auto]",
              .text = &A::profile},
    Option<A>{.name = "irqchip",
              .value = "NAME",
              .completion = "auto split full none",
              .help = "which of them KVM emulates: split, full, none or auto [auto]",
              .text = &A::irqchip},
    Option<A>{.name = "pit",
              .value = "MODE",
              .completion = "auto reinject discard",
              .help = "late ticks of the 8254: reinject, discard or auto [auto]",
              .text = &A::pit},
    Option<A>{.name = "testdev",
              .help = "add the interrupt test device (ports 0xe0 and 0x2000)",
              .flag = &A::is_test_device},

    Option<A>{.section = "Console",
              .name = "console",
              .value = "WHERE",
              .completion = "stdio null hvc serial FILE",
              .help = "stdio, null or a file, then perhaps ,hvc (virtio console) or ,serial (16550) [stdio]",
              .text = &A::console},
    Option<A>{.name = "console-limit",
              .value = "SIZE",
              .help = "add no more than SIZE to the file of --console; the rest is dropped and "
                      "counted [none]",
              .text = &A::console_limit},
    Option<A>{.name = "debugcon",
              .value = "WHERE",
              .completion = "auto stdout stderr off FILE",
              .help =
                  "port 0xe9: stdout, stderr, a file or off; auto: the console, without what the serial port "
                  "prints too [auto]",
              .text = &A::debugcon},
    Option<A>{.name = "log",
              .value = "FILE",
              .completion = "FILE",
              .help = "keep the console, each line with its time",
              .text = &A::log},
    Option<A>{.name = "log-limit",
              .value = "SIZE",
              .help = "largest size of that file, which says what it lacks [64M]",
              .text = &A::log_limit},

    Option<A>{.section = "Devices",
              .name = "disk",
              .value = "FILE[,KEY]...",
              .completion = "FILE",
              .help = kDiskHelp,
              .list = &A::disks},
    Option<A>{.name = "net",
              .value = "KIND[,KEY]...",
              .completion = "user tap= passt=",
              .help = kNetHelp,
              .list = &A::nets},
    Option<A>{.name = "share",
              .value = "DIR[:MOUNT][,KEY]...",
              .completion = "DIR",
              .help = kShareHelp,
              .list = &A::shares},
    Option<A>{.name = "rng", .help = "virtio entropy device: the host's random numbers", .flag = &A::is_rng},
    Option<A>{.name = "transport",
              .value = "NAME",
              .completion = "pci mmio",
              .help = "how the guest finds virtio devices: pci or mmio [pci]",
              .text = &A::transport},
    Option<A>{.name = "io",
              .value = "WHERE",
              .completion = "auto inline thread",
              .help = "who does the devices' work: inline (the vCPU), thread or auto [auto]",
              .text = &A::io},
    Option<A>{.name = "config-window",
              .value = "SWITCH",
              .completion = "on off",
              .help = "let the guest read PCI configuration without exits: on or off [on]",
              .text = &A::config_window},

    Option<A>{.section = "Verdict",
              .name = "timeout",
              .value = "SECONDS",
              .help = "end the guest after this time, with status 124",
              .text = &A::timeout},
    Option<A>{.name = "expect",
              .value = "REGEX",
              .help = "succeed once a console line matches; repeatable: each must",
              .list = &A::expect},
    Option<A>{.name = "fail-on",
              .value = "REGEX",
              .help = "fail with status 1 when a console line matches; repeatable",
              .list = &A::fail_on},
    Option<A>{.name = "exit-port",
              .value = "PORT",
              .help = "a write to this I/O port ends the guest; repeatable [0xf4]",
              .list = &A::exit_ports},
    Option<A>{.name = "exit-code",
              .value = "RULE",
              .completion = "raw qemu",
              .help = "raw: the value written is the status; qemu: value<<1|1 [raw]",
              .text = &A::exit_code},
    Option<A>{.name = "success", .value = "N", .help = "this status counts as 0", .text = &A::success},
    Option<A>{.name = "junit",
              .value = "FILE",
              .completion = "FILE",
              .help = "write the verdict as a JUnit XML report",
              .text = &A::junit},

    Option<A>{
        .section = "Snapshot",
        .name = "snapshot",
        .value = "DIR",
        .completion = "DIR",
        .help = "make a snapshot of the running guest in DIR, which must not exist: mayfly restore DIR goes "
                "on from there",
        .text = &A::snapshot},
    Option<A>{
        .name = "snapshot-at",
        .value = "MOMENT",
        .completion = "ready signal mark=",
        .help =
            "ready: the guest writes to port 0x508; mark=N: it gives the boot mark N; signal: mayfly gets "
            "SIGUSR2 [ready]",
        .text = &A::snapshot_at},
    Option<A>{.name = "then",
              .value = "WHAT",
              .completion = "exit go-on",
              .help = "afterwards exit, with status 0, or let the guest go on [exit]",
              .text = &A::then},

    Option<A>{.section = "Measurements and help",
              .name = "timeline",
              .help = "print at the end when each phase of the boot was reached",
              .flag = &A::is_timeline},
    Option<A>{.name = "timeline-json",
              .value = "FILE",
              .completion = "FILE",
              .help = "write the timeline as JSON",
              .text = &A::timeline_json},
    Option<A>{.name = "stats",
              .help = "print at the end how often the guest left KVM, by cause, and KVM's own counters",
              .flag = &A::is_stats},
    Option<A>{.name = "stats-json",
              .value = "FILE",
              .completion = "FILE",
              .help = "write the statistics as JSON",
              .text = &A::stats_json},
    Option<A>{
        .name = "verbose", .letter = 'v', .help = "say what was chosen, and why", .flag = &A::is_verbose},
    Option<A>{.name = "help", .letter = 'h', .help = "print this help and exit", .flag = &A::is_help},
};

}  // namespace boot_option_table

}  // namespace mayfly
