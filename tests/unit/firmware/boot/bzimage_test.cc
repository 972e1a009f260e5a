// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/guest_pages.h"
#include "tests/unit/firmware/image/packer.h"

using namespace mayfly;
using namespace mayfly::test;
using Catch::Matchers::Contains;

namespace {

Bytes zstd_payload(const Bytes& kernel) {
    return with_size(pack_zstd(kernel), static_cast<u32>(kernel.size()));
}

template <typename T>
std::string error_with(std::size_t offset, T value) {
    Bytes file = bzimage(zstd_payload(kernel64()));
    put<T>(file, offset, value);
    return Guest().error_of(file);
}

}  // namespace

TEST_CASE("the ELF in a bzImage of any packing is entered by the 64-bit protocol", "[bzimage]") {
    const Bytes kernel = kernel64(pvh_note());
    const u32 size = static_cast<u32>(kernel.size());
    const std::pair<const char*, Bytes> payloads[] = {{"gzip", pack_gzip(kernel)},
                                                      {"xz", with_size(pack_xz(kernel), size)},
                                                      {"lzma", with_size(pack_lzma(kernel), size)},
                                                      {"lz4", with_size(pack_lz4(kernel), size)},
                                                      {"zstd", with_size(pack_zstd(kernel), size)}};
    for (const auto& [name, payload] : payloads) {
        Guest guest;
        const EntryState entry = guest.boot(bzimage(payload)).value();
        CHECK(guest.choice.protocol == Protocol::Linux);
        CHECK(guest.choice.is_linux);
        CHECK(guest.choice.why == fmt::format("bzImage with a {} payload, unpacked here", name));
        CHECK(entry.mode == CpuMode::Long64);
        CHECK(entry.rip == 0x100000);
        CHECK(entry.rsi == 0x7000);
        CHECK(guest.text_at(0x100000) == kCode);
    }
}

TEST_CASE("large segments of an unpacked kernel arrive whole", "[bzimage]") {
    Bytes kernel = elf64(0x100000, {{kLoad, 0x1000, 0x100000, 0x100000, 0x40123, 0x50000, 0x1000},
                                    {kLoad, 0x41123, 0x150123, 0x150123, 0x2000, 0x3000, 0x1000}});
    kernel.resize(0x43123);
    for (std::size_t at = 0x1000; at + 4 <= kernel.size(); at += 4)
        put<u32>(kernel, at, static_cast<u32>(at));
    Guest guest;
    REQUIRE(guest.boot(bzimage(zstd_payload(kernel))));
    CHECK(guest.at(0x100000, 0x40123) == Bytes(kernel.begin() + 0x1000, kernel.begin() + 0x41123));
    CHECK(guest.at(0x150123, 0x2000) == Bytes(kernel.begin() + 0x41123, kernel.end()));
    CHECK(guest.at(0x140123, 0xfedd) == Bytes(0xfedd));
}

TEST_CASE("a kernel unpacked beforehand makes the same guest", "[bzimage]") {
    Bytes kernel = elf64(0x100010, {{kLoad, 0x1000, 0x100000, 0x100000, 0x40123, 0x50000, 0x1000},
                                    {kLoad, 0x41123, 0x150123, 0x150123, 0x2000, 0x3000, 0x1000}});
    kernel.resize(0x43123);
    for (std::size_t at = 0x1000; at + 4 <= kernel.size(); at += 4)
        put<u32>(kernel, at, static_cast<u32>(at));
    const Bytes file = bzimage(zstd_payload(kernel));
    const Image image = Image::from_bytes("vmx", file);
    Guest ordinary;
    const EntryState entry = ordinary.boot(image).value();

    Guest guest;
    std::optional<Image> unpacked = unpack_kernel(image, ordinary.choice, MiB(2)).value();
    REQUIRE(unpacked);
    Bytes bytes(unpacked->size_bytes());
    REQUIRE(unpacked->read(0, bytes));
    CHECK(bytes == kernel);
    const UnpackedKernel vmlinux = read_unpacked(std::move(*unpacked));
    guest.request.vmlinux = &vmlinux;
    const EntryState other = guest.boot(image).value();
    CHECK(other.mode == entry.mode);
    CHECK(other.rip == entry.rip);
    CHECK(other.rsi == entry.rsi);
    CHECK(guest.at(0, MiB(2)) == ordinary.at(0, MiB(2)));
}

