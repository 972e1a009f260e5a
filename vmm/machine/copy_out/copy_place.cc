// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/copy_out/copy_place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/image/refuse.h"
#include "vmm/os/file_identity.h"
#include "vmm/os/output_file.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

Result<CopyPlace> stream_place(Result<UniqueFd> opened, const std::string& name, bool is_emptied) {
    // Not within the braces: where TRY returns, objects that they have begun would leak.
    UniqueFd stream = TRY(about(std::move(opened), kCopyOutOption));
    CopyPlace place;
    place.shown = visible(name);
    place.stream = std::move(stream);
    place.is_emptied = is_emptied;
    return place;
}

bool may_write(int directory, const std::string& name, bool is_directory) {
    const int how = is_directory ? W_OK | X_OK : W_OK;
    return ::faccessat(directory, name.c_str(), how, AT_EACCESS) == 0;
}

}  // namespace

Result<CopyPlace> find_place(const CopyOut& copy) {
    if (const std::optional<int> descriptor = descriptor_named(copy.host))
        return stream_place(handed_descriptor(*descriptor, visible(copy.host)), copy.host, false);
    const bool is_inside = copy.is_inside();
    const std::string path = is_inside ? copy.host_name() : behind_links(copy.host_name());
    const auto [directory, name] = split_path(path);
    if (is_inside && (name.empty() || name == "." || name == ".."))
        return refuse("{} {}:{}: {} does not end in a name to use in the directory", kCopyOutOption,
                      visible(copy.guest), visible(copy.host), visible(copy.guest));
    CopyPlace place{.parent = UniqueFd::adopt(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)),
                    .name = name,
                    .shown = visible(copy.host_name()),
                    .leaf = last_part(copy.guest)};
    if (!place.parent.valid())
        return fail(Error::os("open").about(visible(directory)).about(kCopyOutOption).hint("make it first"));
    struct stat there {};
    const bool is_there = ::fstatat(place.parent.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
    const u32 type = is_there ? there.st_mode & S_IFMT : 0;
    if (type == S_IFDIR) {
        if (may_write(place.parent.get(), name, true)) return place;
        return fail(Error::os("write").about(place.shown).about(kCopyOutOption));
    }
    // A link in there is in the way, like any other name.
    if (is_there && type != S_IFREG && type != S_IFLNK)
        return stream_place(open_stream(path, StreamStart::Append), copy.host, false);
    if (may_write(place.parent.get(), ".", true)) return place;
    const Error refusal = Error::os("write").about(visible(directory)).about(kCopyOutOption);
    if (type != S_IFREG || !may_write(place.parent.get(), name, false)) return fail(refusal);
    return stream_place(open_stream(path, StreamStart::Append), copy.host, true);
}

}  // namespace mayfly
