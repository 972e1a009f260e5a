// SPDX-License-Identifier: Apache-2.0
// Fuzzes the network device between a driver that is mostly right and a backend that does anything a backend
// may.
//
// The input: a byte of shape, features, then operations of one byte with arguments (see step()). Chains are
// mostly sound; some have odd parts, and single words of the rings are overwritten. Checked: parts given to
// the backend lie in RAM and hold a header, nothing reaches the backend after a failure or beyond the pairs
// in use, every frame is counted once, the configuration keeps its shape.
#include <array>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>

#include "devices/virtio/net/net.h"
#include "tests/fuzz/virtio/input_reader.h"

namespace {

using namespace mayfly;

constexpr u64 kRamBytes = u64{64} * 1024;
constexpr u64 kRings = 0x1000;  // 4 KiB for each of up to 5
constexpr u64 kData = 0x6000;
constexpr u16 kQueueSize = 16;
constexpr u64 kAvail = 0x400;
constexpr u64 kUsed = 0x800;
constexpr u64 kVersion1 = u64{1} << 32;
constexpr u64 kMergedBuffers = u64{1} << 15;
constexpr u64 kOffloads = 0x3b83 | u64{1} << 56;
constexpr u16 kNext = 1;
constexpr u16 kWrite = 2;

void require(bool good) {
    if (!good) std::abort();
}

u64 g_now_ns;
u64 fuzz_clock() { return g_now_ns; }

class Backend final : public NetBackend {
  public:
    Backend(const std::byte* ram, u16 pairs) : ram_(ram), pairs_(pairs) {}

    [[nodiscard]] u16 pair_count() const override { return pairs_; }
    [[nodiscard]] u64 offload_features() const override { return kOffloads; }
    [[nodiscard]] bool configure(u64 /*features*/, u8 header_bytes, u16 pairs_in_use) override {
        require(header_bytes == 10 || header_bytes == 12);
        require(pairs_in_use >= 1 && pairs_in_use <= pairs_);
        if (!accepts) return false;
        header_bytes_ = header_bytes;
        in_use_ = pairs_in_use;
        return true;
    }
    [[nodiscard]] NetStatus send(u16 pair, std::span<const iovec> frame) override {
        require(!must_be_quiet && pair < in_use_);
        const u64 size_bytes = check(frame, 1024);
        require(size_bytes >= header_bytes_);
        for (const iovec& part : frame) {
            for (std::size_t i = 0; i < part.iov_len; ++i)
                sum_ += std::to_integer<u64>(static_cast<const std::byte*>(part.iov_base)[i]);
        }
        if (send_status == NetStatus::Done) ++sent;
        if (send_status == NetStatus::Dropped || send_status == NetStatus::Down) ++refused;
        return send_status;
    }
    [[nodiscard]] NetReceived receive(u16 pair, std::span<const iovec> into) override {
        require(!must_be_quiet && pair < in_use_);
        const u64 room_bytes = check(into, 1023);
        require(room_bytes >= header_bytes_);
        if (is_down) return {NetStatus::Down};
        if (waiting == 0) return {NetStatus::Wait};
        --waiting;
        u64 left = header_bytes_ + frame_size;
        for (const iovec& part : into) {
            const u64 piece = std::min<u64>(left, part.iov_len);
            std::memset(part.iov_base, 0xa5, piece);
            left -= piece;
        }
        if (left != 0) {
            ++cut;
            return {NetStatus::Dropped};
        }
        ++received;
        return {NetStatus::Done, u64{header_bytes_} + frame_size};
    }
    void set_client(NetClient* told) override { client = told; }

    NetClient* client = nullptr;
    NetStatus send_status = NetStatus::Done;
    bool accepts = true;
    bool is_down = false;
    bool must_be_quiet = false;
    u32 waiting = 0;
    u32 frame_size = 14;
    u64 sent = 0;
    u64 refused = 0;
    u64 received = 0;
    u64 cut = 0;

  private:
    [[nodiscard]] u64 check(std::span<const iovec> parts, std::size_t count_max) const {
        require(!parts.empty() && parts.size() <= count_max);
        u64 total = 0;
        for (const iovec& part : parts) {
            const auto* from = static_cast<const std::byte*>(part.iov_base);
            require(from >= ram_ && part.iov_len >= 1);
            const auto offset = static_cast<u64>(from - ram_);
            require(offset < kRamBytes && part.iov_len <= kRamBytes - offset);
            total += part.iov_len;
        }
        return total;
    }