TEST_CASE("a kernel unpacked beforehand replaces any payload", "[bzimage]") {
    const Bytes kernel = kernel64();
    const UnpackedKernel vmlinux = read_unpacked(Image::from_bytes("unpacked", kernel));
    Guest guest;
    guest.request.vmlinux = &vmlinux;
    // A size that would be refused if it were read.
    REQUIRE(guest.boot(bzimage(with_size(pack_zstd(kernel), 0))));
    CHECK(guest.text_at(0x100000) == kCode);
    const Bytes nothing = from_hex("001122");
    const UnpackedKernel no_kernel = read_unpacked(Image::from_bytes("unpacked", nothing));
    Guest other;
    other.request.vmlinux = &no_kernel;
    CHECK(other.error_of(bzimage(zstd_payload(kernel))) == "vmx: the zstd payload does not hold an ELF");
}

TEST_CASE("a bzImage's header is read once", "[bzimage]") {
    for (const Bytes& payload : {zstd_payload(kernel64()), Bytes()}) {
        const Bytes file = bzimage(payload);
        Guest ordinary;
        const EntryState entry = ordinary.boot(file).value();

        const Image image = file_of(file);
        const KernelChoice choice = choose_kernel(image, Protocol::Auto).value();
        const Bytes nothing(0x290);
        REQUIRE(::pwrite(image.file()->get(), nothing.data(), nothing.size(), 0) == 0x290);
        Guest guest;
        const EntryState other = load_guest(image, choice, guest.request, guest.ram, guest.map).value();
        CHECK(other.rip == entry.rip);
        CHECK(guest.at(0, MiB(2)) == ordinary.at(0, MiB(2)));
    }
}

TEST_CASE("a payload without an ELF kernel is not unpacked, and an unsupported one is refused", "[bzimage]") {
    const auto unpacked = [](const Bytes& file, u64 memory_bytes = MiB(2)) {
        const Image image = Image::from_bytes("vmx", file);
        return unpack_kernel(image, choose_kernel(image, Protocol::Auto).value(), memory_bytes);
    };
    CHECK_FALSE(unpacked(kernel64()).value());
    CHECK_FALSE(unpacked(bzimage({})).value());
    CHECK_FALSE(unpacked(bzimage(from_hex("0102030405060708090a"))).value());
    CHECK(unpacked(bzimage(zstd_payload(kernel64()))).value());
    const Bytes lies = bzimage(with_size(pack_zstd(kernel64()), 0xffffffff));
    CHECK(unpacked(lies).error().message() ==
          "vmx: the zstd payload claims to unpack to 4294967295 bytes, the limit is 2 MiB");
    CHECK(unpacked(bzimage(zstd_payload(kernel64())), 4096).error().message() ==
          "vmx: the zstd payload claims to unpack to 4113 bytes, the limit is 4 KiB");
}

TEST_CASE("the zero page of a bzImage begins with its setup header", "[bzimage]") {
    Guest guest;
    guest.request.command_line = std::string(100, 'x');
    const Bytes file = bzimage(zstd_payload(kernel64()));
    REQUIRE(guest.boot(file));
    Bytes page(4096);
    std::memcpy(page.data() + 0x1f1, file.data() + 0x1f1, 0x268 - 0x1f1);
    put<u64>(page, 0x070, 0xe0000);
    put<u8>(page, 0x1e8, 5);
    put<u8>(page, 0x210, 0xff);
    put<u32>(page, 0x228, 0x20000);
    put<u64>(page, 0x250, 0x8000);
    CHECK(Bytes(page.begin(), page.begin() + 0x2d0) == guest.at(0x7000, 0x2d0));

    Guest other;
    other.request.command_line = std::string(101, 'x');
    CHECK(other.error_of(file) == "the command line has 101 bytes, this kernel takes 100");
}

