// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/vmm/initramfs/scratch_tree.h"

#include <cstring>
#include <filesystem>
#include <fstream>

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace mayfly::test {

ScratchTree::ScratchTree() {
    char name[] = "/tmp/mayfly-initramfs-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
    REQUIRE(::chmod(name, 0755) == 0);
}

ScratchTree::~ScratchTree() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

void ScratchTree::file(const std::string& name, const std::string& content, unsigned mode) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream out(path(name), std::ios::binary);
    out << content;
    out.close();
    REQUIRE(out.good());
    REQUIRE(::chmod(path(name).c_str(), mode) == 0);
}

void ScratchTree::directory(const std::string& name, unsigned mode) const {
    std::filesystem::create_directories(path(name));
    REQUIRE(::chmod(path(name).c_str(), mode) == 0);
}

void ScratchTree::symlink(const std::string& target, const std::string& name) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    REQUIRE(::symlink(target.c_str(), path(name).c_str()) == 0);
}

void ScratchTree::hard_link(const std::string& existing, const std::string& name) const {
    REQUIRE(::link(path(existing).c_str(), path(name).c_str()) == 0);
}

void ScratchTree::sparse(const std::string& name, u64 size_bytes) const {
    file(name);
    REQUIRE(::truncate(path(name).c_str(), static_cast<off_t>(size_bytes)) == 0);
}

std::string elf_program(const std::string& interpreter, u16 machine, u16 type) {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = type;
    header.e_machine = machine;
    header.e_phoff = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 2;
    Elf64_Phdr segments[2]{};
    segments[0].p_type = PT_LOAD;
    segments[1].p_type = interpreter.empty() ? PT_NULL : PT_INTERP;
    segments[1].p_offset = sizeof(header) + sizeof(segments);
    segments[1].p_filesz = interpreter.size() + 1;
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
    bytes.append(reinterpret_cast<const char*>(segments), sizeof(segments));
    return bytes + interpreter + std::string(1, '\0');
}

InitramfsRequest request_for(const std::string& program, const std::string& root) {
    InitramfsRequest request;
    request.program = program;
    request.root = root;
    request.status_port = 0x514;
    request.channel_port = 0x620;
    request.bytes_max = MiB(64);
    return request;
}

std::string refusal(const InitramfsRequest& request) {
    const Result<UniqueFd> archive = pack_initramfs(request);
    REQUIRE_FALSE(archive.has_value());
    return archive.error().message();
}

}  // namespace mayfly::test
