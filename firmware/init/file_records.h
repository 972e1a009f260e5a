// SPDX-License-Identifier: Apache-2.0
// File records: the format in which our init sends the files of --copy-out, through the ring RingName::Files.
//
// A record is a head, the path below the requested directory (empty: the requested file itself), and
// `data_bytes` bytes. Copies come in their order, each directory before its content:
//
//   Directory                     its mode
//   File, Data..., FileEnd        its mode; pieces in order, what is between them being zeros; its size
//   Link                          the data is where it leads
//   LeftOut                       something else, of that mode
//   Problem                       `value` is the errno of what could not be read; within a file it ends that
//   End                           of all; nothing comes after it
//
// Shared by both sides: no header here may need a library. Thread: any.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::file_records {

enum class Kind : u32 { Directory = 1, File, Data, FileEnd, Link, LeftOut, Problem, End };

struct Head {
    Kind kind = Kind::End;
    u32 copy = 0;        ///< the number of the copy
    u32 path_bytes = 0;  ///< of Data, FileEnd and End: 0
    u32 data_bytes = 0;  ///< of Data and Link only
    u32 mode = 0;        ///< st_mode
    u32 mtime_ns = 0;    ///< of FileEnd: the nanoseconds of its second
    u64 value = 0;  ///< of Data: where it lies in the file; of FileEnd: the file's size; of Problem: an errno
    i64 mtime = 0;  ///< of FileEnd: seconds since 1970
};
static_assert(sizeof(Head) == 40);

inline constexpr u32 kPathBytesMax = 4095;
inline constexpr u32 kDataBytesMax = 1 << 16;

}  // namespace mayfly::file_records
