// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "vmm/doctor/facts/parse.h"
#include "vmm/os/text_file.h"

using namespace mayfly;

TEST_CASE("a field of procfs is found by its whole key", "[doctor]") {
    constexpr std::string_view kText =
        "vendor_id\t: GenuineIntel\nvmx flags\t: vnmi posted_intr\nflags\t\t: fpu vmx\nempty :\n";
    CHECK(proc_field(kText, "flags") == "fpu vmx");
    CHECK(proc_field(kText, "vmx flags") == "vnmi posted_intr");
    CHECK(proc_field(kText, "empty").empty());
    CHECK(proc_field(kText, "model name").empty());
    CHECK(proc_field("", "flags").empty());
}

TEST_CASE("a word is found whole, between blanks or commas", "[doctor]") {
    CHECK(has_word("fpu vmx avic", "avic"));
    CHECK(has_word("rw,nsdelegate,favordynmods", "favordynmods"));
    CHECK_FALSE(has_word("x2avic", "avic"));
    CHECK_FALSE(has_word("", "avic"));
}

TEST_CASE("the chosen word is the one in brackets", "[doctor]") {
    CHECK(chosen_word("always [madvise] never") == "madvise");
    CHECK(chosen_word("never") == "never");
    CHECK(chosen_word("] odd [") == "] odd [");
}

TEST_CASE("cgroup mounts are read from mountinfo, and nothing else is", "[doctor]") {
    const CgroupMounts plain = parse_cgroup_mounts(
        "24 30 0:22 / /proc rw - proc proc rw\n"
        "31 30 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
    CHECK(plain.has_cgroup2_root);
    CHECK_FALSE(plain.has_favordynmods);
    CHECK(parse_cgroup_mounts("31 30 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,favordynmods")
              .has_favordynmods);
    CHECK_FALSE(parse_cgroup_mounts("31 30 0:28 / /mnt rw - tmpfs none rw,favordynmods").has_favordynmods);
    CHECK_FALSE(parse_cgroup_mounts("garbage\n - \n").has_cgroup2_root);
}

TEST_CASE("groups and users are found by their numbers", "[doctor]") {
    constexpr std::string_view kGroups = "root:x:0:\nkvm:x:104:ann,bob\nbroken\n";
    REQUIRE(find_group(kGroups, 104));
    CHECK(find_group(kGroups, 104)->name == "kvm");
    CHECK(find_group(kGroups, 104)->members == "ann,bob");
    CHECK_FALSE(find_group(kGroups, 105));
    CHECK(find_user("root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\n", 1000) == "ann");
    CHECK(find_user("", 1000).empty());
}

TEST_CASE("a release is compared by its major and minor number", "[doctor]") {
    CHECK(release_number("6.18.44-fc") == 6018);
    CHECK(release_number("6.1.0-28-amd64") == 6001);
    CHECK(release_number("5.10") == 5010);
    CHECK(release_number("six") == 0);
    CHECK(release_number("") == 0);
}

TEST_CASE("a thread's state is read behind a name with anything in it", "[doctor]") {
    CHECK(thread_state("42 (mayfly) S 1 42 42 0") == 'S');
    CHECK(thread_state("42 (a) R (b) D 1 42") == 'D');
    CHECK(thread_state("") == '\0');
    CHECK(thread_state("42 (mayfly) ") == '\0');
}
