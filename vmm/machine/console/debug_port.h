// SPDX-License-Identifier: Apache-2.0
// DebugPort: where the bytes of port 0xe9 go: to the console if the serial port does not print them (auto),
// to a descriptor of their own, or nowhere.
//
// A hold's end is waited for by a thread that begins with the first byte and sleeps without a clock while
// nothing is held. It only kicks the vCPUs: they write the console, so that a stalled reader keeps nobody
// from ending the machine. Lock order: the device's lock, this one, the output's.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "devices/io/byte_sink.h"
#include "vmm/machine/console/console.h"
#include "vmm/machine/console/debug_hold.h"
#include "vmm/machine/lifecycle/stop_control.h"

namespace mayfly {

class DebugPort {
  public:
    /// `choice` is BootConfig::debugcon; `fd`, not owned, is its own descriptor, negative where it has none.
    /// Both references outlive this object, and it every thread.
    DebugPort(std::string_view choice, int fd, ConsoleOutput& console, StopControl& stop);

    /// Of the port; null: there is none.
    [[nodiscard]] ByteSink* sink() { return sink_; }
    /// Of the serial port.
    [[nodiscard]] ByteSink& serial_sink() { return hold_ ? static_cast<ByteSink&>(serial_) : console_; }

    /// On a vCPU's thread, after an exit: what was written goes out.
    void flush() {
        if (own_ != nullptr && own_->has_pending()) own_->flush();
    }
    /// On a vCPU's thread, after a kick: whether something was held for too long. Flush the console then.
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

    void start_watching();
    void watch();

    ConsoleOutput& console_;
    StopControl& stop_;
    ByteSink* sink_ = nullptr;
    std::unique_ptr<ConsoleOutput> own_;  // the descriptor's
    Held serial_{*this, &DebugHold::put_serial};
    Held debug_{*this, &DebugHold::put_debug};
    std::mutex mutex_;
    std::optional<std::condition_variable> began_;  // made with the watching thread
    std::optional<DebugHold> hold_;  // auto only; under mutex_, as all below
    bool is_watched_ = false;
    bool is_idle_ = false;             // the watching thread sleeps until something is held
    std::optional<u64> due_since_ns_;  // a look found this hold over,
    u64 due_ns_ = 0;                   // then
};

}  // namespace mayfly
