// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/firmware/init/said.h"

#include <cstring>
#include <utility>

#include "firmware/init/text.h"

namespace {

std::string said;

}  // namespace

std::string mayfly::test::take_said() { return std::exchange(said, {}); }

// In place of firmware/init/text.cc, which also takes the place of a C library.
namespace mayfly::init {

u64 length(const char* text) { return std::strlen(text); }
bool is_same(const char* a, const char* b) { return std::strcmp(a, b) == 0; }
const char* error_name(long error) { return strerrorname_np(static_cast<int>(error)); }

void say(const char* a, const char* b, const char* c, const char* d, const char* e, const char* f) {
    said += std::string(a) + b + c + d + e + f + "\n";
}

}  // namespace mayfly::init
