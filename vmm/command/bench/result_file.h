// SPDX-License-Identifier: Apache-2.0
// ResultFile: a file that an option names for a benchmark's result, looked at before the work and written
// after it.
//
// Thread: the main thread.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "vmm/command/outputs/answer.h"
#include "vmm/os/output_file.h"

namespace mayfly {

class ResultFile {
  public:
    /// `path` is what `option` says; "-" is stdout, and none.
    static Result<ResultFile> open(const char* option, const std::string& path) {
        ResultFile file(option);
        if (path.empty() || path == "-") return file;
        Result<ReportFile> report = ReportFile::open(path);
        if (!report) return fail(std::move(report).error().about(option));
        file.report_ = std::move(*report);
        return file;
    }

    /// `print` makes the text. Returns `status`, or what becomes of it where this fails, which is said.
    template <typename Print>
    [[nodiscard]] int write(const Print& print, int status) const {
        if (!report_) return status;
        Result<void> done = report_->write(print(), [] { return false; });
        return done ? status : print_error(std::move(done).error().about(option_));
    }

  private:
    explicit ResultFile(const char* option) : option_(option) {}

    const char* option_;
    std::optional<ReportFile> report_;
};

}  // namespace mayfly
