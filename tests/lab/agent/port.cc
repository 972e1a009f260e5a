// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/agent/port.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <unistd.h>

namespace mayfly::lab {

bool Port::receive(std::vector<Frame>& frames) {
    char buffer[kDataBytesMax];
    const ssize_t got = read(fd_, buffer, sizeof buffer);
    if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
    received_.append(buffer, static_cast<size_t>(got));
    size_t used = 0;
    for (;;) {
        FrameHeader header;
        if (received_.size() - used < sizeof header) break;
        std::memcpy(&header, received_.data() + used, sizeof header);
        if (header.length > kFrameBytesMax) return false;
        if (received_.size() - used - sizeof header < header.length) break;
        frames.push_back({static_cast<ToAgent>(header.type), header.id,
                          received_.substr(used + sizeof header, header.length)});
        used += sizeof header + header.length;
    }
    received_.erase(0, used);
    return true;
}

void Port::send(ToClient type, uint32_t id, std::string_view payload) {
    do {
        const auto length = static_cast<uint32_t>(std::min<size_t>(payload.size(), kDataBytesMax));
        const FrameHeader header = {static_cast<uint32_t>(type), id, length};
        char frame[sizeof header + kDataBytesMax];
        std::memcpy(frame, &header, sizeof header);
        std::memcpy(frame + sizeof header, payload.data(), length);
        write_all(frame, sizeof header + length);
        payload.remove_prefix(length);
    } while (!payload.empty());
}

void Port::write_all(const char* bytes, size_t size_bytes) const {
    while (size_bytes > 0) {
        const ssize_t written = write(fd_, bytes, size_bytes);
        // The client is gone: the loop sees the hang-up next, and ends the machine.
        if (written < 0 && errno != EINTR) return;
        if (written <= 0) continue;
        bytes += written;
        size_bytes -= static_cast<size_t>(written);
    }
}

}  // namespace mayfly::lab
