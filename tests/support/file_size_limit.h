// SPDX-License-Identifier: Apache-2.0
// FileSizeLimit: while it lives, no file of this process grows beyond the limit (ulimit -f).
#pragma once

#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "vmm/error/ints.h"

namespace mayfly {

class FileSizeLimit {
  public:
    explicit FileSizeLimit(u64 bytes) {
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
        const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;
    ~FileSizeLimit() { static_cast<void>(::setrlimit(RLIMIT_FSIZE, &before_)); }

  private:
    rlimit before_{};
};

}  // namespace mayfly
