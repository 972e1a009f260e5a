// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/job_reader.h"

#include <asm/stat.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

struct Pages {
    long error;  ///< 0, or a negated errno
    const char* text;
    u64 size_bytes;
};

Pages map_job() {
    const int file = open_file(kJobPath.data(), O_RDONLY);
    if (file < 0) return {file, nullptr, 0};
    u64 size_bytes = 0;
    struct stat status {};
    long result = system_call(__NR_fstat, static_cast<u64>(file), address(&status));
    if (result == 0 && status.st_size <= 0) result = -EBADMSG;
    if (result == 0) {
        size_bytes = static_cast<u64>(status.st_size);
        result = system_call(__NR_mmap, 0, size_bytes, PROT_READ, MAP_PRIVATE, static_cast<u64>(file), 0);
    }
    close_file(file);
    if (result < 0) return {result, nullptr, 0};
    // SAFETY: the file's pages are mapped there; nobody truncates a file of the initramfs.
    return {0, reinterpret_cast<const char*>(result), size_bytes};
}

const char* behind_space(const char* text) {
    while (*text != 0 && *text != ' ') ++text;
    return *text == 0 ? text : text + 1;
}

/// An array with one place more than there are strings, from one allocation for all.
class Lists {
  public:
    explicit Lists(const char** room) : next_(room) {}

    /// Gathers the strings of two kinds; `offset` is 1 to leave the letter out.
    const char* const* gather(Pages pages, JobField first, JobField second, u64 offset) {
        const char** list = next_;
        for (const char* field = pages.text; field < pages.text + pages.size_bytes;
             field += length(field) + 1)
            if (*field == static_cast<char>(first) || *field == static_cast<char>(second))
                *next_++ = field + offset;
        *next_++ = nullptr;
        return list;
    }

  private:
    const char** next_;
};

}  // namespace

JobReading read_job() {
    Pages pages = map_job();
    if (pages.error != 0) return {pages.error, {}};
    if (pages.text[pages.size_bytes - 1] != 0 || !is_same(pages.text, kJobHeader.data()))
        return {-EBADMSG, {}};
    Job job{};
    job.directory = "/";
    job.host_name = "mayfly";
    pages.size_bytes -= kJobHeader.size() + 1;
    pages.text += kJobHeader.size() + 1;
    u64 count = 0;
    bool has_networks = false;
    const char* last = "";
    for (const char* field = pages.text; field < pages.text + pages.size_bytes; field += length(field) + 1) {
        ++count;
        last = field;
        if (*field == static_cast<char>(JobField::StatusPort))
            job.status_port = static_cast<u16>(decimal(field + 1));
        if (*field == static_cast<char>(JobField::ChannelPort))
            job.channel_port = static_cast<u16>(decimal(field + 1));
        if (*field == static_cast<char>(JobField::OneOutput)) job.has_one_output = true;
        if (*field == static_cast<char>(JobField::TellsStart)) job.tells_start = true;
        if (*field == static_cast<char>(JobField::Terminal)) {
            job.has_terminal = true;
            job.rows = static_cast<u16>(decimal(field + 1));
            job.columns = static_cast<u16>(decimal(behind_space(field + 1)));
        }
        if (*field == static_cast<char>(JobField::LiveRoot))
            job.root = is_same(field + 1, "rw") ? JobRoot::Shared : JobRoot::Overlay;
        if (*field == static_cast<char>(JobField::HostName)) job.host_name = field + 1;
        if (*field == static_cast<char>(JobField::Network)) has_networks = true;
        if (*field == static_cast<char>(JobField::Directory)) job.directory = field + 1;
        if (*field == static_cast<char>(JobField::User)) {
            job.user = decimal(field + 1);
            job.group = decimal(behind_space(field + 1));
        }
        if (*field == static_cast<char>(JobField::Program)) job.program = field + 1;
    }
    if (!is_same(last, kJobEnd.data()) || job.program == nullptr) return {-EBADMSG, {}};
    auto** room = static_cast<const char**>(allocate((count + 7) * sizeof(const char*)));
    if (room == nullptr) return {-ENOMEM, {}};
    Lists lists(room);
    job.arguments = lists.gather(pages, JobField::Argument, JobField::Argument, 1);
    job.environment = lists.gather(pages, JobField::Environment, JobField::Environment, 1);
    job.groups = lists.gather(pages, JobField::Group, JobField::Group, 1);
    job.copies_out = lists.gather(pages, JobField::CopyOut, JobField::CopyOut, 1);
    job.modules = lists.gather(pages, JobField::Module, JobField::OptionalModule, 0);
    job.shares = lists.gather(pages, JobField::Share, JobField::ShareTag, 1);
    if (has_networks) job.networks = lists.gather(pages, JobField::Network, JobField::Network, 1);
    return {0, job};
}

}  // namespace mayfly::init
