// SPDX-License-Identifier: Apache-2.0
// Where --modules auto looks.
#include "vmm/machine/boot/module_choice.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

using Strings = std::vector<std::string>;

const Strings kHere{"/lib/modules/6.1", "/usr/lib/modules/6.1"};

Strings with_here(Strings places) {
    places.insert(places.end(), kHere.begin(), kHere.end());
    return places;
}

}  // namespace

TEST_CASE("modules are looked for beside the kernel, then on this machine") {
    CHECK(module_places("/x/boot/vmlinuz-6.1", "6.1") ==
          with_here({"/x/lib/modules/6.1", "/x/usr/lib/modules/6.1", "/x/boot/lib/modules/6.1",
                     "/x/boot/usr/lib/modules/6.1"}));
    CHECK(module_places("deb/boot/vmlinuz", "6.1") ==
          with_here({"deb/lib/modules/6.1", "deb/usr/lib/modules/6.1", "deb/boot/lib/modules/6.1",
                     "deb/boot/usr/lib/modules/6.1"}));
    CHECK(module_places("boot/vmlinuz", "6.1") ==
          with_here({"./lib/modules/6.1", "./usr/lib/modules/6.1", "boot/lib/modules/6.1",
                     "boot/usr/lib/modules/6.1"}));
    CHECK(module_places("vmlinuz", "6.1") == with_here({"../lib/modules/6.1", "../usr/lib/modules/6.1",
                                                        "./lib/modules/6.1", "./usr/lib/modules/6.1"}));
    CHECK(module_places("../vmlinuz", "6.1") ==
          with_here({"../../lib/modules/6.1", "../../usr/lib/modules/6.1", "../lib/modules/6.1",
                     "../usr/lib/modules/6.1"}));
}

TEST_CASE("this machine's own modules are named once") {
    CHECK(module_places("/boot/vmlinuz-6.1", "6.1") == Strings{"/lib/modules/6.1", "/usr/lib/modules/6.1",
                                                               "/boot/lib/modules/6.1",
                                                               "/boot/usr/lib/modules/6.1"});
    CHECK(module_places("/vmlinuz", "6.1") == kHere);
}

TEST_CASE("a kernel may lie among its modules") {
    CHECK(module_places("/usr/lib/modules/6.1/vmlinuz", "6.1").front() == "/usr/lib/modules/6.1");
}
