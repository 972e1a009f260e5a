// SPDX-License-Identifier: Apache-2.0
// The job: the file in which the packer of an initramfs tells our init what to do.
//
// A sequence of strings, each ended by a NUL, so that any byte of a path or an argument survives. The first
// is kJobHeader, the last kJobEnd; a file without it was cut short. The others begin with a letter:
//   s  the status port, decimal          once
//   c  the channel's first port, decimal once
//   t  "ROWS COLUMNS": the program has a terminal
//   1  standard error is standard output
//   r  the monitor is told when the program runs
//   l  "ro" or "rw": the root is the host's directory of kRootTag, below a layer in memory or itself
//   h  the guest's name
//   u  "UID GID" of the program
//   g  a supplementary group, decimal    in order
//   w  the directory where it starts
//   m  the path of a module to load      in load order; its failure is init's
//   o  the same, for a module that others can do without
//   f  a path to copy out when the program has ended, in order
//   n  a network, as network_job.h says  one for each
//   v  "ro PLACE" or "rw PLACE", where a directory of the host is to be    in order
//   i  the tag of its device             after each v
//   p  the path of the program           once
//   a  argv of the program               in order, its name first
//   e  its environment, NAME=VALUE       in order
// Shared by both sides: no header here may need a library. Thread: any.
#pragma once

#include <string_view>

namespace mayfly {

inline constexpr std::string_view kJobPath = "/.mayfly/job";
/// The archive's last entry: where it is missing, so is something before it, for which there was no memory.
inline constexpr std::string_view kEndPath = "/.mayfly/end";
/// Of the share that a live root is.
inline constexpr std::string_view kRootTag = "root";
/// What a guest with a live root has /.mayfly as.
inline constexpr std::string_view kOursBesideRoot = "/dev/.mayfly";
/// In the archive for a live root: what init copies over it, by its place there.
inline constexpr std::string_view kCopiesIn = "/.mayfly/copies";
inline constexpr std::string_view kCopiesBesideRoot = "/dev/.mayfly/copies";
inline constexpr std::string_view kJobHeader = "mayfly job 1";
inline constexpr std::string_view kJobEnd = ".";

enum class JobField : char {
    StatusPort = 's',
    ChannelPort = 'c',
    Terminal = 't',
    OneOutput = '1',
    TellsStart = 'r',
    LiveRoot = 'l',
    HostName = 'h',
    User = 'u',
    Group = 'g',
    Directory = 'w',
    Module = 'm',
    OptionalModule = 'o',
    CopyOut = 'f',
    Network = 'n',
    Share = 'v',
    ShareTag = 'i',
    Program = 'p',
    Argument = 'a',
    Environment = 'e',
};

}  // namespace mayfly
