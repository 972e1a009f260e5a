// SPDX-License-Identifier: Apache-2.0
// Fuzzes the block device through a split ring: mostly valid requests, cut, damaged and interleaved with
// completions, resets and writes anywhere into guest memory.
//
// Input: a byte for the disk, two for the features, then operations of a byte and its arguments; see Session.
// The fake disk aborts on a range beyond its end; ASan sees an access outside guest memory.
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "devices/virtio/block/block.h"
#include "devices/virtio/block/block_slots.h"
#include "tests/support/driver_queue.h"
#include "tests/support/fake_device_host.h"
#include "tests/unit/devices/virtio/block/fake_block_backend.h"

namespace {

using namespace mayfly;

constexpr u64 kRamBytes = u64{64} << 10;
constexpr u16 kQueueSize = 16;
constexpr u64 kSectors = 32;
constexpr u16 kTablePieces = 140;

u64 g_now_ns;
u64 now_ns() { return g_now_ns; }

void require(bool good) {
    if (!good) std::abort();
}

class Input {
  public:
    Input(const u8* data, std::size_t size) : data_(data), size_(size) {}

    [[nodiscard]] bool is_empty() const { return size_ == 0; }
    /// Zeroes once the input has ended.
    template <typename T>
    [[nodiscard]] T take() {
        T value{};
        const std::size_t count = std::min(size_, sizeof value);
        std::memcpy(&value, data_, count);
        data_ += count;
        size_ -= count;
        return value;
    }

