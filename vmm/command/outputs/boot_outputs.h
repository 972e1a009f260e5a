// SPDX-License-Identifier: Apache-2.0
// BootOutputs: the files that `mayfly boot` writes, opened before there is a machine; none of them is one
// that it reads, or writes for another option.
//
// Thread: the main thread.
#pragma once

#include <optional>

#include "vmm/command/options/boot_options.h"
#include "vmm/command/outputs/named_files.h"
#include "vmm/os/output_file.h"

namespace mayfly {

/// The files that the options name, with `about` before each option's name. What else is in the directories
/// of --root and --modules finds the packer.
void add_boot_files(const BootArguments& arguments, std::string_view about, NamedFiles& files);

/// The file of --log.
Result<UniqueFd> open_log(const std::string& name);
/// It loses what it held: when nothing but the guest's run is left to fail.
Result<void> empty_log(const UniqueFd& file, const std::string& name);

class BootOutputs {
  public:
    /// All but --log's, which is compared with them and the others. Where this fails, no file has lost
    /// anything, and --junit's is open if possible, to report the failure.
    static BootOutputs open(const BootArguments& arguments);
    /// --junit's only, of a command line that was refused.
    static BootOutputs open_junit(const BootArguments& arguments);

    /// The files that could not be opened.
    [[nodiscard]] const std::optional<Error>& error() const { return error_; }

    UniqueFd console;   ///< of --console FILE; none where not asked for
    UniqueFd debugcon;  ///< the same of --debugcon FILE
    std::optional<ReportFile> junit;
    std::optional<ReportFile> timeline;
    std::optional<ReportFile> stats;
    OutputFiles packed;  ///< those that must not be, in --root or --modules

  private:
    Result<void> open_junit_of(const BootArguments& arguments, const NamedFiles& files);
    Result<void> open_others(const BootArguments& arguments);

    std::optional<Error> error_;
};

}  // namespace mayfly
