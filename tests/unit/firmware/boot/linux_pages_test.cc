// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/linux_pages.h"

#include <array>
#include <csignal>
#include <fstream>
#include <random>

#include <sys/wait.h>

#include "tests/unit/firmware/boot/guest_pages.h"
#include "vmm/os/huge_pages.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

constexpr u64 kHuge = MiB(2);
constexpr u64 kVirtual = 0xffffffff81000000;

// gABI 4.1 "Sections": types and flags.
constexpr u32 kProgbits = 1;
constexpr u32 kNobits = 8;
constexpr u64 kWrite = 1;
constexpr u64 kAlloc = 2;
constexpr u64 kExecute = 4;
// gABI "Program Header": p_flags.
constexpr u32 kWritableSegment = 6;

/// The sections of a kernel with one segment: `offset_bytes` from the segment's start.
struct Part {
    u32 type;
    u64 flags;
    u64 offset_bytes;
    u64 size_bytes;
};

/// Headers in the first page of the file, then the segment: no zero in it but where a test puts one.
struct Vmlinux {
    Vmlinux(const std::vector<Part>& parts, u64 at, u64 bytes, u64 offset_bytes = kHuge)
        : base(at), size_bytes(bytes), file_at(offset_bytes) {
        file = elf64(kVirtual, {{kLoad, file_at, kVirtual, base, size_bytes, size_bytes, 4096}});
        put<u32>(file, 64 + 4, kWritableSegment);
        constexpr u64 kTable = 1024;
        u16 count = 1;
        for (const Part& part : parts)
            put_section(file, kTable + 64 * u64{count++},
                        {0, part.type, part.flags, kVirtual + part.offset_bytes, file_at + part.offset_bytes,
                         part.size_bytes});
        put_section(file, kTable + 64 * u64{count++}, {0, 3, 0, 0, 8, 8});
        put_section_table(file, kTable, count);
        file.resize(file_at + size_bytes);
        for (u64 i = 0; i < size_bytes; i++) file[file_at + i] = static_cast<std::byte>(i % 251 + 1);
    }
    void zero(u64 from, u64 bytes) {
        std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(file_at + from), bytes, std::byte{0});
    }

    Bytes file;
    u64 base;
    u64 size_bytes;
    u64 file_at;
};

/// The first line that begins with `start`, from that of `address` on, in a file like proc_pid_maps(5).
std::string line_of(const char* path, const void* address, std::string_view start) {
    const auto wanted = reinterpret_cast<std::uintptr_t>(address);
    std::ifstream maps(path);
    bool is_there = false;
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t from = 0;
        std::uintptr_t to = 0;
        if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) is_there = from <= wanted && wanted < to;
        if (is_there && line.starts_with(start)) return line;
    }
    FAIL("no line of " << address << " in " << path);
    return {};
}

struct Loaded {
    explicit Loaded(const Vmlinux& vmlinux, bool has_huge_pages = true, u64 ram_bytes = MiB(16))
        : kernel(vmlinux),
          ram(GuestRam::create({.size_bytes = ram_bytes, .hole_base = Gpa{GiB(3)}}).value()) {
        const UnpackedKernel image = read_unpacked(file_of(kernel.file));
        REQUIRE(place_linux({image.image, image.elf->value()}, 0, ram, has_huge_pages));
    }
    [[nodiscard]] std::string own(u64 offset_bytes, u64 size_bytes) const {
        return own_pages(ram, Gpa{kernel.base + offset_bytes}, size_bytes);
    }
    [[nodiscard]] bool is_intact() const {
        Bytes found(kernel.size_bytes);
        if (ram.memory().read(Gpa{kernel.base}, found) != MemStatus::Ok) return false;
        return std::equal(found.begin(), found.end(),
                          kernel.file.begin() + static_cast<std::ptrdiff_t>(kernel.file_at));
    }
    /// proc_pid_maps(5): is there a file behind this page?
    [[nodiscard]] bool is_mapped(u64 offset_bytes) const {
        const void* page = ram.memory().span(Gpa{kernel.base + offset_bytes}, 1)->host_base;
        return line_of("/proc/self/maps", page, "").find("memfd:image") != std::string::npos;
    }

    Vmlinux kernel;
    GuestRam ram;
};

constexpr u64 kData = kAlloc | kWrite;
constexpr u64 kText = kAlloc | kExecute;
constexpr u64 kConstants = kAlloc;

