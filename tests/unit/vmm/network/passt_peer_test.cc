// SPDX-License-Identifier: Apache-2.0
// The real passt at the other end, in a network namespace of the test's own.
#include <array>
#include <cstdlib>
#include <fstream>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/vmm/network/arp_frame.h"
#include "tests/unit/vmm/network/tap_host.h"
#include "vmm/network/passt.h"

namespace {

using namespace mayfly;

/// passt, which ends with this.
class RunningPasst {
  public:
    RunningPasst() {
        path_ = "/tmp/mayfly-passt-test-" + std::to_string(::getpid()) + ".socket";
        posix_spawn_file_actions_t files;
        ::posix_spawn_file_actions_init(&files);
        for (const int fd : {1, 2}) ::posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_WRONLY, 0);
        std::string socket = path_;
        std::string foreground = "-f";
        std::string option = "-s";
        std::string program = "passt";
        std::array<char*, 5> arguments{program.data(), foreground.data(), option.data(), socket.data(),
                                       nullptr};
        const int error = ::posix_spawnp(&process_, "passt", &files, nullptr, arguments.data(), environ);
        ::posix_spawn_file_actions_destroy(&files);
        if (error != 0) {
            std::fprintf(stderr, "skipped: passt is not installed\n");
            std::_Exit(77);
        }
    }
    ~RunningPasst() {
        stop();
        ::unlink(path_.c_str());
    }
    void stop() {
        if (process_ <= 0) return;
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
        process_ = 0;
    }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
    pid_t process_ = 0;
};

constexpr std::array<u8, 4> kHostAddress{192, 0, 2, 10};
constexpr std::array<u8, 4> kGateway{192, 0, 2, 1};

bool is_arp_answer(const Bytes& frame) {
    return frame.size() >= 12 + 42 && frame[12 + 12] == std::byte{8} && frame[12 + 13] == std::byte{6} &&
           frame[12 + 21] == std::byte{2};
}

}  // namespace

TEST_CASE("passt: the real one answers, and its death takes the link down", "[passt]") {
    tap_host::enter_own_network();
    tap_host::create_persistent("up0", true, false);
    tap_host::give_address("up0", kHostAddress, kGateway);
    RunningPasst peer;
    std::unique_ptr<Passt> passt;
    REQUIRE(comes_true([&] {
        auto connected = Passt::connect(peer.path());
        if (connected) passt = std::move(*connected);
        return passt != nullptr;
    }));
    CountingClient client;
    passt->set_client(&client);
    RunningLoop loop;
    REQUIRE(passt->attach(*loop.loop));
    loop.run();
    CHECK(send_bytes(*passt, arp_request(kHostAddress, kGateway)) == NetStatus::Done);
    CHECK(comes_true([&] { return client.readable[0] > 0; }));
    CHECK(comes_true([&] { return is_arp_answer(receive_bytes(*passt).bytes); }));
    CHECK(client.downs == 0);
    peer.stop();
    CHECK(comes_true([&] { return client.downs == 1; }));
    CHECK(send_bytes(*passt, arp_request(kHostAddress, kGateway)) == NetStatus::Down);
}
