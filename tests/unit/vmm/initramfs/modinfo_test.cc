// SPDX-License-Identifier: Apache-2.0
// Reading of a module's .modinfo, and of nothing else, whatever the file.
#include "vmm/initramfs/modinfo.h"

#include <catch2/catch.hpp>

#include "tests/unit/vmm/initramfs/module_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

using Strings = std::vector<std::string>;
using namespace std::string_literals;

const std::string kInfo =
    "license=GPL\0depends=virtio,virtio_ring\0softdep=pre: crc32c post: x\0softdep=pre: y\0retpoline=Y\0"
    "name=virtio_blk\0vermagic=6.12.9-amd64 SMP preempt mod_unload modversions \0"s;

std::optional<ModuleInfo> read(const std::string& file) { return read_modinfo(bytes_of(file)); }

/// A copy of its own size, so that a sanitizer sees a read beyond it.
std::optional<ModuleInfo> read_exactly(const std::string& file, std::size_t size) {
    const std::vector<char> copy(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    return read_modinfo(std::as_bytes(std::span(copy)));
}

}  // namespace

TEST_CASE("a module tells its dependencies and its kernel") {
    const auto info = read(module_with(kInfo));
    REQUIRE(info.has_value());
    CHECK(info->release == "6.12.9-amd64");
    CHECK(info->needs == Strings{"virtio", "virtio_ring"});
    CHECK(info->soft_needs == Strings{"pre: crc32c post: x", "pre: y"});
}

TEST_CASE("missing fields are empty, and similar names are ignored") {
    const auto info = read(module_with("depends=\0depend=a\0dependsx=b\0vermagic\0=c\0"s));
    REQUIRE(info.has_value());
    CHECK(info->release.empty());
    CHECK(info->needs.empty());
    CHECK(info->soft_needs.empty());
    // The last string has no end of its own; the first release counts.
    const auto open = read(module_with("depends=,a,,b,\0vermagic=1.2 x\0vermagic=3.4"s));
    REQUIRE(open.has_value());
    CHECK(open->needs == Strings{"a", "b"});
    CHECK(open->release == "1.2");
}

TEST_CASE("a file that is not an ELF64 with a section .modinfo has no module information") {
    CHECK_FALSE(read(""));
    CHECK_FALSE(
        read("\x7f"
             "ELF"));
    CHECK_FALSE(read(module_with("")));
    const std::string file = module_with(kInfo);
    const auto with = [&](std::size_t at, std::string_view bytes) {
        std::string changed = file;
        return read(changed.replace(at, bytes.size(), bytes));
    };
    CHECK_FALSE(with(EI_CLASS, "\1"));
    CHECK_FALSE(with(EI_DATA, "\2"));
    CHECK_FALSE(with(offsetof(Elf64_Ehdr, e_shentsize), "\x28"));
    CHECK_FALSE(with(offsetof(Elf64_Ehdr, e_shnum), {"\1\0", 2}));
    CHECK_FALSE(with(offsetof(Elf64_Ehdr, e_shstrndx), "\xff\xff"));
    CHECK_FALSE(with(offsetof(Elf64_Ehdr, e_shoff), "\xff\xff\xff\xff\xff\xff\xff\xff"));
    constexpr std::size_t kSection = sizeof(Elf64_Ehdr) + sizeof(Elf64_Shdr);
    CHECK_FALSE(with(kSection + offsetof(Elf64_Shdr, sh_name), "\2"));
    CHECK_FALSE(with(kSection + offsetof(Elf64_Shdr, sh_name), "\xff\xff\xff\xff"));
    CHECK_FALSE(with(kSection + offsetof(Elf64_Shdr, sh_type), "\x8"));
    CHECK_FALSE(with(kSection + offsetof(Elf64_Shdr, sh_offset), "\xff\xff\xff\xff\xff\xff\xff\xff"));
    CHECK_FALSE(with(kSection + offsetof(Elf64_Shdr, sh_size), "\xff\xff\xff\xff\xff\xff\xff\xff"));
}

TEST_CASE("a truncated module is read only to its end") {
    const std::string file = module_with(kInfo);
    for (std::size_t size = 0; size < file.size(); ++size) (void)read_exactly(file, size);
    CHECK(read_exactly(file, file.size()).has_value());
}

TEST_CASE("any byte of the headers may be wrong") {
    const std::string file = module_with(kInfo);
    for (std::size_t at = 0; at < kModinfoAt; ++at) {
        for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
            std::string changed = file;
            changed[at] = static_cast<char>(value);
            (void)read_exactly(changed, changed.size());
        }
    }
}
