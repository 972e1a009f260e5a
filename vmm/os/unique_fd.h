// SPDX-License-Identifier: Apache-2.0
// UniqueFd: sole owner of a file descriptor. Movable, closes at destruction.
#pragma once

#include <utility>

namespace mayfly {

class UniqueFd {
  public:
    UniqueFd() = default;
    /// The only way in. `fd` is an open descriptor, or negative for none.
    [[nodiscard]] static UniqueFd adopt(int fd) { return UniqueFd(fd); }

    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        if (this != &other) {
            close_now();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { close_now(); }

    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] bool valid() const { return fd_ >= 0; }
    [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  private:
    explicit UniqueFd(int fd) : fd_(fd) {}
    void close_now();

    int fd_ = -1;
};

}  // namespace mayfly
