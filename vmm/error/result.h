// SPDX-License-Identifier: Apache-2.0
// Result<T>: a T or an Error. TRY unwraps or returns the error to the caller.
#pragma once

#include <utility>

#include <tl/expected.hpp>

#include "vmm/error/error.h"

namespace mayfly {

template <typename T>
using Result = tl::expected<T, Error>;

using Unexpected = tl::unexpected<Error>;

[[nodiscard]] inline Unexpected fail(Error error) { return Unexpected(std::move(error)); }

}  // namespace mayfly

/// Evaluates a Result; on error returns it from the enclosing function, else yields the value.
#define TRY(expression)                                                                      \
    __extension__({                                                                          \
        auto&& mayfly_try_result = (expression);                                             \
        if (!mayfly_try_result) return ::mayfly::fail(std::move(mayfly_try_result).error()); \
        std::move(*mayfly_try_result);                                                       \
    })

/// The same for Result<void>.
#define TRY_VOID(expression)                                                                 \
    do {                                                                                     \
        auto&& mayfly_try_result = (expression);                                             \
        if (!mayfly_try_result) return ::mayfly::fail(std::move(mayfly_try_result).error()); \
    } while (false)
