// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/display.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace mayfly {

namespace {

constexpr u32 kColumnsMin = 20;  // text that is cut to pieces helps nobody

std::string_view variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string_view() : value;
}

}  // namespace

Display display_of(int fd) {
    Display display;
    if (::isatty(fd) != 1) return display;
    display.is_terminal = true;
    display.is_dumb = variable("TERM") == "dumb";
    display.has_escapes = !display.is_dumb && variable("NO_COLOR").empty();
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col != 0)
        display.columns = std::clamp<u32>(size.ws_col, kColumnsMin, Display::kColumns);
    return display;
}

}  // namespace mayfly
