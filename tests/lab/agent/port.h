// SPDX-License-Identifier: Apache-2.0
// The agent's end of the channel: frames out of and into a virtio-serial port. Blocks while the client does
// not read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/lab/agent/protocol.h"

namespace mayfly::lab {

struct Frame {
    ToAgent type;
    uint32_t id;
    std::string payload;
};

class Port {
  public:
    explicit Port(int fd) : fd_(fd) {}

    [[nodiscard]] int fd() const { return fd_; }

    /// Reads what is there; false when the client is gone or talks nonsense.
    [[nodiscard]] bool receive(std::vector<Frame>& frames);

    /// Splits what does not fit one data frame. An empty payload makes one frame.
    void send(ToClient type, uint32_t id, std::string_view payload);

  private:
    void write_all(const char* bytes, size_t size_bytes) const;

    int fd_;
    std::string received_;
};

}  // namespace mayfly::lab
