// SPDX-License-Identifier: Apache-2.0
// packet_peer: the host's end of a tap for net_io, a plain packet socket that costs as little as it can.
//
//   packet_peer sink IFACE          takes every frame that comes; SIGTERM ends it
//   packet_peer source IFACE SIZE   sends frames of SIZE bytes as fast as they are read at the other end;
//                                   SIGTERM ends it
//
// Both print "ready" when they are ready. The sink ends with a line "PACKETS BYTES LOST". The source keeps a
// bounded number of frames in the tap's queue, so that nothing is lost there and the reader is never without
// work. packet(7); Linux Documentation/networking/packet_mmap.rst. Single thread.
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <net/if.h>
#include <string>
#include <time.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

// A block is handed over when it is full or 2 ms old: frames do not wake us one by one.
constexpr unsigned kBlockBytes = 1U << 17;
constexpr unsigned kBlocks = 64;
constexpr unsigned kBlockMilliseconds = 2;
constexpr unsigned kKeptBytes = 128;  // of each frame; its length is known all the same
constexpr unsigned kBatch = 32;
constexpr std::size_t kFrameMin = 60;
constexpr std::size_t kFrameMax = 65549;
constexpr std::size_t kEthernetMax = 1514;
constexpr std::uint64_t kQueuedMax = 256;  // of the 1000 that a tap takes
constexpr std::uint64_t kQueuedBytesMax = 8U << 20;
constexpr long kPauseNs = 20'000;
constexpr int kSendBufferBytes = 64 << 20;

/// virtio 1.2 §5.1.6 "Device Operation", in the form of ten bytes that packet(7) takes; Linux's own header is
/// not C++.
struct VnetHeader {
    std::uint8_t flags;
    std::uint8_t gso_type;
    std::uint16_t header_bytes;
    std::uint16_t gso_bytes;
    std::uint16_t checksum_start;
    std::uint16_t checksum_offset;
};
static_assert(sizeof(VnetHeader) == 10);
constexpr std::uint8_t kNeedsChecksum = 1;
constexpr std::uint8_t kGsoTcp4 = 1;

volatile std::sig_atomic_t is_over = 0;

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

template <typename T>
void set_option(int fd, int level, int option, const T& value, const char* name) {
    if (::setsockopt(fd, level, option, &value, sizeof(value)) != 0) die(name);
}

void bind_to(int fd, const char* interface, std::uint16_t protocol) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(protocol);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
    if (address.sll_ifindex == 0) die(interface);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) die("bind");
}

void say_ready() {
    std::puts("ready");
    std::fflush(stdout);
}

// --- sink ---

struct Totals {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
};

