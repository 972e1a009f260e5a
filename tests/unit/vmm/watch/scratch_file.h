// SPDX-License-Identifier: Apache-2.0
// A directory of a test's own, which goes with it.
#pragma once

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace mayfly {

class ScratchDirectory {
  public:
    ScratchDirectory() {
        char name[] = "/tmp/mayfly-watch-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    ~ScratchDirectory() { [[maybe_unused]] const int status = std::system(("rm -rf " + path_).c_str()); }

    [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

inline std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace mayfly
