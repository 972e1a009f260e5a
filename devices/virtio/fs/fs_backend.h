// SPDX-License-Identifier: Apache-2.0
// FsBackend: answers the FUSE requests that a virtio file system device carries. The device does not
// interpret them: it passes on the driver's bytes and the room for the answer.
#pragma once

#include <span>

#include <sys/uio.h>

#include "vmm/error/ints.h"

namespace mayfly {

struct FsIo;

/// Called on the loop's thread, without the device's lock.
class FsIoClient {
  public:
    FsIoClient() = default;
    FsIoClient(const FsIoClient&) = delete;
    FsIoClient& operator=(const FsIoClient&) = delete;
    virtual ~FsIoClient() = default;

    /// `written_bytes` of the room were written, from its beginning; 0 for a request without an answer.
    virtual void on_fs_io_done(FsIo& io, u32 written_bytes) = 0;
};

/// One request. Lives until it is done; its ranges are guest memory, checked, and may change at any time.
struct FsIo {
    FsIoClient* client = nullptr;
    std::span<iovec> request;  ///< as is the next: the backend may change the parts while it works
    std::span<iovec> room;     ///< for the answer; may be empty
    FsIo* next = nullptr;      ///< the backend's, to keep it in a list
    u32 generation = 0;        ///< the backend's: how many cancellations preceded it
};

/// Thread: the device's own loop's, once attached; cancel_all() any.
class FsBackend {
  public:
    FsBackend() = default;
    FsBackend(const FsBackend&) = delete;
    FsBackend& operator=(const FsBackend&) = delete;
    virtual ~FsBackend() = default;

    /// Under the device's lock: keeps `io`, to answer it later through its client. Returns at once.
    virtual void start(FsIo& io) = 0;
    /// Makes requests in flight end soon where the host can.
    virtual void cancel_all() = 0;
    /// Under the device's lock, before the first request of a driver that follows another: nothing is in
    /// flight, and the new driver knows nothing of the old one's nodes. The backend may drop its state.
    virtual void reset() = 0;
};

}  // namespace mayfly
