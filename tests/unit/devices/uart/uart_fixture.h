// SPDX-License-Identifier: Apache-2.0
// A UART with a remembering interrupt pin and a remembering far end.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/uart/uart16550.h"
#include "tests/support/device_fakes.h"
#include "tests/support/fake_irq_line.h"

namespace mayfly {

class FakeSerialHost final : public SerialHost {
  public:
    void put(u8 byte) override { text.push_back(static_cast<char>(byte)); }
    void on_input_wanted() override { ++wanted; }

    std::string text;
    int wanted = 0;
};

struct UartFixture {
    FakeIrqLine irq;
    FakeSerialHost host;
    Uart16550 uart{irq, host};

    [[nodiscard]] std::span<const u8> bytes(std::string_view text) {
        kept.assign(text.begin(), text.end());
        return kept;
    }

    std::vector<u8> kept;
};

}  // namespace mayfly
