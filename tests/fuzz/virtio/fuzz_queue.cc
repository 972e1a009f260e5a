// SPDX-License-Identifier: Apache-2.0
// Fuzzes VirtQueue with a driver that is mostly right, over RAM that is watched.
//
// The input: a byte of format and features, a byte of size, then operations of one byte with arguments. The
// driver's own operations keep the rules except where an argument says otherwise; others write any word
// anywhere into the rings. Checked: parts lie inside RAM and are not empty, chains with the device are at
// most the queue's size, nothing outside the device's parts is written, a broken queue stays so.
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "devices/virtio/queue/queue.h"
#include "tests/fuzz/virtio/input_reader.h"

namespace {

using namespace mayfly;

constexpr u64 kLowBytes = u64{60} * 1024;
constexpr u64 kHighBase = u64{4} << 30;
constexpr u64 kHighBytes = 4096;
constexpr u64 kDescriptors = 0x1000;  // up to 16 KiB
constexpr u64 kDriverArea = 0x6000;
constexpr u64 kDeviceArea = 0x8000;  // up to 8 KiB and 6
constexpr u64 kTables = 0xb000;
constexpr u64 kData = 0xd000;
constexpr std::size_t kPartsMax = 20;
constexpr u8 kPattern = 0x5a;

void require(bool good) {
    if (!good) std::abort();
}

class Fuzzer {
  public:
    explicit Fuzzer(InputReader input) : input_(input) {
        std::memset(low_.data() + kData, kPattern, kLowBytes - kData);
        std::memset(high_.data(), kPattern, kHighBytes);
        restart();
    }

    void run() {
        while (!input_.is_empty()) step(input_.take<u8>());
        require(std::memcmp(low_.data() + kData, pristine().data(), kLowBytes - kData) == 0);
        require(std::memcmp(high_.data(), pristine().data(), kHighBytes) == 0);
    }

  private:
    static const std::vector<std::byte>& pristine() {
        static const std::vector<std::byte> bytes(kLowBytes - kData, std::byte{kPattern});
        return bytes;
    }

    void restart() {
        const u8 kind = input_.take<u8>();
        const u8 size_code = input_.take<u8>();
        is_packed_ = (kind & 1) != 0;
        size_ = (kind & 8) != 0 ? u16{size_code} : static_cast<u16>(1U << (size_code % 12));
        std::memset(low_.data() + kDescriptors, 0, kTables - kDescriptors);
        avail_ = 0;
        avail_wrap_ = true;
        tokens_.clear();
        const bool is_running = queue_.start({.size = size_,
                                              .descriptors = Gpa{kDescriptors},
                                              .driver_area = Gpa{kDriverArea},
                                              .device_area = Gpa{kDeviceArea},
                                              .is_packed = is_packed_,
                                              .has_event_idx = (kind & 2) != 0,
                                              .has_indirect = (kind & 4) != 0});
        require(is_running == queue_.is_running());
        if (size_ == 0 || size_ > VirtQueue::kSizeMax) require(!is_running);
        if (!is_running) size_ = 1;
    }

    void step(u8 operation) {
        const bool was_broken = queue_.is_broken();
        switch (operation % 13) {
            case 0:
            case 1:
            case 2: add(input_.take<u8>()); break;
            case 3:
            case 4: pop(); break;
            case 5: push(); break;
            case 6: (void)queue_.publish(); break;
            case 7: unpop(); break;
            case 8: queue_.suppress_doorbells(); break;
            case 9:
                if (queue_.rearm_doorbells()) require(queue_.has_work());
                break;
            case 10: poke(kDescriptors + input_.take<u16>() % (kTables - kDescriptors)); break;
            case 11: poke(kDriverArea + input_.take<u8>()); break;
            default:
                if (operation > 200) return restart();
                (void)queue_.has_work();
        }
        if (was_broken) require(queue_.is_broken() && !queue_.has_work());
        require(queue_.is_broken() != queue_.why_broken().empty());
    }

    void write(u64 at, u64 addr, u32 len, u16 third, u16 fourth) {
        std::memcpy(low_.data() + at, &addr, 8);
        std::memcpy(low_.data() + at + 8, &len, 4);
        std::memcpy(low_.data() + at + 12, &third, 2);
        std::memcpy(low_.data() + at + 14, &fourth, 2);
    }
    void store(u64 at, u16 value) { std::memcpy(low_.data() + at, &value, 2); }

    /// Somewhere in the data, or, rarely, anywhere.
    u64 address() {
        const u8 code = input_.take<u8>();
        if (code < 0xf0) return kData + u64{code} * 32;
        if (code < 0xf4) return kHighBase + code;
        return input_.take<u64>();
    }
    u32 length() {
        const u8 code = input_.take<u8>();
        return code < 0xf8 ? code + 1U : input_.take<u32>();
    }