std::string pages(u64 bytes, char kind) { return std::string(bytes / kPageBytes, kind); }

}  // namespace

TEST_CASE("2 MiB that Linux writes are copied, whatever sections they hold", "[linux_pages]") {
    for (const Part& part : {Part{kProgbits, kText, 0, 2 * kHuge}, Part{kProgbits, kData, 0, 2 * kHuge}}) {
        const Loaded loaded(Vmlinux({part}, kHuge, 2 * kHuge));
        CHECK_FALSE(loaded.is_mapped(0));
        CHECK_FALSE(loaded.is_mapped(kHuge));
        CHECK(loaded.own(0, 2 * kHuge) == pages(2 * kHuge, 'o'));
        CHECK(loaded.is_intact());
    }
}

TEST_CASE("zeros are not copied", "[linux_pages]") {
    Vmlinux vmlinux({{kProgbits, kData, 0, MiB(1)}, {kNobits, kData, MiB(1), MiB(1)}}, kHuge, kHuge);
    vmlinux.zero(MiB(1), MiB(1));
    vmlinux.zero(KiB(8), KiB(4));
    // Where the host wants advice, RAM comes in small pages here, so that each can be checked.
    const Loaded loaded(vmlinux);
    CHECK_FALSE(loaded.is_mapped(MiB(1)));
    if (host_huge_pages() != HugePages::Always)
        CHECK(loaded.own(0, kHuge) == "oo." + pages(MiB(1), 'o').substr(3) + pages(MiB(1), '.'));
    CHECK(loaded.is_intact());
}

TEST_CASE("where sections claim zeros, the file's bytes win", "[linux_pages]") {
    CHECK(Loaded(Vmlinux({{kNobits, kData, 0, kHuge}}, kHuge, kHuge)).is_intact());
}

TEST_CASE("huge pages are requested where the host needs a request, and for Linux", "[linux_pages]") {
    const Vmlinux vmlinux({{kProgbits, kData, 0, kHuge}}, kHuge, kHuge);
    UnpackedKernel image = read_unpacked(file_of(vmlinux.file));
    for (const bool says_linux : {false, true}) {
        GuestRam ram = GuestRam::create({.size_bytes = MiB(16), .hole_base = Gpa{GiB(3)}}).value();
        ElfKernel& kernel = image.elf->value();
        kernel.says_linux = says_linux;
        Occupancy occupancy(ram.memory());
        REQUIRE(load_elf({image.image, kernel}, 0, ram, occupancy));
        // proc_pid_smaps(5): VmFlags, hg: huge page advise flag.
        const std::string flags =
            line_of("/proc/self/smaps", ram.memory().span(Gpa{0}, 1)->host_base, "VmFlags:");
        CHECK((flags.find(" hg") != std::string::npos) ==
              (says_linux && host_huge_pages() == HugePages::OnAdvice));
    }
}

TEST_CASE("on a host without huge pages, pages are copied one by one", "[linux_pages]") {
    const Loaded loaded(Vmlinux({{kProgbits, kData, 0, kHuge}}, kHuge, kHuge), false);
    CHECK(loaded.is_mapped(0));
    CHECK(loaded.own(0, kHuge) == pages(kHuge, 'o'));
    CHECK(loaded.is_intact());
}

TEST_CASE("pages that Linux mostly reads stay mapped", "[linux_pages]") {
    constexpr u64 kMost = MiB(1) + KiB(4);
    const Loaded reads(
        Vmlinux({{kProgbits, kConstants, 0, kMost}, {kProgbits, kData, kMost, kHuge - kMost}}, kHuge, kHuge));
    CHECK(reads.is_mapped(0));
    CHECK(reads.is_mapped(kMost));
    CHECK(reads.own(0, kHuge) == pages(kMost, '.') + pages(kHuge - kMost, 'o'));
    CHECK(reads.is_intact());

    const Loaded half(
        Vmlinux({{kProgbits, kConstants, 0, MiB(1)}, {kProgbits, kData, MiB(1), MiB(1)}}, kHuge, kHuge));
    CHECK_FALSE(half.is_mapped(0));
    CHECK(half.is_intact());
}