    const std::byte* ram_;
    u16 pairs_;
    u16 in_use_ = 1;
    u8 header_bytes_ = 12;
    u64 sum_ = 0;
};

class Host final : public DeviceHost {
  public:
    Host(const GuestMemory& memory, u16 queues, Backend& backend) : backend_(backend) {
        for (u16 i = 0; i < queues; ++i) queues_.emplace_back(memory);
    }
    [[nodiscard]] Mutex& mutex() override { return mutex_; }
    [[nodiscard]] VirtQueue& queue(u16 index) override {
        require(index < queues_.size());
        return queues_[index];
    }
    void completed(u16 queue) override { require(queue < queues_.size()); }
    void run_again(u16 queue) override { require(queue < queues_.size()); }
    void run_at(u16 queue, u64 deadline_ns) override {
        require(queue < queues_.size() && deadline_ns > g_now_ns);
    }
    void config_changed() override {}
    void fail(std::string_view why) override {
        require(!why.empty());
        backend_.must_be_quiet = true;
    }
    [[nodiscard]] u16 count() const { return static_cast<u16>(queues_.size()); }

  private:
    Backend& backend_;
    Mutex mutex_;
    std::deque<VirtQueue> queues_;
};

class Fuzzer {
  public:
    explicit Fuzzer(InputReader input)
        : input_(input),
          ram_(std::make_unique<std::byte[]>(kRamBytes)),
          region_{Gpa{0}, kRamBytes, ram_.get()},
          memory_(std::span(&region_, 1)),
          shape_(input_.take<u8>()),
          backend_(ram_.get(), (shape_ & 1) != 0 ? 2 : 1),
          net_(options(), backend_),
          host_(memory_, static_cast<u16>(net_.queue_sizes().size()), backend_) {
        start();
    }
    ~Fuzzer() { net_.stop(); }

    void run() {
        while (!input_.is_empty()) step(input_.take<u8>());
        require(net_.counts().sent == backend_.sent);
        require(net_.counts().received == backend_.received);
        require(net_.counts().receive_dropped == backend_.cut);
        require(net_.counts().send_dropped >= backend_.refused);
        require(net_.config().size() == 12);
    }

