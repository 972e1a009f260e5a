// SPDX-License-Identifier: Apache-2.0
// idle: says by boot mark 1 that it runs, then halts forever; with `spin` it spins in ring 3 instead. For
// measurements of a machine that does nothing, ended from outside (--timeout).
#include "firmware/guests/runtime/boot_info.h"

namespace guest {
namespace {

void spin() {
    for (;;) pause();
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    mark(1);
    if (has_option("spin")) enter_ring3(spin);
    for (;;) halt_with_interrupts();
}
