// SPDX-License-Identifier: Apache-2.0
// A file system device: a session that reads the file "file" of its root, and another after a reset.
//
//   rounds=N   how often the file is read [1]
//
// Spec: virtio 1.2 §5.11 "File System Device"; Linux include/uapi/linux/fuse.h.
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/virtio_checks/checks.h"

namespace guest::checks {
namespace {

using mayfly::i32;
using mayfly::i64;

constexpr u32 kTagBytes = 36;
constexpr u16 kPriority = 0;
constexpr u16 kRequests = 1;
constexpr u32 kReadBytes = 64 * 1024;
constexpr u32 kHeaderBytes = 40;
constexpr u32 kAnswerBytes = 16;
constexpr u64 kRoot = 1;

enum class Op : u32 {
    Lookup = 1,
    Forget = 2,
    GetAttributes = 3,
    Open = 14,
    Read = 15,
    Release = 18,
    Init = 26
};

constinit virtio::Virtqueue priority;
constinit virtio::Virtqueue requests;

/// One request at a time: the request, and the room for its answer.
struct Session {
    static constexpr i64 kNone = -1000;

    u64 ask = io_memory::allocate(4096, 4096);
    u64 room = io_memory::allocate(4096 + kReadBytes, 4096);
    u64 unique = 0;
    u32 body_bytes = 0;

    template <typename T>
    Session& add(T value) {
        io_memory::at<T>(ask + kHeaderBytes + body_bytes) = value;
        body_bytes += sizeof(T);
        return *this;
    }
    Session& zeroes(u32 count) {
        for (; count > 0; --count) add(u8{0});
        return *this;
    }
    Session& name(Text text) {
        for (u64 n = 0; n < text.size_bytes; ++n) add(text.data[n]);
        return add(u8{0});
    }
    template <typename T>
    [[nodiscard]] T answer(u32 offset) const {
        return io_memory::at<T>(room + kAnswerBytes + offset);
    }

    u32 write_header(Op op, u64 node) {
        const u32 size_bytes = kHeaderBytes + body_bytes;
        io_memory::at<u32>(ask) = size_bytes;
        io_memory::at<u32>(ask + 4) = static_cast<u32>(op);
        io_memory::at<u64>(ask + 8) = ++unique;
        io_memory::at<u64>(ask + 16) = node;
        body_bytes = 0;
        return size_bytes;
    }

    bool put(Op op, u64 node, u32 room_bytes) {
        const u32 size_bytes = write_header(op, node);
        const virtio::Segment parts[] = {{ask, kHeaderBytes, false},
                                         {ask + kHeaderBytes, size_bytes - kHeaderBytes, false},
                                         {room, kAnswerBytes + room_bytes, true}};
        if (!requests.add(parts, 3, 5)) return false;
        requests.kick();
        return true;
    }

    /// \returns the bytes of the answer's body, or the errno, negative; kNone where none came.
    i64 take() {
        virtio::Completion completion{};
        if (!take_one(requests, completion) || completion.token != 5) return kNone;
        if (completion.written_bytes < kAnswerBytes) return kNone;
        if (completion.written_bytes != io_memory::at<u32>(room)) return kNone;
        if (io_memory::at<u64>(room + 8) != unique) return kNone;
        const auto error = static_cast<i32>(io_memory::at<u32>(room + 4));
        return error != 0 ? error : i64{completion.written_bytes} - kAnswerBytes;
    }

    i64 send(Op op, u64 node, u32 room_bytes) { return put(op, node, room_bytes) ? take() : kNone; }