TEST_CASE("a bzImage without a compressed ELF is loaded whole and entered where its header says",
          "[bzimage]") {
    const Bytes nothing;
    const Bytes unknown = from_hex("0102030405060708090a");
    for (const Bytes& payload : {nothing, unknown}) {
        Bytes file = bzimage(payload);
        Guest guest;
        EntryState entry = guest.boot(file).value();
        CHECK(entry.mode == CpuMode::Long64);
        CHECK(entry.rip == 0x100200);
        CHECK(guest.text_at(0x100000) == "32-bit entry");
        CHECK(guest.text_at(0x100200) == "64-bit entry");
        CHECK_FALSE(guest.choice.is_linux);
        CHECK(guest.choice.why == "bzImage without a compressed ELF, entered whole at its 64-bit entry");

        put<u16>(file, 0x236, 0);
        Guest guest32;
        entry = guest32.boot(file).value();
        CHECK(entry.mode == CpuMode::Protected32);
        CHECK(entry.rip == 0x100000);
        CHECK(entry.rsi == 0x7000);
        CHECK(guest32.value_at<u32>(0x7214) == 0x100000);
    }
}

TEST_CASE("an initrd stays out of the memory that the kernel works in", "[bzimage]") {
    Bytes file = bzimage({});
    put<u32>(file, 0x260, 0xff000);
    const Bytes fits(0x1000, std::byte{1});
    const Image image = Image::from_bytes("rd", fits);
    Guest guest;
    guest.request.initrd = &image;
    REQUIRE(guest.boot(file));
    CHECK(guest.value_at<u32>(0x7218) == 0x1ff000);
    const Bytes too_large(0x1001);
    const Image other_image = Image::from_bytes("rd", too_large);
    Guest other;
    other.request.initrd = &other_image;
    CHECK(other.error_of(file) ==
          "initrd rd: no room for its 4097 bytes in guest RAM below 0x200000, beside the kernel");
}

TEST_CASE("a kernel that needs more memory than the guest has is refused", "[bzimage]") {
    Bytes file = bzimage({});
    put<u32>(file, 0x260, 0x100001);
    CHECK(Guest().error_of(file) ==
          "vmx: the kernel (0x100000-0x200000) is outside guest RAM of 2 MiB (see --memory)");
    put<u64>(file, 0x258, 0x9f000);
    put<u32>(file, 0x260, 0x1000);
    CHECK(Guest().error_of(file) ==
          "vmx: the kernel (0x9f000-0x9ffff) overlaps the extended BIOS data area (0x9fc00-0x9ffff)");
    put<u64>(file, 0x258, ~u64{0});
    CHECK_THAT(Guest().error_of(file), Contains("wraps around"));
}

TEST_CASE("wrong setup headers are refused", "[bzimage]") {
    CHECK_THAT(error_with<u8>(0x1f1, 64),
               Contains("vmx: truncated: the setup code of this bzImage has 33280 bytes"));
    CHECK_THAT(error_with<u32>(0x1f4, 0xffffffff),
               Contains("vmx: truncated: this bzImage has 68719476720 bytes"));
    CHECK_THAT(error_with<u32>(0x248, 0xfffffff0), Contains("vmx: truncated: the payload is "));
    CHECK_THAT(error_with<u32>(0x24c, 0xfffffff0),
               Contains("vmx: truncated: the payload is 4294967280 bytes at byte 768"));
    CHECK(error_with<u8>(0x211, 0) ==
          "vmx: this is a zImage, which loads below 1 MiB; only bzImages can be booted");
    CHECK(error_with<u16>(0x206, 0x0105) == "vmx: boot protocol version 1.05 is older than 2.02");
    CHECK(error_with<u8>(0x201, 0x10) ==
          "vmx: the setup header ends at byte 0x212, before its command line field at 0x228");
    CHECK(error_with<u32>(0x24c, 7) == "vmx: the payload has 7 bytes, too few for a compressed kernel");
}

