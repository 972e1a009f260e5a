// SPDX-License-Identifier: Apache-2.0
// Fs: the virtio file system device. It carries FUSE requests to a backend, and the answers to the driver;
// only the backend interprets them.
//
// Order: requests of a queue are started in order and end in any. Those of the high priority queue have slots
// of their own: a request that cancels another never waits behind it.
//
// The device lacks save() and restore(): a driver's session lives in the backend, with files that are open on
// this host. A machine with such a device cannot be saved.
//
// Allocates at create() only. Thread: as VirtioDevice and FsIoClient say.
// Spec: virtio 1.2 §5.11 "File System Device".
#pragma once

#include <array>
#include <memory>
#include <string>

#include "devices/virtio/fs/fs_backend.h"
#include "devices/virtio/fs/fs_slots.h"
#include "devices/virtio/fs/fs_spec.h"
#include "devices/virtio/virtio_device.h"
#include "vmm/error/result.h"

namespace mayfly {

class Fs final : public VirtioDevice, public FsIoClient {
  public:
    static constexpr u16 kRequestQueues = 1;
    static constexpr u16 kQueues = fs::QUEUE_REQUESTS + kRequestQueues;
    static constexpr u16 kHighPrioritySize = 128;
    /// Linux limits a request to the pages that fit in a queue with its headers (fs/fuse/virtio_fs.c).
    static constexpr u16 kRequestsSize = 1024;
    /// Requests in flight: more than a guest's programs wait for at a time, and a bound on the memory that a
    /// hostile guest can take. The high priority queue has a slot for each entry.
    static constexpr u16 kRequestsMax = 256;

    struct Options {
        std::string name;  ///< "share0"
        std::string tag;   ///< the name by which the guest mounts it: 1 to 36 bytes, UTF-8
    };

    /// The backend outlives the device. Errors: a tag that does not fit; no memory.
    static Result<std::unique_ptr<Fs>> create(Options options, FsBackend& backend);

    [[nodiscard]] std::string_view name() const override { return options_.name; }
    [[nodiscard]] u16 device_id() const override;
    [[nodiscard]] u64 features() const override { return 0; }
    [[nodiscard]] std::span<const u16> queue_sizes() const override;
    /// The backend works on its loop only.
    [[nodiscard]] bool needs_io_thread() const override { return true; }
    [[nodiscard]] std::span<const std::byte> config() const override;
    void write_config(u32 offset_bytes, std::span<const std::byte> bytes) override;
    void start(u64 features, DeviceHost& host) override;
    [[nodiscard]] Progress process(u16 queue, u32 budget) override;
    [[nodiscard]] u32 in_flight() const override;
    void cancel() override { backend_.cancel_all(); }
    void stop() override;

    void on_fs_io_done(FsIo& io, u32 written_bytes) override;

    /// Under the device's lock.
    [[nodiscard]] const FsSlots& slots(u16 queue) const { return queues_[queue].slots; }

  private:
    struct Queue {
        FsSlots slots;
        bool is_waiting = false;  ///< for a slot
    };

    Fs(Options options, FsBackend& backend, std::array<Queue, kQueues> queues);

    void begin(u16 queue, FsSlot& slot, const Chain& chain);
    void fail(std::string_view why);

    Options options_;
    FsBackend& backend_;
    std::array<Queue, kQueues> queues_;
    fs::Config config_{};
    bool is_session_over_ = false;  // the backend still has the state of a driver that is gone

    DeviceHost* host_ = nullptr;  // between start() and stop()
    bool has_failed_ = false;     // nothing is taken from any queue until a reset
};

}  // namespace mayfly