void take_block(tpacket_block_desc* block, Totals& totals) {
    const unsigned count = block->hdr.bh1.num_pkts;
    auto* at = reinterpret_cast<unsigned char*>(block) + block->hdr.bh1.offset_to_first_pkt;
    for (unsigned n = 0; n < count; ++n) {
        tpacket3_hdr header;
        std::memcpy(&header, at, sizeof(header));
        totals.bytes += header.tp_len;
        at += header.tp_next_offset;
    }
    totals.packets += count;
    __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

unsigned char* map_ring(int fd) {
    set_option(fd, SOL_PACKET, PACKET_VERSION, int{TPACKET_V3}, "PACKET_VERSION");
    tpacket_req3 ring{};
    ring.tp_block_size = kBlockBytes;
    ring.tp_block_nr = kBlocks;
    ring.tp_frame_size = 2048;
    ring.tp_frame_nr = kBlockBytes / ring.tp_frame_size * kBlocks;
    ring.tp_retire_blk_tov = kBlockMilliseconds;
    set_option(fd, SOL_PACKET, PACKET_RX_RING, ring, "PACKET_RX_RING");
    void* at = ::mmap(nullptr, std::size_t{kBlockBytes} * kBlocks, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED) die("mmap of the packet ring");
    return static_cast<unsigned char*>(at);
}

int sink(const char* interface) {
    const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0) die("packet socket");
    sock_filter keep{BPF_RET | BPF_K, 0, 0, kKeptBytes};
    const sock_fprog program{1, &keep};
    set_option(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, "SO_ATTACH_FILTER");
    set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, int{1}, "PACKET_IGNORE_OUTGOING");
    unsigned char* ring = map_ring(fd);
    bind_to(fd, interface, ETH_P_ALL);
    say_ready();
    Totals totals;
    unsigned next = 0;
    // A signal between the test and poll() costs one poll period, no more.
    for (bool is_last = false;;) {
        auto* block = reinterpret_cast<tpacket_block_desc*>(ring + std::size_t{next} * kBlockBytes);
        if ((__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) != 0) {
            take_block(block, totals);
            next = (next + 1) % kBlocks;
            continue;
        }
        if (is_last) break;
        is_last = is_over != 0;
        pollfd wanted{fd, POLLIN, 0};
        // The last read waits until the block that is being filled is handed over.
        ::poll(is_last ? nullptr : &wanted, is_last ? 0 : 1, is_last ? 10 * kBlockMilliseconds : 100);
    }
    tpacket_stats_v3 statistics{};
    socklen_t size = sizeof(statistics);
    if (::getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) != 0) die("PACKET_STATISTICS");
    std::printf("%llu %llu %u\n", static_cast<unsigned long long>(totals.packets),
                static_cast<unsigned long long>(totals.bytes), statistics.tp_drops);
    return 0;
}

// --- source ---

void put16(unsigned char* at, std::size_t value) {
    at[0] = static_cast<unsigned char>(value >> 8);
    at[1] = static_cast<unsigned char>(value);
}

std::uint32_t sum16(const unsigned char* at, std::size_t bytes) {
    std::uint32_t total = 0;
    for (std::size_t n = 0; n < bytes; n += 2) total += static_cast<std::uint32_t>(at[n]) << 8 | at[n + 1];
    while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
    return total;
}

using Frame = std::array<unsigned char, sizeof(VnetHeader) + kFrameMax>;

/// A virtio-net header and a frame to the broadcast address, from 10.77.0.1 to 10.77.0.2: UDP (RFC 768), or
/// where it does not fit Ethernet a TCP segment (RFC 9293) that the receiver must cut up.
void make_frame(Frame& bytes, std::size_t frame_bytes) {
    constexpr std::size_t kEthernet = 14;
    constexpr std::size_t kIp = 20;
    const bool is_large = frame_bytes > kEthernetMax;
    unsigned char* frame = bytes.data() + sizeof(VnetHeader);
    std::fill_n(frame, 6, static_cast<unsigned char>(0xff));
    const std::array<unsigned char, 6> from{0x02, 0, 0, 0, 0, 0x01};
    std::copy(from.begin(), from.end(), frame + 6);
    put16(frame + 12, ETH_P_IP);
    unsigned char* ip = frame + kEthernet;
    const std::size_t ip_bytes = frame_bytes - kEthernet;
    const unsigned char addresses[] = {10, 77, 0, 1, 10, 77, 0, 2};
    put16(ip, 0x4500);
    put16(ip + 2, ip_bytes);
    put16(ip + 8, is_large ? 0x4006 : 0x4011);
    std::copy(std::begin(addresses), std::end(addresses), ip + 12);
    put16(ip + 10, ~sum16(ip, kIp) & 0xffff);
    unsigned char* transport = ip + kIp;
    put16(transport, 9);
    put16(transport + 2, 9);
    if (!is_large) {
        put16(transport + 4, ip_bytes - kIp);
        return;
    }
    put16(transport + 12, 0x5010);  // five words, ACK
    put16(transport + 14, 0xffff);
    const std::uint32_t pseudo = sum16(ip + 12, 8) + 6 + static_cast<std::uint32_t>(ip_bytes - kIp);
    put16(transport + 16, (pseudo & 0xffff) + (pseudo >> 16));
    const VnetHeader header{kNeedsChecksum, kGsoTcp4, 54, 1448, kEthernet + kIp, 16};
    std::memcpy(bytes.data(), &header, sizeof(header));
}

