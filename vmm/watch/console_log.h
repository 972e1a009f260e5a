// SPDX-License-Identifier: Apache-2.0
// ConsoleLog: the console's lines in a file, each with the time at which it began, as dmesg prints them.
//
// The log is written after each portion of the console that completed a line: it ends with a complete line,
// however mayfly ends. An error of the file, or the limit, stops the log; the missing bytes are counted. The
// guest goes on in either case. Thread: one at a time.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "vmm/error/ints.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

class ConsoleLog {
  public:
    struct Settings {
        std::string path;   ///< its name in messages
        u64 max_bytes = 0;  ///< of the file, without the line that reports the limit
        /// Whether mayfly is ending and must not wait for a FIFO's reader. Any time.
        std::function<bool()> should_give_up;
    };
    /// Into `fd`, which is open for writing and empty.
    ConsoleLog(Settings settings, UniqueFd fd);

    /// Begins a line: prefixes its time, and its source.
    void begin_line(u64 at_ns, std::string_view whose = "");
    [[nodiscard]] bool is_in_line() const { return is_in_line_; }
    void put(std::string_view text);
    void end_line();
    /// Writes what was gathered.
    void flush();
    /// No more bytes come. Notes at the log's end how many bytes it lacks.
    void finish();

    /// Bytes of the console that are not in the log.
    [[nodiscard]] u64 lost_bytes() const { return lost_bytes_; }
    /// The reason, for the user; empty when the log is complete.
    [[nodiscard]] const std::string& why_lost() const { return why_lost_; }

  private:
    void stop_at_limit();
    void write_out();
    void fail_with(int os_errno);

    Settings settings_;
    UniqueFd fd_;
    bool may_stall_;  // not an ordinary file: it needs a reader
    std::string buffer_;
    u64 buffered_text_bytes_ = 0;  // the console's own among them
    u64 file_bytes_ = 0;           // written and gathered
    u64 line_began_ns_ = 0;
    u64 lost_bytes_ = 0;
    std::string why_lost_;
    bool is_in_line_ = false;
    bool is_full_ = false;
    bool is_broken_ = false;
};

}  // namespace mayfly