    /// A chain of `shape` % 4 + 1 descriptors; bits 2 to 4: how many of them are readable, 5: in a table,
    /// 6: flags come from the input, 7: not visible yet.
    void add(u8 shape) {
        const u16 count = static_cast<u16>(shape % 4 + 1);
        const u16 readable = (shape >> 2) & 7;
        const bool is_indirect = (shape & 0x20) != 0;
        const u64 table = kTables + 16 * u64{input_.take<u8>()} + (shape & 3);
        const auto first = static_cast<u16>(is_packed_ ? avail_ : avail_ % size_);
        const bool first_wrap = avail_wrap_;
        const u16 places = is_indirect ? u16{1} : count;
        for (u16 i = 0; i < count; ++i) {
            const bool is_last = i + 1 == count;
            u16 flags = i < readable ? 0 : 2;
            if (!is_last) flags |= 1;
            if ((shape & 0x40) != 0) flags = input_.take<u16>();
            const u16 index = is_indirect ? i : static_cast<u16>((first + i) % size_);
            const u64 at = is_indirect ? table + 16 * i : kDescriptors + 16 * index;
            if (!is_packed_) {
                const auto next = static_cast<u16>(is_indirect ? i + 1 : (index + 1) % size_);
                write(at, address(), length(), flags, next);
                continue;
            }
            if (!is_indirect)
                flags = with_round(flags, (first + i) / size_ % 2 == 0 ? first_wrap : !first_wrap);
            write(at, address(), length(), first, flags);
        }
        if (is_indirect) {
            const u32 size_bytes = (shape & 0x40) != 0 ? input_.take<u32>() : count * 16U;
            if (is_packed_)
                write(kDescriptors + 16 * u64{first}, table, size_bytes, first, with_round(4, first_wrap));
            else
                write(kDescriptors + 16 * u64{first}, table, size_bytes, 4, 0);
        }
        if (is_packed_) {
            avail_ = static_cast<u16>(avail_ + places);
            while (avail_ >= size_) {
                avail_ = static_cast<u16>(avail_ - size_);
                avail_wrap_ = !avail_wrap_;
            }
            return;
        }
        store(kDriverArea + 4 + 2 * u64{first}, first);
        ++avail_;
        if ((shape & 0x80) == 0) store(kDriverArea + 2, avail_);
    }

    static u16 with_round(u16 flags, bool wrap) {
        return static_cast<u16>((flags & 0x7f7f) | (wrap ? 0x80 : 0x8000));
    }

    /// A word of the rings or the indices.
    void poke(u64 at) {
        const u8 width = input_.take<u8>();
        if (width % 4 == 3) return store(at & ~u64{1}, static_cast<u16>(input_.take<u8>()));
        const auto value = input_.take<u64>();
        std::memcpy(low_.data() + at, &value, std::size_t{2} << (width % 4));
    }

    [[nodiscard]] bool is_inside(const iovec& part) const {
        const auto* start = static_cast<const std::byte*>(part.iov_base);
        const auto within = [&](const auto& ram) {
            return start >= ram.data() && part.iov_len <= static_cast<u64>(ram.data() + ram.size() - start);
        };
        return start >= high_.data() && start < high_.data() + high_.size() ? within(high_) : within(low_);
    }

    void pop() {
        std::vector<iovec> storage(1 + input_.take<u8>() % kPartsMax);  // on the heap: ASan sees its end
        const auto [result, chain] = queue_.pop(storage);
        if (result != PopResult::Chain) return;
        u64 readable = 0;
        u64 writable = 0;
        for (const iovec& part : chain.readable) readable += check(part);
        for (const iovec& part : chain.writable) writable += check(part);
        require(readable == chain.readable_bytes && writable == chain.writable_bytes);
        require(chain.readable.size() + chain.writable.size() <= storage.size());
        require(readable + writable != 0);
        require(chain.token.descriptor_count >= 1 && chain.token.descriptor_count <= queue_.size());
        tokens_.push_back({chain.token, popped_++});
        require(tokens_.size() <= queue_.size());
    }
    [[nodiscard]] u64 check(const iovec& part) const {
        require(part.iov_len != 0 && is_inside(part));
        return part.iov_len;
    }

    void push() {
        if (tokens_.empty()) return;
        const std::size_t which = input_.take<u8>() % tokens_.size();
        queue_.push(tokens_[which].token, input_.take<u8>());
        tokens_.erase(tokens_.begin() + static_cast<std::ptrdiff_t>(which));
    }

    /// Only the chain popped last, as the contract allows.
    void unpop() {
        if (tokens_.empty() || tokens_.back().serial + 1 != popped_) return;
        queue_.unpop(tokens_.back().token);
        tokens_.pop_back();
        --popped_;
    }

    struct Popped {
        ChainToken token;
        u64 serial;
    };

    InputReader input_;
    std::vector<std::byte> low_ = std::vector<std::byte>(kLowBytes);
    std::vector<std::byte> high_ = std::vector<std::byte>(kHighBytes);
    std::array<GuestRegion, 2> regions_{GuestRegion{Gpa{0}, kLowBytes, low_.data()},
                                        GuestRegion{Gpa{kHighBase}, kHighBytes, high_.data()}};
    GuestMemory memory_{regions_};
    VirtQueue queue_{memory_};
    bool is_packed_ = false;
    u16 size_ = 1;
    u16 avail_ = 0;
    bool avail_wrap_ = true;
    u64 popped_ = 0;
    std::vector<Popped> tokens_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    Fuzzer(InputReader({data, size})).run();
    return 0;
}