TEST_CASE("a few pages that Linux writes stay mapped", "[linux_pages]") {
    CHECK(Loaded(Vmlinux({{kProgbits, kData, 0, KiB(508)}}, kHuge, KiB(508))).is_mapped(0));
    CHECK_FALSE(Loaded(Vmlinux({{kProgbits, kData, 0, KiB(512)}}, kHuge, KiB(512))).is_mapped(0));
}

TEST_CASE("each 2 MiB of guest memory is judged separately", "[linux_pages]") {
    // From the middle of the first to the middle of the fourth; constants fill the third.
    constexpr u64 kFirst = MiB(1);
    constexpr u64 kReadAt = kFirst + kHuge;
    constexpr u64 kLastAt = kReadAt + kHuge;
    const Loaded loaded(Vmlinux({{kProgbits, kText, 0, kReadAt},
                                 {kProgbits, kConstants, kReadAt, kHuge},
                                 {kProgbits, kData, kLastAt, MiB(1)}},
                                kHuge + MiB(1), kLastAt + MiB(1)));
    CHECK_FALSE(loaded.is_mapped(0));
    CHECK_FALSE(loaded.is_mapped(kFirst));
    CHECK(loaded.is_mapped(kReadAt));
    CHECK(loaded.is_mapped(kLastAt - 1));
    CHECK_FALSE(loaded.is_mapped(kLastAt));
    CHECK(loaded.is_intact());
}

TEST_CASE("2 MiB that are not all guest memory do not become a huge page", "[linux_pages]") {
    const Vmlinux vmlinux({{kProgbits, kData, 0, MiB(1)}}, kHuge, MiB(1));
    CHECK(Loaded(vmlinux, true, MiB(3)).is_mapped(0));
    CHECK_FALSE(Loaded(vmlinux, true, MiB(4)).is_mapped(0));
}

TEST_CASE("edges that are not whole pages, and a file that is not laid out in pages", "[linux_pages]") {
    for (const u64 file_at : {kHuge + 100, kHuge + 101}) {
        const Loaded loaded(Vmlinux({{kProgbits, kData, 0, 2 * kHuge}}, kHuge + 100, kHuge + 1234, file_at));
        CHECK(loaded.is_intact());
        const std::byte behind =
            *static_cast<std::byte*>(loaded.ram.memory().span(Gpa{2 * kHuge + 1334}, 1)->host_base);
        CHECK(behind == std::byte{0});
    }
}

TEST_CASE("whatever sections say, the guest gets the file's bytes", "[linux_pages]") {
    std::mt19937_64 random(2026);
    const auto one_of = [&](std::initializer_list<u64> values) {
        return *(values.begin() + random() % values.size());
    };
    for (int round = 0; round < 60; round++) {
        CAPTURE(round);
        std::vector<Part> parts;
        for (u64 count = random() % 6; count > 0; count--)
            parts.push_back({static_cast<u32>(one_of({kProgbits, kNobits, 0, 3})), random() % 8,
                             one_of({random() % MiB(8), 0, kHuge, MiB(1), ~u64{0}, u64{0} - kVirtual}),
                             one_of({random() % MiB(8), kHuge, 1, 0, ~u64{0}, MiB(4)})});
        const u64 base = one_of({kHuge, kHuge + KiB(4), MiB(1), 3 * kHuge + 100, random() % MiB(8)});
        Vmlinux vmlinux(parts, base, one_of({MiB(4), MiB(6) + 1, random() % MiB(6) + 1}),
                        one_of({kHuge, kHuge + base % kPageBytes, kHuge + 1}));
        if (random() % 2 == 0) vmlinux.zero(vmlinux.size_bytes / 3, vmlinux.size_bytes / 3);
        CHECK(Loaded(vmlinux, round % 3 != 0).is_intact());
    }
}

TEST_CASE("a file that shrinks while it is copied raises SIGBUS", "[linux_pages]") {
    const Vmlinux vmlinux({{kProgbits, kData, 0, kHuge}}, kHuge, kHuge);
    const UnpackedKernel image = read_unpacked(file_of(vmlinux.file));
    REQUIRE(image.elf->value().sections);
    REQUIRE(::ftruncate(image.image.file()->get(), kPageBytes) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::signal(SIGBUS, SIG_DFL);
        GuestRam ram = GuestRam::create({.size_bytes = MiB(16), .hole_base = Gpa{GiB(3)}}).value();
        ::_exit(place_linux({image.image, image.elf->value()}, 0, ram, true) ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGBUS);
}
