// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/info_writer.h"

#include <algorithm>

#include "firmware/image/refuse.h"
#include "firmware/layout.h"
#include "vmm/error/verify.h"

namespace mayfly {

Result<Gpa> InfoWriter::put(std::span<const std::byte> bytes, u64 alignment_bytes) {
    const Gpa at{align_up(next_.value, alignment_bytes)};
    if (at > end_ || bytes.size() > end_ - at)
        return refuse("the modules' names and arguments do not fit the {} bytes for boot information",
                      layout::kBootStringsBytes);
    VERIFY(memory_.write(at, bytes) == MemStatus::Ok);
    next_ = at + bytes.size();
    return at;
}

Result<Gpa> InfoWriter::put_string(std::string_view text) {
    const Gpa at = TRY(put(std::as_bytes(std::span(text)), 1));
    if (next_ == end_) return refuse("the modules' names and arguments do not fit the boot information");
    next_ = next_ + 1;
    return at;
}

Result<Gpa> write_command_line(const GuestMemory& memory, Occupancy& occupancy, std::string_view text,
                               u64 bytes_max) {
    const u64 limit = std::min(bytes_max, layout::kCommandLineBytes - 1);
    if (text.size() > limit)
        return refuse("the command line has {} bytes, this kernel takes {}", text.size(), limit);
    const Gpa at = TRY(occupancy.place(layout::kCommandLine, layout::kCommandLineBytes, "the command line"));
    VERIFY(memory.write(at, std::as_bytes(std::span(text))) == MemStatus::Ok);
    return at;
}

}  // namespace mayfly
