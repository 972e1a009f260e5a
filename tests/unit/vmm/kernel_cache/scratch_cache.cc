// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/vmm/kernel_cache/scratch_cache.h"

#include <algorithm>
#include <cstdlib>
#include <dirent.h>
#include <ftw.h>
#include <random>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/image/packer.h"
#include "vmm/text/log.h"

namespace mayfly::test {

namespace {

int remove_one(const char* path, const struct stat*, int, FTW*) { return ::remove(path); }

/// Collects stderr while it lives.
class Ear {
  public:
    Ear() : memory_(::memfd_create("stderr", MFD_CLOEXEC)), before_(::dup(STDERR_FILENO)) {
        ::dup2(memory_, STDERR_FILENO);
        log::set_verbose(true);
    }
    Ear(const Ear&) = delete;
    Ear& operator=(const Ear&) = delete;
    ~Ear() { finish(); }

    std::string finish() {
        if (before_ < 0) return {};
        log::set_verbose(false);
        ::dup2(before_, STDERR_FILENO);
        ::close(std::exchange(before_, -1));
        std::string text(4096, '\0');
        const ssize_t got = ::pread(memory_, text.data(), text.size(), 0);
        text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
        ::close(memory_);
        return text;
    }

  private:
    int memory_;
    int before_;
};

}  // namespace

Bytes large_kernel(u64 seed) {
    Bytes elf = kernel64();
    std::mt19937_64 random(seed);
    for (std::size_t at = 0x2000; at < MiB(1) + KiB(512); at += 8) put<u64>(elf, at, random());
    return elf;
}

Bytes bzimage_of(const Bytes& elf) {
    const Bytes payload = pack_gzip(elf);
    Bytes file(2 * 512);
    append(file, payload);
    file.resize(align_up(file.size(), 16));
    put<u8>(file, 0x1f1, 1);                                             // setup_sects
    put<u32>(file, 0x1f4, static_cast<u32>((file.size() - 1024) / 16));  // syssize
    put<u16>(file, 0x1fe, 0xaa55);
    put<u16>(file, 0x200, 0x66eb);
    put_text(file, 0x202, "HdrS");
    put<u16>(file, 0x206, 0x020f);
    put<u8>(file, 0x211, 1);            // loaded high
    put<u32>(file, 0x22c, 0x7fffffff);  // initrd_addr_max
    put<u16>(file, 0x236, 1);           // XLF_KERNEL_64
    put<u32>(file, 0x238, 100);         // cmdline_size
    put<u32>(file, 0x248, 0);           // payload_offset
    put<u32>(file, 0x24c, static_cast<u32>(payload.size()));
    put<u64>(file, 0x258, 0x100000);  // pref_address
    put<u32>(file, 0x260, 0x10000);   // init_size
    return file;
}

ScratchCache::ScratchCache() {
    char path[] = "/tmp/mayfly-cache-XXXXXX";
    REQUIRE(::mkdtemp(path) != nullptr);
    path_ = path;
    options.place = path_ + "/cache";
    options.settling_ns = 0;
}

ScratchCache::~ScratchCache() { ::nftw(path_.c_str(), remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT); }

std::string ScratchCache::file(const std::string& name, const Bytes& content) const {
    std::string path = path_ + "/" + name;
    const UniqueFd fd = UniqueFd::adopt(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    REQUIRE(::write(fd.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
    return path;
}

Outcome ScratchCache::boot(const std::string& path, u64 memory_bytes) const {
    const Image kernel = Image::open(path).value();
    const KernelChoice choice = choose_kernel(kernel, Protocol::Auto).value();
    Ear ear;
    const Result<std::optional<Image>> unpacked = unpack_cached(kernel, choice, memory_bytes, options);
    Outcome outcome{.line = ear.finish(), .is_hit = false, .elf = {}, .error = {}};
    const std::string prefix = "mayfly: unpacked kernel: ";
    if (outcome.line.starts_with(prefix)) outcome.line = outcome.line.substr(prefix.size());
    if (!outcome.line.empty()) outcome.line.pop_back();
    if (!unpacked) {
        outcome.error = unpacked.error().message();
        return outcome;
    }
    if (!*unpacked) return outcome;
    outcome.is_hit = (*unpacked)->file() != nullptr;
    outcome.elf.resize((*unpacked)->size_bytes());
    if (!(*unpacked)->read(0, outcome.elf)) outcome.elf.clear();
    return outcome;
}

std::vector<std::string> ScratchCache::entries() const {
    std::vector<std::string> names;
    DIR* directory = ::opendir(options.place.c_str());
    if (directory == nullptr) return names;
    while (const dirent* entry = ::readdir(directory)) {
        if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
    ::closedir(directory);
    std::sort(names.begin(), names.end());
    return names;
}

std::string ScratchCache::entry() const {
    const std::vector<std::string> names = entries();
    REQUIRE(names.size() == 1);
    return options.place + "/" + names[0];
}

void set_used(const std::string& path, i64 seconds) {
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

void flip_byte(const std::string& path, i64 offset_bytes) {
    const UniqueFd fd = UniqueFd::adopt(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    char byte = 0;
    REQUIRE(::pread(fd.get(), &byte, 1, offset_bytes) == 1);
    byte = static_cast<char>(byte ^ 0x10);
    REQUIRE(::pwrite(fd.get(), &byte, 1, offset_bytes) == 1);
}

}  // namespace mayfly::test
