// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/fs/fs_slots.h"

#include <set>

#include <catch2/catch.hpp>

namespace {

using namespace mayfly;

TEST_CASE("the slot given back last is taken first, so that few requests touch few pages", "[fs]") {
    FsSlots slots = std::move(*FsSlots::create(8));
    FsSlot* const first = slots.take();
    FsSlot* const second = slots.take();
    slots.give_back(*first);
    REQUIRE(slots.take() == first);
    slots.give_back(*second);
    slots.give_back(*first);
    REQUIRE(slots.take() == first);
    REQUIRE(slots.take() == second);
    REQUIRE(slots.touched_count() == 2);
    REQUIRE(slots.taken_count() == 2);
}

TEST_CASE("every slot can be taken, no two are the same, and each has room for its parts", "[fs]") {
    FsSlots slots = std::move(*FsSlots::create(4));
    std::set<FsSlot*> taken;
    for (int i = 0; i < 4; ++i) {
        FsSlot* const slot = slots.take();
        REQUIRE(slot != nullptr);
        for (iovec& part : slot->parts) part = {slot, 7};
        taken.insert(slot);
    }
    REQUIRE(taken.size() == 4);
    REQUIRE(slots.take() == nullptr);
    for (FsSlot* slot : taken) {
        REQUIRE(slot->parts.size() >= 1024);
        for (const iovec& part : slot->parts) REQUIRE(part.iov_base == slot);
        slots.give_back(*slot);
    }
    REQUIRE(slots.taken_count() == 0);
    REQUIRE(slots.take() != nullptr);
}

}  // namespace
