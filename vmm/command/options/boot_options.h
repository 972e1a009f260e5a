// SPDX-License-Identifier: Apache-2.0
// The command line of `mayfly boot`: from words to a BootConfig.
#pragma once

#include <string>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/machine/plan/config.h"

namespace mayfly {

/// The words as given, before they are checked and converted. Where nothing is the default, empty means "not
/// given".
struct BootArguments {
    std::string kernel = "builtin:demo";
    std::vector<std::string> initrds;
    std::vector<std::string> modules;
    std::string kernel_cache;
    std::string append;
    std::string exec;
    std::string root;
    std::string modules_directory;
    std::vector<std::string> exec_arguments;  ///< the words behind "--"
    std::vector<std::string> environment;
    std::vector<std::string> copies_in;
    std::vector<std::string> copies_out;
    std::string workdir;
    std::string user;
    std::string hostname;
    std::string grace;
    std::vector<std::string> expect;
    std::vector<std::string> fail_on;
    std::string log;
    std::string log_limit;
    std::string junit;
    std::string protocol = "auto";
    std::string profile = "auto";
    std::string irqchip = "auto";
    std::string pit = "auto";
    std::string memory = "128M";
    std::string cpus;
    std::string timeout;
    std::string console = "stdio";
    std::string console_limit;
    std::string debugcon = "auto";
    std::vector<std::string> disks;
    std::vector<std::string> nets;
    std::vector<std::string> shares;
    std::string transport = "pci";
    std::string io = "auto";
    std::string config_window = "on";
    std::vector<std::string> exit_ports;
    std::string snapshot;
    std::string snapshot_at;
    std::string then;
    std::string origin;  ///< of restore: the snapshot's directory
    std::string exit_code = "raw";
    std::string success;
    std::string timeline_json;
    std::string stats_json;
    bool is_timeline = false;
    bool is_stats = false;
    bool is_test_device = false;
    bool omits_default_append = false;
    bool is_quick_linux = false;
    bool is_rng = false;
    bool is_verbose = false;
    bool is_list = false;
    bool is_help = false;
};

/// `argv` starts at the command's own name. Errors: Invalid, for a word that is not an option, or an option
/// without its value.
Result<BootArguments> parse_boot_arguments(int argc, char** argv);

/// Errors: Invalid, with the option, the value and the limit.
Result<BootConfig> boot_config(const BootArguments& arguments);

/// The same of `mayfly restore`, whose options are some of boot's.
Result<BootArguments> parse_restore_arguments(int argc, char** argv);
/// What they choose anew: for restored_config(). Errors: as boot_config()'s.
Result<BootConfig> restore_config(const BootArguments& arguments);

}  // namespace mayfly
