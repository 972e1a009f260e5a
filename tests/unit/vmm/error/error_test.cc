// SPDX-License-Identifier: Apache-2.0
#include "vmm/error/error.h"

#include <cerrno>

#include <catch2/catch.hpp>

using namespace mayfly;

TEST_CASE("a failed system call tells the call, its subject and the reason", "[error]") {
    CHECK(Error::os("open", ENOENT).about("/x").message() == "open /x: No such file or directory");
    CHECK(Error::os("KVM_CREATE_VM", ENOMEM).message() == "KVM_CREATE_VM: Cannot allocate memory");
    errno = EACCES;
    CHECK(Error::os("open").os_errno() == EACCES);
}

TEST_CASE("a refused value is preceded by its option", "[error]") {
    CHECK(Error::invalid("not a size: 'x'").about("--memory").message() == "--memory: not a size: 'x'");
    CHECK(Error::invalid("inner").about("file").about("--initrd").message() == "--initrd: file: inner");
}

TEST_CASE("a hint stands in parentheses at the end", "[error]") {
    CHECK(Error::host("no right to open /dev/kvm").hint("join the group kvm").message() ==
          "no right to open /dev/kvm (join the group kvm)");
}

TEST_CASE("the kind decides the exit status and survives about and hint", "[error]") {
    CHECK(Error::not_found("gone").about("kernel").hint("look").kind() == ErrorKind::NotFound);
    CHECK(Error::invalid("x").kind() == ErrorKind::Invalid);
    CHECK(Error::host("x").kind() == ErrorKind::Host);
    CHECK(Error::os("x", EIO).kind() == ErrorKind::Os);
}
