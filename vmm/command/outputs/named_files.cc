// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/outputs/named_files.h"

#include <unistd.h>

#include <fmt/format.h>

namespace mayfly {

namespace {

constexpr const char* kStandardNames[] = {"stdin", "stdout", "stderr"};

}  // namespace

void NamedFiles::add(Use use, std::string option, std::string name) {
    std::optional<FileIdentity> identity = FileIdentity::of_name(name);
    const std::optional<int> descriptor = descriptor_named(name);
    entries_.push_back({use, std::move(option), std::move(name), descriptor, std::move(identity)});
}

void NamedFiles::add_standard(int number) {
    entries_.push_back(
        {Use::Standard, "", kStandardNames[number], number, FileIdentity::of_descriptor(number)});
}

void NamedFiles::add_tree(std::string option, std::string directory, bool is_modules) {
    const Use use = is_modules ? Use::Modules : Use::Tree;
    entries_.push_back({use, std::move(option), std::move(directory), {}, {}});
}

bool NamedFiles::is_packed(const Entry& output, const Entry& tree) {
    if (output.descriptor || !is_file_beneath(output.name, tree.name)) return false;
    const std::string name = split_path(behind_links(output.name)).name;
    return tree.use == Use::Tree || name.starts_with("modules.") || name.find(".ko") != std::string::npos;
}

OutputFiles NamedFiles::outputs() const {
    OutputFiles files;
    for (const Entry& entry : entries_) {
        // The files behind stdout and stderr were opened by our parent, under any name.
        if (entry.use == Use::Written && entry.identity && entry.descriptor.value_or(STDERR_FILENO + 1) > 2)
            files.add(entry.option, entry.name, *entry.identity);
    }
    return files;
}

void NamedFiles::reserve_stdout(std::string_view why, std::string_view hint) {
    stdout_is_ = why;
    stdout_hint_ = hint;
    add_standard(STDOUT_FILENO);
}

bool NamedFiles::is_clash(const Entry& output, const Entry& other) {
    if (output.descriptor && other.use == Use::Standard) return false;
    if (output.descriptor && output.descriptor == other.descriptor) return true;
    return output.identity && output.identity == other.identity && !output.identity->is_shareable;
}

Result<void> NamedFiles::check_entry(const Entry& output) const {
    const bool is_late = output.use == Use::Later;
    // A descriptor from the user may be the program's stdout, and takes later output.
    if (is_late && output.descriptor) return {};
    if (output.descriptor == STDOUT_FILENO && !stdout_is_.empty())
        return fail(Error::invalid(fmt::format("{} {}: stdout is {}", output.option, output.name, stdout_is_))
                        .hint(stdout_hint_));
    for (const Entry& other : entries_) {
        if (is_late && (other.use == Use::Copied || other.use == Use::Tree || other.use == Use::Modules))
            continue;
        if ((other.use == Use::Tree || other.use == Use::Modules) && is_packed(output, other))
            return fail(Error::invalid(fmt::format("{} {} is a file in {} {}, which is packed", output.option,
                                                   output.name, other.option, other.name))
                            .hint(fmt::format(
                                "{} would destroy it: name a file that does not exist, or one elsewhere",
                                output.option)));
        if (&other == &output || !is_clash(output, other)) continue;
        if (other.use == Use::Standard)
            return fail(
                Error::invalid(fmt::format("{} {} is the file that {} is connected to", output.option,
                                           output.name, other.name))
                    .hint(fmt::format("{} would destroy it: give it a file of its own", output.option)));
        const std::string cure =
            other.use == Use::Read || other.use == Use::Copied
                ? fmt::format("{} would destroy it: give it a file of its own", output.option)
                : "give each a file of its own";
        return fail(Error::invalid(fmt::format("{} {} and {} {} are one file", output.option, output.name,
                                               other.option, other.name))
                        .hint(cure));
    }
    return {};
}

Result<void> NamedFiles::check(std::string_view option) const {
    for (const Entry& entry : entries_) {
        if (entry.use == Use::Written && entry.option == option) TRY_VOID(check_entry(entry));
    }
    return {};
}

Result<void> NamedFiles::check_all() const {
    for (const Entry& entry : entries_) {
        if (entry.use == Use::Written || entry.use == Use::Later) TRY_VOID(check_entry(entry));
    }
    return {};
}

}  // namespace mayfly
