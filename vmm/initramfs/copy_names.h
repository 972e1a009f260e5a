// SPDX-License-Identifier: Apache-2.0
// The values of --copy-in and --copy-out.
//
// Thread: any.
#pragma once

#include <string>

namespace mayfly {

/// The text after the last slash, ignoring slashes at the end; empty where nothing follows.
[[nodiscard]] inline std::string last_part(const std::string& path) {
    const std::size_t end = path.find_last_not_of('/');
    if (end == std::string::npos) return {};
    const std::size_t slash = path.find_last_of('/', end);
    const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
    return path.substr(begin, end + 1 - begin);
}

/// A file or a directory of the host to copy into the guest, under a name there.
struct CopyIn {
    std::string host;
    std::string guest;  ///< absolute; with a slash at its end: inside, under its own name; with one at the
                        ///< end of both: inside, without that name
};

/// A file or a directory of the guest to copy to the host when the program has ended.
struct CopyOut {
    std::string guest;  ///< absolute
    std::string host;   ///< with a slash at its end: inside, under its own name; with one at the end of both:
                        ///< inside, without that name

    [[nodiscard]] bool is_inside() const { return host.ends_with('/') && !guest.ends_with('/'); }
    /// The full name that the copy gets.
    [[nodiscard]] std::string host_name() const {
        if (is_inside()) return host + last_part(guest);
        const std::size_t end = host.find_last_not_of('/');
        return end == std::string::npos ? host + "." : host.substr(0, end + 1);
    }
};

}  // namespace mayfly