/// Frames that have left the interface's queue, read or lost. proc_pid_net(5), /proc/pid/net/dev.
class GoneFrames final {
  public:
    explicit GoneFrames(const char* interface) : name_(std::string(interface) + ":") {
        fd_ = ::open("/proc/self/net/dev", O_RDONLY | O_CLOEXEC);
        if (fd_ < 0) die("/proc/self/net/dev");
    }

    [[nodiscard]] std::uint64_t count() const {
        std::array<char, 8192> text{};
        if (::pread(fd_, text.data(), text.size() - 1, 0) <= 0) die("/proc/self/net/dev");
        const char* line = std::strstr(text.data(), name_.c_str());
        if (line == nullptr) die("the interface is gone");
        unsigned long long packets = 0;
        unsigned long long lost = 0;
        if (std::sscanf(line + name_.size(), "%*u %*u %*u %*u %*u %*u %*u %*u %*u %llu %*u %llu", &packets,
                        &lost) != 2)
            die("/proc/self/net/dev has another form");
        return packets + lost;
    }

  private:
    std::string name_;
    int fd_ = -1;
};

int source(const char* interface, std::size_t frame_bytes) {
    const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0) die("packet socket");
    set_option(fd, SOL_PACKET, PACKET_VNET_HDR, int{1}, "PACKET_VNET_HDR");
    set_option(fd, SOL_PACKET, PACKET_QDISC_BYPASS, int{1}, "PACKET_QDISC_BYPASS");
    set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, kSendBufferBytes, "SO_SNDBUFFORCE");
    bind_to(fd, interface, 0);
    static Frame frame{};
    make_frame(frame, frame_bytes);
    iovec piece{frame.data(), sizeof(VnetHeader) + frame_bytes};
    std::array<mmsghdr, kBatch> batch{};
    for (mmsghdr& message : batch) {
        message.msg_hdr.msg_iov = &piece;
        message.msg_hdr.msg_iovlen = 1;
    }
    const std::uint64_t queued_max =
        std::min(kQueuedMax, std::max(kQueuedBytesMax / frame_bytes, std::uint64_t{kBatch}));
    const GoneFrames gone(interface);
    const std::uint64_t gone_before = gone.count();
    say_ready();
    for (std::uint64_t sent = 0; is_over == 0;) {
        const std::uint64_t queued = sent - std::min(gone.count() - gone_before, sent);
        if (queued + kBatch <= queued_max) {
            const int taken = ::sendmmsg(fd, batch.data(), kBatch, 0);
            if (taken > 0) {
                sent += static_cast<unsigned>(taken);
                continue;
            }
            // ENXIO, ENETDOWN: the monitor has left; later frames have no reader.
            if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR && errno != ENXIO && errno != ENETDOWN)
                die("sendmmsg");
        }
        const timespec pause{0, kPauseNs};
        ::nanosleep(&pause, nullptr);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    struct sigaction action {};
    action.sa_handler = [](int) { is_over = 1; };
    ::sigaction(SIGTERM, &action, nullptr);
    const std::string what = argc > 2 ? argv[1] : "";
    if (what == "sink" && argc == 3) return sink(argv[2]);
    const std::size_t frame_bytes = argc == 4 ? std::strtoul(argv[3], nullptr, 10) : 0;
    if (what == "source" && frame_bytes >= kFrameMin && frame_bytes <= kFrameMax)
        return source(argv[2], frame_bytes);
    std::fputs("usage: packet_peer sink IFACE | packet_peer source IFACE SIZE (60 to 65549)\n", stderr);
    return 2;
}
