// SPDX-License-Identifier: Apache-2.0
// FunctionClient: the device behind a PCI function, as the bus calls it.
//
// Thread: any vCPU thread. The client takes its own device lock; the bus holds none of its locks during
// bar_read() and bar_write(), and its configuration lock during the others (lock order: pci_bus.h).
#pragma once

#include "devices/io/io_device.h"
#include "devices/pci/config_page.h"
#include "vmm/error/ints.h"

namespace mayfly {

class FunctionClient {
  public:
    FunctionClient() = default;
    FunctionClient(const FunctionClient&) = delete;
    FunctionClient& operator=(const FunctionClient&) = delete;
    virtual ~FunctionClient() = default;

    /// The whole access lies inside the BAR; its size is 1, 2, 4 or 8 and its alignment is the guest's
    /// choice.
    [[nodiscard]] virtual u64 bar_read(u8 bar, IoAccess at) = 0;
    virtual void bar_write(u8 bar, IoAccess at, u64 value) = 0;

    /// A BAR moved, or its decoding was switched on or off: see PciFunction::bar_address().
    virtual void on_decode_changed() = 0;
    /// The guest wrote these bytes of configuration space; the image holds the result.
    virtual void on_config_write(u16 offset, u8 size_bytes) = 0;
    /// The guest is about to read bytes of dwords given to PciFunction::intercept_reads(), by an access that
    /// trapped. It reads the bytes that the client puts there with refresh().
    virtual void on_config_read(u16 offset, u8 size_bytes) = 0;
    /// From now on the content of the config BAR lives in `page`, where a guest may read it as memory. The
    /// client writes its whole content there, and no longer touches its previous page once this function
    /// returned; until then the previous page still holds the content. Called by PciBus::add() with the first
    /// page.
    virtual void on_config_page_moved(ConfigPage page) = 0;
};

}  // namespace mayfly
