// SPDX-License-Identifier: Apache-2.0
// refuse(): the one-line error for a refused file or value, formatted out of line so that each of the
// loaders' many checks costs a call and not a formatter.
#pragma once

#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "vmm/error/result.h"

namespace mayfly {

[[nodiscard]] Unexpected refuse_formatted(fmt::string_view format, fmt::format_args args);

/// ErrorKind::Invalid with the formatted text: lower case, no full stop, value and limit.
template <typename... Args>
[[nodiscard]] Unexpected refuse(fmt::format_string<Args...> format, Args&&... args) {
    return refuse_formatted(format, fmt::make_format_args(args...));
}

/// Adds `subject` to the error of a failed result: "initrd.cpio: …".
template <typename T>
[[nodiscard]] Result<T> about(Result<T> result, std::string_view subject) {
    if (result) return result;
    return fail(std::move(result).error().about(subject));
}

}  // namespace mayfly