    bool begin() {
        add(u32{7}).add(u32{31}).add(u32{0}).add(u32{0});
        return send(Op::Init, 0, 64) >= 24 && answer<u32>(0) == 7;
    }
};

void print_tag(const Transport& transport) {
    char tag[kTagBytes];
    u32 size = 0;
    for (; size < kTagBytes; ++size) {
        tag[size] = static_cast<char>(transport.config8(size));
        if (tag[size] == 0) break;
    }
    Line{}.add("share tag ").add(Text(tag, size)).print_line();
}

bool start_queues(const Transport& transport, const Plan& plan, u16 vector) {
    u64 features = 0;
    if (!virtio::negotiate(transport, plan.ring_features | virtio::kVersion1, features)) return false;
    const u16 next = vector == virtio::kNoVector ? vector : static_cast<u16>(vector + 1);
    if (!priority.start(transport, kPriority, 16, features, vector)) return false;
    if (!requests.start(transport, kRequests, 64, features, next)) return false;
    virtio::drive(transport);
    return true;
}

/// \returns the file's size.
u64 read_file(Session& session, u64 node, u64 handle, u64& sum) {
    for (u64 offset = 0;;) {
        session.add(handle).add(offset).add(kReadBytes).add(u32{0}).add(u64{0}).add(u32{0}).add(u32{0});
        const i64 size = session.send(Op::Read, node, kReadBytes);
        if (size < 0) return 0;
        if (size == 0) return offset;
        for (u32 n = 0; n < size; ++n) sum = sum * 31 + session.answer<u8>(n);
        offset += static_cast<u64>(size);
    }
}

void check_file(Session& session) {
    const i64 looked_up = session.name("file").send(Op::Lookup, kRoot, 128);
    expect_equal("share look-up", 128, static_cast<u64>(looked_up));
    const u64 node = session.answer<u64>(0);
    const i64 opened = session.add(u32{0}).add(u32{0}).send(Op::Open, node, 16);
    expect_equal("share open", 16, static_cast<u64>(opened));
    const u64 handle = session.answer<u64>(0);
    u64 first_sum = 0;
    const u64 size = read_file(session, node, handle, first_sum);
    bool are_equal = true;
    for (u64 left = option_value("rounds", 1); left > 1; --left) {
        u64 sum = 0;
        are_equal = read_file(session, node, handle, sum) == size && sum == first_sum && are_equal;
    }
    expect("share rounds", are_equal);
    Line{}.add("share file ").add_decimal(size).add(" ").add_hex(first_sum).print_line();
    expect_equal("share release", 0,
                 static_cast<u64>(session.add(handle).zeroes(16).send(Op::Release, node, 0)));
    // ENOENT; or number 0, which says for how long the name stays absent.
    const i64 missing = session.name("none").send(Op::Lookup, kRoot, 128);
    expect("share no file", missing == -2 || (missing == 128 && session.answer<u64>(0) == 0));

    const u32 forget_bytes = session.add(u64{1}).write_header(Op::Forget, node);
    const virtio::Segment forget{session.ask, forget_bytes, false};
    virtio::Completion completion{};
    expect("share forget", priority.add(&forget, 1, 6) && (priority.kick(), take_one(priority, completion)) &&
                               completion.token == 6 && completion.written_bytes == 0);
}

void check_interrupt(Session& session) {
    const u32 before = virtio::interrupts_seen;
    requests.want_interrupts(true);
    expect("share put", session.zeroes(16).put(Op::GetAttributes, kRoot, 104));
    expect("share interrupt", spin_for(virtio::interrupts_seen, before + 1, kArrivalMicroseconds));
    // Taken only after the interrupt: a completion taken before needs none.
    expect("share taken", session.take() == 104);
}

}  // namespace

void check_share(const Transport& transport, const Plan& plan) {
    io_memory::release_all();
    u16 vector = virtio::kNoVector;
    print_tag(transport);
    expect_equal("share queues", 1, transport.config32(kTagBytes));
    if (!virtio::connect_interrupts(transport, plan.interrupt, vector)) return;
    if (!start_queues(transport, plan, vector)) return;
    Session session;
    expect("share early", session.zeroes(16).send(Op::GetAttributes, kRoot, 104) < 0);
    expect("share session", session.begin());
    check_file(session);
    (void)session.name("file").send(Op::Lookup, kRoot, 128);
    const u64 node = session.answer<u64>(0);
    if (plan.interrupt != virtio::Interrupt::None) check_interrupt(session);

    // A second driver begins anew, without the first one's node numbers.
    expect("share reset", transport.reset());
    io_memory::release_all();
    if (!start_queues(transport, plan, vector)) return;
    Session next;
    expect("share late", next.zeroes(16).send(Op::GetAttributes, kRoot, 104) < 0);
    expect("share session", next.begin());
    expect("share stale", next.zeroes(16).send(Op::GetAttributes, node, 104) < 0);
    expect("share root", next.zeroes(16).send(Op::GetAttributes, kRoot, 104) == 104);
    expect("share reset", transport.reset());
}

}  // namespace guest::checks
