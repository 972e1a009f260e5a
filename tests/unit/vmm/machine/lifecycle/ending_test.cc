// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/ending.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

ExitStatus code(u64 value, const StatusRules& rules = {}) {
    return exit_status({EndKind::ExitCode, value, {}}, rules);
}

}  // namespace

TEST_CASE("a guest's value from 0 to 123 is the status, without a message", "[ending]") {
    for (u64 value = 0; value <= 123; ++value) {
        CHECK(code(value).status == static_cast<int>(value));
        CHECK(code(value).line.empty());
    }
}

TEST_CASE("a guest's greater value becomes 123, never 0, and is reported", "[ending]") {
    for (const u64 value : {u64{124}, u64{127}, u64{255}, u64{256}, u64{0xffff'ffff}, ~u64{0}}) {
        const ExitStatus status = code(value);
        CHECK(status.status == 123);
        CHECK(status.line.find(std::to_string(value)) != std::string::npos);
        CHECK(status.line.find("0-123") != std::string::npos);
    }
}

TEST_CASE("by the QEMU rule the status is twice the value plus one, in a byte", "[ending]") {
    const StatusRules qemu{.exit_code = ExitCodeRule::Qemu, .success = std::nullopt};
    CHECK(code(0, qemu).status == 1);
    CHECK(code(0x10, qemu).status == 33);
    CHECK(code(61, qemu).status == 123);
    CHECK(code(62, qemu).status == 123);
    CHECK_FALSE(code(62, qemu).line.empty());
    CHECK(code(128, qemu).status == 1);  // (128 << 1 | 1) & 0xff
}

TEST_CASE("the status named by --success counts as 0, and only that", "[ending]") {
    CHECK(code(33, {.exit_code = ExitCodeRule::Raw, .success = 33}).status == 0);
    CHECK(code(32, {.exit_code = ExitCodeRule::Raw, .success = 33}).status == 32);
    CHECK(code(0x10, {.exit_code = ExitCodeRule::Qemu, .success = 33}).status == 0);
    CHECK(code(33, {.exit_code = ExitCodeRule::Qemu, .success = 33}).status == 67);
    const ExitStatus large = code(300, {.exit_code = ExitCodeRule::Raw, .success = 300});
    CHECK(large.status == 0);
    CHECK(large.line.empty());
}

TEST_CASE("--success does not turn a crash or a timeout into success", "[ending]") {
    for (const EndKind kind : {EndKind::Crash, EndKind::Panic, EndKind::Timeout, EndKind::HostError}) {
        const int status = exit_status({kind, 0, "why"}, {}).status;
        CHECK(
            exit_status({kind, 0, "why"}, {.exit_code = ExitCodeRule::Raw, .success = u64(status)}).status ==
            status);
    }
}

TEST_CASE("every ending has the status of the contract", "[ending]") {
    CHECK(exit_status({EndKind::PowerOff, 0, {}}, {}).status == 0);
    CHECK(exit_status({EndKind::Reset, 0, {}}, {}).status == 0);
    CHECK(exit_status({EndKind::Timeout, 1500, {}}, {}).status == 124);
    CHECK(exit_status({EndKind::HostError, 0, "why"}, {}).status == 125);
    CHECK(exit_status({EndKind::Panic, 0, {}}, {}).status == 126);
    CHECK(exit_status({EndKind::Crash, 0, "why"}, {}).status == 126);
    CHECK(exit_status({EndKind::Signal, 15, {}}, {}).status == 143);
    CHECK(exit_status({EndKind::Signal, 2, {}}, {}).status == 130);
    CHECK(exit_status({EndKind::Quit, 0, {}}, {}).status == 130);
}

TEST_CASE("endings that need explaining have one line, others none", "[ending]") {
    CHECK(exit_status({EndKind::Timeout, 1500, {}}, {}).line ==
          "timeout: the guest did not end within 1.5 s");
    CHECK(exit_status({EndKind::Crash, 0, "the reason"}, {}).line == "the reason");
    CHECK(exit_status({EndKind::HostError, 0, "the reason"}, {}).line == "the reason");
    CHECK(exit_status({EndKind::Panic, 0, {}}, {}).line == "the guest panicked");
    CHECK(exit_status({EndKind::Panic, 0, {}, "Kernel panic - not syncing: why"}, {}).line ==
          "the guest panicked: Kernel panic - not syncing: why");
    CHECK(exit_status({EndKind::Timeout, 1500, {}, "Kernel panic - not syncing: why"}, {}).line ==
          "timeout: the guest did not end within 1.5 s; it has panicked: Kernel panic - not syncing: why");
    for (const EndKind kind : {EndKind::PowerOff, EndKind::Reset, EndKind::Signal, EndKind::Quit})
        CHECK(exit_status({kind, 1, {}}, {}).line.empty());
}

TEST_CASE("an --expect match is success, a --fail-on match is status 1", "[ending]") {
    CHECK(exit_status({EndKind::Expected, 0, {}}, {}).status == 0);
    CHECK(exit_status({EndKind::FailedOn, 0, "why"}, {}).status == 1);
    CHECK(exit_status({EndKind::FailedOn, 0, "why"}, {.exit_code = ExitCodeRule::Raw, .success = 1}).status ==
          1);
}

TEST_CASE("a program's status is mayfly's, its signal is reported and added to 128", "[ending]") {
    const auto program = [](u64 word) { return exit_status({EndKind::ProgramEnded, word, {}}, {}); };
    for (u64 status = 0; status <= 255; ++status) {
        CHECK(program(0xe100'0000 | status).status == static_cast<int>(status));
        CHECK(program(0xe100'0000 | status).line.empty());
    }
    CHECK(program(0xe200'0009).status == 137);
    CHECK_THAT(program(0xe200'0009).line, Catch::Contains("signal 9"));
    for (const u64 word : {u64{0}, u64{0xe100'0100}, u64{0xe200'0000}, u64{0xe300'0002}, ~u64{0}}) {
        CHECK(program(word).status == 125);
        CHECK_FALSE(program(word).line.empty());
    }
}

TEST_CASE("a reset with Linux's mark is a panic, and nothing else is", "[ending]") {
    const auto kind_of = [](EndKind kind, bool has_mark) {
        return resolve_ending({kind, 0, {}}, {.has_panic_mark = has_mark, .program = std::nullopt}).kind;
    };
    CHECK(kind_of(EndKind::Reset, true) == EndKind::Panic);
    CHECK(kind_of(EndKind::Reset, false) == EndKind::Reset);
    for (const EndKind other : {EndKind::ExitCode, EndKind::PowerOff, EndKind::Panic, EndKind::Crash,
                                EndKind::Timeout, EndKind::Signal, EndKind::Quit, EndKind::HostError,
                                EndKind::Expected, EndKind::FailedOn, EndKind::ProgramEnded}) {
        CHECK(kind_of(other, true) == other);
        CHECK(kind_of(other, false) == other);
    }
}

TEST_CASE("without its program's report a guest has failed", "[ending]") {
    const auto ended = [](EndKind kind, bool has_mark = false) {
        return resolve_ending({kind, 0xe100'0007, "why"}, {.has_panic_mark = has_mark, .program = "/bin/x"});
    };
    CHECK(exit_status(ended(EndKind::ExitCode), {}).status == 7);
    for (const EndKind silent : {EndKind::PowerOff, EndKind::Reset}) {
        const ExitStatus status = exit_status(ended(silent), {});
        CHECK(status.status == 125);
        CHECK(status.line == "the guest ended without the status of /bin/x");
    }
    CHECK(exit_status(ended(EndKind::Reset, true), {}).status == 126);
    CHECK(exit_status(ended(EndKind::PowerOff, true), {}).status == 125);
    for (const EndKind other : {EndKind::Panic, EndKind::Crash, EndKind::Timeout, EndKind::Signal,
                                EndKind::Quit, EndKind::HostError, EndKind::Expected, EndKind::FailedOn}) {
        CHECK(ended(other).kind == other);
        CHECK(ended(other).value == 0xe100'0007);
        CHECK(ended(other).message == "why");
    }
    // The guest's verdict is unchanged where no program was to run.
    const Ending verdict = resolve_ending({EndKind::ExitCode, 7, {}}, {});
    CHECK(verdict.kind == EndKind::ExitCode);
    CHECK(verdict.value == 7);
}
