// SPDX-License-Identifier: Apache-2.0
// Fuzzes a PCI bus with three devices: configuration by ECAM and by ports, BARs, MSI-X, and actions of the
// devices.
//
// The input is a series of 16-byte records: kind (1), place (1), size (1), unused (1), offset (4), value (8).
// After each, the window's memory must read as trapped reads do, and vectors and pins must follow from the
// registers.
#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "tests/unit/devices/pci/pci_fixture.h"

namespace {

using namespace mayfly;

constexpr std::size_t kRecordBytes = 16;
constexpr std::array<u8, 3> kDevfns = {0x08, 0x10, 0x11};
constexpr std::array<u8, 6> kConfigTargets = {0x08, 0x10, 0x11, 0x00, 0x12, 0xff};
constexpr u16 kCapData = 0x50;

const AlignedPage kOnes = [] {
    AlignedPage page;
    page.bytes.fill(std::byte{0xff});
    return page;
}();

void require(bool good) {
    if (!good) std::abort();
}

struct Record {
    u8 what;
    u8 where;
    u8 size_bytes;
    u32 offset;
    u64 value;

    explicit Record(const u8* bytes)
        : what(bytes[0]), where(bytes[1]), size_bytes(static_cast<u8>(1u << (bytes[2] % 4))) {
        std::memcpy(&offset, bytes + 4, sizeof offset);
        std::memcpy(&value, bytes + 8, sizeof value);
        value &= all_ones(size_bytes);
    }
};

class World : PciWorld {
  public:
    World() {
        for (std::size_t i = 0; i < kDevfns.size(); ++i) bus.add(kDevfns[i], devices_[i].function);
    }

    void play(const Record& r) {
        switch (r.what % 9) {
            case 0: mmio_write(config_address(r), r.size_bytes, r.value); break;
            case 1: (void)mmio_read(config_address(r), r.size_bytes); break;
            case 2: play_ports(r); break;
            case 3: mmio_write(bar_address(r), r.size_bytes, r.value); break;
            case 4: (void)mmio_read(bar_address(r), r.size_bytes); break;
            case 5: pci_io.io_write({r.offset & 0xffff, port_size(r)}, r.value); break;
            case 6: (void)pci_io.io_read({r.offset & 0xffff, port_size(r)}); break;
            case 7: play_device(r); break;
            default: reset(); break;
        }
        for (FakeDevice& device : devices_) {
            check_device(device);
            device.config_writes.clear();
            device.intercepted.clear();
            device.log.events.clear();
        }
        check_config_space(kConfigTargets[r.where % kConfigTargets.size()]);
    }

    /// Compares every page of the window's second half with the BARs.
    void check_pages() {
        for (u32 page = 0; page < 256; ++page) {
            const u64 base = kPagesBase + page * kPageBytes;
            FakeDevice* owner = nullptr;
            for (FakeDevice& device : devices_) {
                const bool decodes = (device.function.config16(0x04) & 2) != 0;
                const bool is_here = (device.function.config32(0x10) & 0xffff'f000) == base;
                if (owner == nullptr && decodes && is_here) owner = &device;
            }
            const std::byte* const expected = owner == nullptr ? kOnes.bytes.data() : owner->page.data();
            const std::byte* const shown = memory.bytes().data() + (base - kWindowBase);
            require(std::memcmp(shown, expected, 4096) == 0);
            require(mmio_read(base + 0x800, 8) == memory.read(base + 0x800, 8));
        }
    }

  private:
    static u8 port_size(const Record& r) { return r.size_bytes == 8 ? u8{4} : r.size_bytes; }

    /// Half of the offsets are where the registers are.
    static u64 config_address(const Record& r) {
        const u32 offset = (r.where & 0x80) != 0 ? r.offset % 4088 : r.offset % 0x60;
        return kWindowBase + kConfigTargets[r.where % kConfigTargets.size()] * kPageBytes + offset;
    }

    /// Where a BAR is or was, or anywhere.
    [[nodiscard]] u64 bar_address(const Record& r) const {
        const FakeDevice& device = devices_[r.where % devices_.size()];
        switch (r.where / 4 % 8) {
            case 0: return device.function.config32(0x10) + r.offset % 0x20;
            case 1: return device.function.config32(0x10) + FakeDevice::kTableOffset + r.offset % 0x48;
            case 2: return device.function.config32(0x14) + r.offset % 0x4000;
            case 3: return device.function.config32(0x14) + 0x1000 + r.offset % 16;
            case 4: return kPagesBase + r.offset % 0x10'0000;
            case 5: return kWindowBase + r.offset % 0x20'0000;
            case 6: return r.value;
            default: return r.offset;
        }
    }

    void play_ports(const Record& r) {
        ports.io_write({0, 4}, r.offset);
        const u64 at = r.where % 8;
        if (at + port_size(r) > ConfigPorts::kSizeBytes) return;
        if ((r.where & 0x10) != 0) {
            (void)ports.io_read({at, port_size(r)});
        } else {
            ports.io_write({at, port_size(r)}, r.value);
        }
        require((ports.io_read({0, 4}) & ~u64{0x80ff'fffc}) == 0);
    }

    void play_device(const Record& r) {
        FakeDevice& device = devices_[r.where % devices_.size()];
        const u16 vector = static_cast<u16>(r.value);
        switch (r.where / 4 % 5) {
            case 0: device.function.set_intx((r.offset & 1) != 0); break;
            case 1: device.function.set_status(static_cast<u16>(r.value)); break;
            case 2: (void)device.msix.raise(vector % (FakeDevice::kVectors + 1)); break;
            case 3: (void)device.msix.raise(vector); break;
            default: device.msix.clear_pending(); break;
        }
    }

    void reset() {
        ecam.reset();
        ports.reset();
        for (FakeDevice& device : devices_) device.msix.reset();
    }

    void check_device(FakeDevice& device) {
        const u32 command_status = device.function.config32(0x04);
        require((command_status & ~u32{0xf918'0407}) == 0);
        require(device.pin.level == ((command_status & 0x0008'0400) == 0x0008'0000));
        const u16 control = device.function.config16(0x42);
        require((control & 0x3fff) == FakeDevice::kVectors - 1);
        for (u16 vector = 0; vector < FakeDevice::kVectors; ++vector) {
            const u64 mask = load_word<u32>(device.page, FakeDevice::kTableOffset + vector * 16u + 12);
            require(mask <= 1);
            const bool may_send = mask == 0 && (control & 0xc000) == 0x8000;
            require(device.msix.is_unmasked(vector) == may_send);
            const bool is_pending = (device.msix.pba_read({0, 8}) >> vector & 1) != 0;
            require(!(is_pending && (may_send || (control & 0x8000) == 0)));
        }
        require(device.msix.pba_read({0, 8}) < 1 << FakeDevice::kVectors);
    }

    void check_config_space(u8 devfn) {
        for (u16 at = 0; at < 0x110; at = static_cast<u16>(at + 4)) {
            if (at == kCapData) continue;
            require(config(devfn, at) == memory.read(kWindowBase + devfn * kPageBytes + at, 4));
        }
    }

    std::array<FakeDevice, 3> devices_{FakeDevice{window.config_space(kDevfns[0]), 0xe010'0000, 7},
                                       FakeDevice{window.config_space(kDevfns[1]), 0xe010'1000, 7},
                                       FakeDevice{window.config_space(kDevfns[2]), 0xd800'0000, 0}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    World world;
    for (; size >= kRecordBytes; data += kRecordBytes, size -= kRecordBytes) world.play(Record(data));
    world.check_pages();
    return 0;
}