  private:
    [[nodiscard]] NetOptions options() const {
        NetOptions options{.name = "net0", .now_ns = fuzz_clock};
        if ((shape_ & 2) != 0) options.bytes = {.per_second = 100'000, .burst = 2000};
        if ((shape_ & 4) != 0) options.packets = {.per_second = 1000, .burst = 3};
        if ((shape_ & 8) != 0) options.mtu = 1400;
        return options;
    }

    void start() {
        std::memset(ram_.get() + kRings, 0, kData - kRings);
        next_.fill(0);
        avail_.fill(0);
        const u8 choice = input_.take<u8>();
        u64 features = net_.features() & input_.take<u64>();
        if ((choice & 1) != 0) features |= kVersion1;
        if ((choice & 2) != 0) features |= kMergedBuffers;
        backend_.accepts = (choice & 0x70) != 0x70;
        for (u16 i = 0; i < host_.count(); ++i) {
            const u64 at = ring(i);
            host_.queue(i).stop();
            if (i > 2 && (choice & 0x80) != 0) continue;
            require(host_.queue(i).start({.size = kQueueSize,
                                          .descriptors = Gpa{at},
                                          .driver_area = Gpa{at + kAvail},
                                          .device_area = Gpa{at + kUsed},
                                          .has_event_idx = (choice & 4) != 0,
                                          .has_indirect = (choice & 8) != 0}));
        }
        backend_.must_be_quiet = false;
        net_.start(features, host_);
    }

    void step(u8 operation) {
        const u16 queue = queue_of(operation);
        switch (operation % 16) {
            case 0:
            case 1:
            case 2: give(queue); break;
            case 3: command(queue); break;
            case 4:
            case 5:
            case 6: process(queue); break;
            case 7:
                backend_.waiting = input_.take<u8>() % 8;
                backend_.frame_size = 14 + input_.take<u16>() % 65540;
                break;
            case 8: backend_.send_status = static_cast<NetStatus>(input_.take<u8>() % 4); break;
            case 9: backend_.client->on_net_readable(queue % backend_.pair_count()); break;
            case 10: backend_.client->on_net_writable(queue % backend_.pair_count()); break;
            case 11:
                backend_.is_down = (operation & 0x10) != 0;
                backend_.client->on_net_link(!backend_.is_down);
                break;
            case 12: poke(); break;
            case 13: write_config(); break;
            case 14: g_now_ns += u64{input_.take<u16>()} * 1000; break;
            default:
                if (operation < 0xc0) {
                    (void)host_.queue(queue).publish();
                    break;
                }
                net_.stop();
                start();
        }
    }

    [[nodiscard]] u16 queue_of(u8 operation) const {
        return static_cast<u16>((operation >> 4) % host_.count());
    }
    static u64 ring(u16 queue) { return kRings + u64{queue} * 0x1000; }

    void process(u16 queue) {
        const bool was_quiet = backend_.must_be_quiet;
        const Progress progress = net_.process(queue, 1 + input_.take<u8>() % 8);
        if (was_quiet) require(progress == Progress::Waiting);
        require(net_.in_flight() == 0);
    }

    void store(u64 at, u16 value) { std::memcpy(ram_.get() + at, &value, sizeof(value)); }

    u16 descriptor(u16 queue, u64 addr, u32 len, u16 flags) {
        const auto index = static_cast<u16>(next_[queue]++ % kQueueSize);
        const u64 at = ring(queue) + u64{16} * index;
        std::memcpy(ram_.get() + at, &addr, sizeof(addr));
        std::memcpy(ram_.get() + at + 8, &len, sizeof(len));
        store(at + 12, flags);
        store(at + 14, static_cast<u16>((index + 1) % kQueueSize));
        return index;
    }
    void show(u16 queue, u16 head) {
        store(ring(queue) + kAvail + 4 + u64{2} * (avail_[queue]++ % kQueueSize), head);
        store(ring(queue) + kAvail + 2, avail_[queue]);
    }
    u64 address() {
        const u8 code = input_.take<u8>();
        return code < 0xf8 ? kData + u64{code} * 160 : input_.take<u64>();
    }
    u32 length() {
        const u8 code = input_.take<u8>();
        if (code < 0x80) return code + 1U;
        return code < 0xf8 ? (code - 0x7fU) * 64 : input_.take<u32>();
    }

    /// Parts of the queue's direction, and now and then one of the other.
    void give(u16 queue) {
        const u8 kind = input_.take<u8>();
        const auto count = static_cast<u16>(1 + (kind & 7));
        u16 head = 0;
        for (u16 i = 0; i < count; ++i) {
            const bool is_odd = (kind >> 3) == i + 1;
            const bool is_writable = (queue % 2 == 0) != is_odd;
            const u64 addr = address();
            const u16 flags = static_cast<u16>((is_writable ? kWrite : 0) | (i + 1 < count ? kNext : 0) |
                                               ((kind & 0xc0) == 0xc0 ? 4 : 0));
            const u16 index = descriptor(queue, addr, length(), flags);
            if (i == 0) head = index;
        }
        show(queue, head);
    }

    void command(u16 queue) {
        const u8 data_bytes = input_.take<u8>() % 16;
        std::byte* const at = ram_.get() + kData;
        for (u8 i = 0; i < 2 + data_bytes; ++i) at[i] = static_cast<std::byte>(input_.take<u8>());
        const u16 head = descriptor(queue, kData, 2U + data_bytes, kNext);
        descriptor(queue, kData + 64, 1, kWrite);
        show(queue, head);
    }

    void poke() {
        const u64 at = kRings + input_.take<u16>() % (kData - kRings - 1);
        store(at, input_.take<u16>());
    }

    void write_config() {
        std::array<std::byte, 4> bytes{};
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(input_.take<u8>());
        net_.write_config(input_.take<u8>(), bytes);
    }

    InputReader input_;
    std::unique_ptr<std::byte[]> ram_;
    GuestRegion region_;
    GuestMemory memory_;
    u8 shape_;
    Backend backend_;
    Net net_;
    Host host_;
    std::array<u16, 5> next_{};
    std::array<u16, 5> avail_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    g_now_ns = 1;
    Fuzzer(InputReader({data, size})).run();
    return 0;
}
