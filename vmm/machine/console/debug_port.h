// SPDX-License-Identifier: Apache-2.0
// DebugPort: where the bytes of port 0xe9 go: to the console if the serial port does not print them (auto),
// to a descriptor of their own, or nowhere.
//
// A thread waits for a hold's end. It starts at the first byte, and sleeps without a timeout while nothing is
// held. It only kicks the vCPUs: they write the console, so that a stalled reader cannot block the machine's
// end. Lock order: the device's lock, this one, the output's.
#pragma once

#include <condition_variable>
#include <memory>
#include <optional>
#include <string_view>

#include "devices/io/byte_sink.h"
#include "vmm/machine/console/console.h"
#include "vmm/machine/console/debug_hold.h"
#include "vmm/machine/lifecycle/stop_control.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

class DebugPort {
  public:
    /// `choice` is BootConfig::debugcon; `fd`, not owned, is its own descriptor, negative where it has none.
    /// Both references outlive this object.
    DebugPort(std::string_view choice, int fd, ConsoleOutput& console, StopControl& stop);
    DebugPort(const DebugPort&) = delete;
    DebugPort& operator=(const DebugPort&) = delete;
    /// Once the machine has ended: waits for the thread.
    ~DebugPort();

    /// Of the port; null: no port.
    [[nodiscard]] ByteSink* sink() { return sink_; }
    /// Of the serial port.
    [[nodiscard]] ByteSink& serial_sink() { return compares() ? static_cast<ByteSink&>(serial_) : console_; }

    /// On a vCPU's thread, after an exit: writes the output.
    void flush() {
        if (own_ != nullptr && own_->has_pending()) own_->flush_lines();
    }
    /// The same, and the beginning of a line too. No vCPU runs.
    void flush_all() {
        if (own_ != nullptr) own_->flush();
    }
    /// On a vCPU's thread, after a kick: whether output was held for too long. Flush the console then.
    void look();
    /// After the last vCPU has stopped.
    void finish();

  private:
    class Held final : public ByteSink {
      public:
        Held(DebugPort& port, void (DebugHold::*way)(u8)) : port_(port), way_(way) {}
        void put(u8 byte) override;

      private:
        DebugPort& port_;
        void (DebugHold::*way_)(u8);
    };

    /// Whether the output of both ports is compared.
    [[nodiscard]] bool compares() const { return sink_ == &debug_; }
    void start_watching() REQUIRES(mutex_);
    void watch();
    /// \returns since when output is held, once it is; empty when this object is destroyed. The watching
    /// thread.
    std::optional<u64> wait_for_hold();

    ConsoleOutput& console_;
    StopControl& stop_;
    ByteSink* sink_ = nullptr;
    std::unique_ptr<ConsoleOutput> own_;  // the descriptor's
    Held serial_{*this, &DebugHold::put_serial};
    Held debug_{*this, &DebugHold::put_debug};
    Mutex mutex_;
    std::optional<Condition> began_ GUARDED_BY(mutex_);  // made with the watching thread
    std::optional<DebugHold> hold_ GUARDED_BY(mutex_);   // auto only
    bool is_watched_ GUARDED_BY(mutex_) = false;
    bool is_over_ GUARDED_BY(mutex_) = false;
    std::optional<Thread> watcher_;            // made once, under the lock
    bool is_idle_ GUARDED_BY(mutex_) = false;  // the watching thread sleeps until something is held
    std::optional<u64> due_since_ns_ GUARDED_BY(mutex_);  // a check found this hold over,
    u64 due_ns_ GUARDED_BY(mutex_) = 0;                   // then
};

}  // namespace mayfly