TEST_CASE("a bzImage that ends inside its header is refused", "[bzimage]") {
    Bytes file = bzimage(zstd_payload(kernel64()));
    file.resize(0x28f);
    CHECK(Guest().error_of(file) == "vmx: truncated: a bzImage has at least 656 bytes, the file has 655");
}

TEST_CASE("payloads with a wrong size are refused", "[bzimage]") {
    const Bytes kernel = kernel64();
    const u32 size = static_cast<u32>(kernel.size());
    const auto error_claiming = [&](u32 claimed) {
        return Guest().error_of(bzimage(with_size(pack_zstd(kernel), claimed)));
    };
    CHECK(error_claiming(size - 1) ==
          "vmx: the zstd data unpacks to more than the 4112 bytes that it claims");
    CHECK(error_claiming(size + 1) == "vmx: the zstd data unpacks to 4113 bytes, but claims 4114");
    CHECK(error_claiming(0) == "vmx: the zstd payload claims to unpack to 0 bytes, the limit is 2 MiB");
    CHECK(error_claiming(0xffffffff) ==
          "vmx: the zstd payload claims to unpack to 4294967295 bytes, the limit is 2 MiB");
    CHECK(Guest(GiB(2)).error_of(bzimage(with_size(pack_zstd(kernel), 0x40000001))) ==
          "vmx: the zstd payload claims to unpack to 1073741825 bytes, the limit is 1 GiB");
}

TEST_CASE("a payload larger than guest memory is refused before it is read", "[bzimage]") {
    Bytes packed = pack_zstd(kernel64());
    packed.resize(MiB(2) + 1);  // the guest has 2 MiB
    const std::string error = Guest().error_of(bzimage(with_size(packed, 4113)));
    CHECK(error.find("zstd payload has 20971") != std::string::npos);
    CHECK(error.find("the limit is 2 MiB") != std::string::npos);
}

TEST_CASE("payloads that do not hold a kernel are refused", "[bzimage]") {
    CHECK(Guest().error_of(bzimage(zstd_payload(from_hex("00112233445566")))) ==
          "vmx: the zstd payload does not hold an ELF");
    Bytes twice = elf64(0x100000, {{kLoad, 0, 0, 0x100000, 0x20000, 0x20000, 0},
                                   {kLoad, 0, 0, 0x140000, 0x20000, 0x20000, 0}});
    twice.resize(0x20000);
    CHECK(Guest().error_of(bzimage(zstd_payload(twice))) ==
          "vmx: 131072 bytes at byte 0 of the unpacked kernel are used twice");
    CHECK(Guest()
              .error_of(bzimage(from_hex("425a6839314159265359000000")))
              .starts_with("vmx: bzip2 compression is not supported"));
    CHECK(Guest()
              .error_of(bzimage(from_hex("894c5a4f000d0a1a0a00000000")))
              .starts_with("vmx: lzo compression is not supported"));
}

TEST_CASE("a bzImage is refused for other protocols", "[bzimage]") {
    CHECK(Guest().error_of(bzimage({}), Protocol::Pvh) ==
          "vmx: this is a bzImage, which protocol pvh cannot boot (--protocol linux, or the ELF vmlinux)");
    CHECK(Guest().error_of(bzimage({}), Protocol::Linux) == "booted");
}

TEST_CASE("an ELF32 in a bzImage is entered by the 32-bit protocol", "[bzimage]") {
    Guest guest;
    const EntryState entry = guest.boot(bzimage(zstd_payload(kernel32()))).value();
    CHECK(entry.mode == CpuMode::Protected32);
    CHECK(entry.rip == 0x100000);
    CHECK(entry.rsi == 0x7000);
}
