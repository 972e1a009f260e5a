// SPDX-License-Identifier: Apache-2.0
#include "firmware/image/refuse.h"

namespace mayfly {

Unexpected refuse_formatted(fmt::string_view format, fmt::format_args args) {
    return fail(Error::invalid(fmt::vformat(format, args)));
}

}  // namespace mayfly
