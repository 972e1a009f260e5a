// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/copy_options.h"

#include <fmt/format.h>

#include "vmm/command/options/option_words.h"

namespace mayfly {

namespace {

constexpr const char* kInHint = "HOST:/GUEST; a slash at the end puts it in there, under its own name";
constexpr const char* kOutHint =
    "/GUEST:HOST; a slash at the end puts it in there, under its own name; a colon in GUEST is \\:";

}  // namespace

Result<CopyIn> parse_copy_in(const std::string& text) {
    const std::size_t colon = text.rfind(":/");
    if (colon == std::string::npos || colon == 0)
        return fail(Error::invalid(fmt::format("--copy-in {}: does not name a place in the guest", text))
                        .hint(kInHint));
    const std::string guest = text.substr(colon + 1);
    for (std::size_t at = guest.find(':'); at != std::string::npos; at = guest.find(':', at + 1))
        if (guest[at - 1] != '\\')
            return fail(Error::invalid(fmt::format("--copy-in {}: {} has a colon", text, guest))
                            .hint("one that belongs to a name of the guest is \\:; a copy is never ':ro'"));
    return CopyIn{.host = text.substr(0, colon), .guest = without_backslashes(guest)};
}

Result<CopyOut> parse_copy_out(const std::string& text) {
    std::size_t colon = text.find(':');
    while (colon != std::string::npos && colon != 0 && text[colon - 1] == '\\')
        colon = text.find(':', colon + 1);
    if (!text.starts_with('/') || colon == std::string::npos || colon + 1 == text.size())
        return fail(Error::invalid(fmt::format("--copy-out {}: does not name {}", text,
                                               text.starts_with('/') ? "a place on this host"
                                                                     : "an absolute path of the guest"))
                        .hint(kOutHint));
    return CopyOut{.guest = without_backslashes(text.substr(0, colon)), .host = text.substr(colon + 1)};
}

}  // namespace mayfly