  private:
    const u8* data_;
    std::size_t size_;
};

BlockGeometry disk_of(u8 bits) {
    return {.size_bytes = kSectors * 512,
            .is_read_only = (bits & 1) != 0,
            .can_discard = (bits & 2) != 0,
            .can_write_zeroes = (bits & 4) != 0};
}

Block::Options options_of(u8 bits) {
    Block::Options options{.name = "disk0", .id = "fuzz", .queue_size = kQueueSize, .now_ns = now_ns};
    if ((bits & 8) != 0) options.requests_per_second = {.per_second = 1000, .burst = 4};
    if ((bits & 16) != 0) options.bytes_per_second = {.per_second = 100'000, .burst = 4096};
    return options;
}

class Session {
  public:
    explicit Session(Input input) : input_(input) {
        const auto bits = input_.take<u8>();
        disk_ = std::make_unique<FakeBlockBackend>(disk_of(bits));
        disk_->is_deferring = (bits & 32) != 0;
        auto made = Block::create(options_of(bits), *disk_);
        require(made.has_value());
        block_ = std::move(*made);
        start();
    }

    void run() {
        while (!input_.is_empty()) {
            const auto operation = input_.take<u8>();
            switch (operation & 7) {
                case 0:
                case 1: submit((operation & 8) != 0); break;
                case 2: submit_table(); break;
                case 3: process(); break;
                case 4: finish(); break;
                case 5: write_config(); break;
                case 6: poke(); break;
                case 7: operation >= 0xc0 ? restart() : disturb(operation); break;
            }
            require(block_->in_flight() == pending_requests());
            require(block_->in_flight() <= kQueueSize);
        }
        end();
    }

  private:
    void start() {
        ram_ = std::make_unique<TestRam>(kRamBytes);
        host_ = std::make_unique<FakeDeviceHost>(
            *ram_, std::initializer_list<DriverQueue::Options>{{.size = kQueueSize, .has_indirect = true}});
        data_ = ram_->allocate(kRamBytes / 2);
        table_ = ram_->allocate(u64{16} * (kTablePieces + 2));
        const u64 version_1 = (input_.take<u8>() & 3) != 0 ? u64{1} << 32 : 0;
        block_->start((input_.take<u16>() & block_->features()) | version_1, *host_);
        next_descriptor_ = 0;
        next_avail_ = 0;
    }

    void end() {
        block_->cancel();
        require(disk_->cancel_count > 0);
        disk_->finish_all(-ECANCELED);
        require(block_->in_flight() == 0);
        block_->stop();
    }

    /// One operation may be several requests for adjacent sectors.
    [[nodiscard]] std::size_t pending_requests() const {
        std::size_t count = 0;
        for (const BlockIo* io : disk_->pending)
            // SAFETY: only Block gives the disk operations, and each is a run.
            for (const BlockSlot* slot = static_cast<const BlockRun*>(io)->first; slot != nullptr;
                 slot = slot->next_in_run)
                ++count;
        return count;
    }

    /// Frees the stopped device's memory, so that ASan sees any later use.
    void restart() {
        end();
        start();
    }

    /// A descriptor, mostly inside the data area.
    void descriptor(u16 index, u32 size_bytes, u16 flags) {
        const auto where = input_.take<u16>();
        u64 addr = data_.value + where % (kRamBytes / 2 - 4096);
        if (where >= 0xff00) addr = kRamBytes - (where & 0xff) * 8;
        host_->driver(0).write_descriptor(index, addr, size_bytes, flags,
                                          static_cast<u16>((index + 1) % kQueueSize));
    }

    u64 sector() {
        const auto choice = input_.take<u8>();
        return choice < 0xf0 ? choice % (kSectors + 2) : input_.take<u64>();
    }

    u32 type() {
        constexpr std::array<u32, 10> kTypes{0, 1, 0, 1, 4, 5, 8, 11, 13, 0x8000'0000};
        const auto choice = input_.take<u8>();
        return choice < 0xf0 ? kTypes[choice % kTypes.size()] : input_.take<u32>();
    }

    /// Up to 7 descriptors from the next free one on: header, pieces of data, status. The header's bytes and
    /// a range are written where the header's descriptor points.
    void submit(bool is_processed) {
        const auto shape = input_.take<u8>();
        const u16 pieces = shape & 3;
        const bool is_write = (shape & 4) != 0;
        const u32 header_bytes = (shape & 0x38) == 0x38 ? input_.take<u8>() % 40 : 16;
        const u16 head = next_descriptor_;
        u16 at = head;
        const auto next = [&] { return static_cast<u16>(at++ % kQueueSize); };

        descriptor(next(), header_bytes, DriverQueue::kNext);
        write_header(head);
        for (u16 i = 0; i < pieces; ++i) {
            const auto choice = input_.take<u8>();
            const u32 size_bytes = choice < 0xe0 ? (choice % 4 + 1) * 512 : choice % 33;
            descriptor(next(), size_bytes, DriverQueue::kNext | (is_write ? 0 : DriverQueue::kWrite));
        }
        if ((shape & 0xc0) == 0xc0) write_range(next());
        descriptor(next(), 1, (shape & 0xf8) == 0x78 ? 0 : DriverQueue::kWrite);
        next_descriptor_ = at % kQueueSize;
        show(head);
        if (is_processed) process();
    }

    /// A read or write of many pieces, in an indirect table.
    void submit_table() {
        constexpr std::array<u32, 4> kSizes{128, 128, 512, 1};
        const u16 head = next_descriptor_;
        descriptor(head, 16, 0);
        write_header(head);
        DriverQueue& driver = host_->driver(0);
        const u64 header_at = *ram_->at<u64>(driver.descriptor_at(head));
        const auto pieces = static_cast<u16>(input_.take<u8>() % kTablePieces);
        const auto choice = input_.take<u8>();
        const u16 write = (choice & 4) != 0 ? u16{0} : DriverQueue::kWrite;
        driver.write_raw(table_, header_at, 16, DriverQueue::kNext, 1);
        for (u16 i = 1; i <= pieces; ++i)
            driver.write_raw(table_ + u64{16} * i, data_.value + u64{i} * 128, kSizes[choice % 4],
                             DriverQueue::kNext | write, static_cast<u16>(i + 1));
        driver.write_raw(table_ + 16 * (u64{pieces} + 1), data_.value, 1, DriverQueue::kWrite, 0);
        driver.write_descriptor(head, table_.value, 16 * (u32{pieces} + 2), DriverQueue::kIndirect, 0);
        next_descriptor_ = static_cast<u16>((head + 1) % kQueueSize);
        show(head);
        process();
    }

    void show(u16 head) {
        DriverQueue& driver = host_->driver(0);
        *ram_->at<u16>(driver.avail_entry_at(next_avail_++ % kQueueSize)) = head;
        *ram_->at<u16>(driver.avail_idx_at()) = next_avail_;
    }

    void write_bytes(u16 index, const void* bytes, std::size_t size_bytes) {
        const u64 addr = *ram_->at<u64>(host_->driver(0).descriptor_at(index));
        if (addr <= kRamBytes && size_bytes <= kRamBytes - addr)
            std::memcpy(ram_->at(Gpa{addr}), bytes, size_bytes);
    }

    void write_header(u16 index) {
        struct {
            u32 type;
            u32 reserved;
            u64 sector;
        } const header{type(), 0, sector()};
        write_bytes(index, &header, sizeof header);
    }

    void write_range(u16 index) {
        descriptor(index, 16, DriverQueue::kNext);
        struct {
            u64 sector;
            u32 count;
            u32 flags;
        } range{sector(), input_.take<u8>() % 40U, input_.take<u8>()};
        if (range.flags < 0xf0) range.flags &= 1;
        write_bytes(index, &range, sizeof range);
    }

    void process() {
        const auto budget = input_.take<u8>();
        const Lock lock(host_->mutex());
        const std::size_t failures = host_->failures.size();
        const Progress progress = block_->process(0, budget % 20);
        require(host_->failures.size() <= failures + 1);
        if (!host_->failures.empty() && budget % 20 > 0) require(progress == Progress::Waiting);
        (void)host_->queue(0).publish();
    }

    void finish() {
        constexpr std::array<i32, 6> kResults{0, 0, -EIO, -ENOSPC, -ECANCELED, -EOPNOTSUPP};
        const auto choice = input_.take<u8>();
        if (disk_->pending.empty()) return;
        disk_->finish(choice % disk_->pending.size(), kResults[choice / 16 % kResults.size()]);
        (void)host_->queue(0).publish();
    }

    void write_config() {
        const auto offset = input_.take<u8>();
        const std::array<std::byte, 8> bytes{std::byte{input_.take<u8>()}, std::byte{1}};
        block_->write_config(offset % 8 == 7 ? ~u32{0} - offset : offset % 80,
                             std::span(bytes).first(offset % 9));
        require(block_->config().size() == 72);
        require(static_cast<u8>(block_->config()[32]) <= 1);
    }

    /// Anything anywhere, rings included.
    void poke() {
        const auto where = input_.take<u16>();
        const auto word = input_.take<u32>();
        std::memcpy(ram_->at(Gpa{where % (kRamBytes - 4)}), &word, sizeof word);
    }

    void disturb(u8 operation) {
        if ((operation & 8) != 0) disk_->is_deferring = !disk_->is_deferring;
        if ((operation & 16) != 0) disk_->result = disk_->result == 0 ? -EIO : 0;
        g_now_ns += u64{input_.take<u8>()} * 1'000'000;
    }

    Input input_;
    std::unique_ptr<FakeBlockBackend> disk_;
    std::unique_ptr<Block> block_;
    std::unique_ptr<TestRam> ram_;
    std::unique_ptr<FakeDeviceHost> host_;
    Gpa data_;
    Gpa table_;
    u16 next_descriptor_ = 0;
    u16 next_avail_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    g_now_ns = 1'000'000'000;
    Session(Input(data, size)).run();
    return 0;
}
