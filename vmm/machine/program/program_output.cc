// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/program/program_output.h"

#include <unistd.h>

#include "vmm/machine/program/null_file.h"

namespace mayfly {

ProgramOutput::ProgramOutput(channel::RingName ring, int fd, const ProgramContext& context)
    : fd_(fd), sink_(fd, context.stop), reader_(ring, *this, context) {}

bool ProgramOutput::take(std::span<const std::byte> bytes) {
    // SAFETY: characters are bytes.
    sink_.pass({reinterpret_cast<const u8*>(bytes.data()), bytes.size()});
    return !sink_.has_lost_reader();
}

/// The program has closed the stream, and its reader should see that; our own messages still need stderr, and
/// a terminal may be about to answer.
void ProgramOutput::on_over() {
    if (fd_ == STDOUT_FILENO && ::isatty(fd_) != 1) replace_by_null(fd_);
}

}  // namespace mayfly
