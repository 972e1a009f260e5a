// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/vmm/initramfs/newc_reader.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace mayfly::test {

namespace {

u32 hexadecimal(const std::string& archive, std::size_t at) {
    const std::string digits = archive.substr(at, 8);
    REQUIRE(digits.size() == 8);
    REQUIRE(digits.find_first_not_of("0123456789ABCDEFabcdef") == std::string::npos);
    return static_cast<u32>(std::stoul(digits, nullptr, 16));
}

std::size_t to_four(std::size_t at) { return (at + 3) / 4 * 4; }

}  // namespace

std::string read_all(const UniqueFd& file) {
    struct stat status {};
    REQUIRE(::fstat(file.get(), &status) == 0);
    std::string bytes(static_cast<std::size_t>(status.st_size), 0);
    REQUIRE(::pread(file.get(), bytes.data(), bytes.size(), 0) == status.st_size);
    return bytes;
}

std::vector<NewcEntry> read_newc(const std::string& archive) {
    std::vector<NewcEntry> entries;
    for (std::size_t at = 0;;) {
        REQUIRE(archive.size() >= at + 110);
        REQUIRE(archive.substr(at, 6) == "070701");
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        u32 field[13];
        for (std::size_t i = 0; i < 13; ++i) field[i] = hexadecimal(archive, at + 6 + 8 * i);
        REQUIRE(field[12] == 0);
        const std::size_t name_bytes = field[11];
        REQUIRE(name_bytes >= 2);
        REQUIRE(archive.size() >= at + 110 + name_bytes);
        REQUIRE(archive[at + 110 + name_bytes - 1] == 0);
        const std::string name = archive.substr(at + 110, name_bytes - 1);
        REQUIRE(name.find('\0') == std::string::npos);
        const std::size_t content = to_four(at + 110 + name_bytes);
        REQUIRE(archive.size() >= content + field[6]);
        if (name == "TRAILER!!!") {
            REQUIRE(content == archive.size());
            return entries;
        }
        entries.push_back({name, field[0], field[1], field[2], field[3], field[4], field[5], field[9],
                           field[10], archive.substr(content, field[6])});
        at = to_four(content + field[6]);
    }
}

bool has_entry(const std::vector<NewcEntry>& entries, const std::string& name) {
    for (const NewcEntry& one : entries)
        if (one.name == name) return true;
    return false;
}

const NewcEntry& entry(const std::vector<NewcEntry>& entries, const std::string& name) {
    const NewcEntry* found = nullptr;
    for (const NewcEntry& one : entries) {
        if (one.name != name) continue;
        INFO(name << " is there twice");
        REQUIRE(found == nullptr);
        found = &one;
    }
    INFO(name << " is missing");
    REQUIRE(found != nullptr);
    return *found;
}

}  // namespace mayfly::test
