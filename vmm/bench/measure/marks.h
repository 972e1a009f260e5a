// SPDX-License-Identifier: Apache-2.0
// Console marks: regular expressions whose first matching console line is a moment of a boot.
//
// The end of a line that has not come yet counts as a line, so that a prompt is seen. Thread: one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/watch/expression.h"

namespace mayfly {

class ConsoleMark {
  public:
    /// "NAME=REGEX", where NAME is letters, digits, '-', '_' and '.'; or "REGEX", which is then the name too.
    /// Errors: Invalid, with the reason.
    static Result<ConsoleMark> parse(std::string_view text);

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] bool matches(std::string_view line) const;

  private:
    ConsoleMark(std::string name, std::unique_ptr<Expression> expression)
        : name_(std::move(name)), expression_(std::move(expression)) {}

    std::string name_;
    std::unique_ptr<Expression> expression_;
};

/// The console of one run: takes its bytes as they come, and tells the marks that they complete.
class MarkWatch {
  public:
    explicit MarkWatch(const std::vector<ConsoleMark>& marks) : marks_(&marks), seen_(marks.size()) {}

    /// Indices of the marks that were not seen before.
    std::vector<std::size_t> take(std::string_view bytes);

  private:
    void look(std::vector<std::size_t>& found);

    const std::vector<ConsoleMark>* marks_;
    std::vector<bool> seen_;
    std::string line_;
};

}  // namespace mayfly
