// SPDX-License-Identifier: Apache-2.0
#include "vmm/answer_cache/answer_cache.h"

#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

using namespace mayfly;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kConfirmedAt = 8;
constexpr std::size_t kConfirmedBytes = 8;
constexpr u64 kSecondNs = 1'000'000'000;

std::unique_ptr<KvmAnswers> invented() {
    auto answers = std::make_unique<KvmAnswers>();
    answers->host = {.flavour = KvmFlavour::Svm, .has_hardware_ipi = true, .has_avic = true};
    answers->run_bytes = 12288;
    answers->has_tsc_deadline = true;
    for (u32 leaf = 0; leaf < 5; ++leaf) answers->cpuid.find_or_add(leaf, 0, false).eax = 0x1000 + leaf;
    return answers;
}

UniqueFd open_file(const std::string& path) {
    return UniqueFd::adopt(::open(path.c_str(), O_RDWR | O_CLOEXEC));
}

/// A host's boot, module and device, and a runtime directory that does not exist yet.
class Host {
  public:
    Host() {
        char name[] = "/tmp/mayfly-answers-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        root = name;
        fs::create_directories(root / "module/kvm_amd");
        set_boot_id('1');
        places = {.directory = root / "run", .boot_id = root / "boot_id", .modules = root / "module"};
        std::ofstream(root / "kvm") << "stands for /dev/kvm";
        device = open_file(root / "kvm");
        REQUIRE(device.valid());
    }
    ~Host() { fs::remove_all(root); }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    void set_boot_id(char digit) const { std::ofstream(root / "boot_id") << std::string(36, digit) << "\n"; }
    [[nodiscard]] AnswerCache look() const { return {places, device}; }
    [[nodiscard]] std::string entry() const { return places.directory + "/kvm-answers"; }
    [[nodiscard]] std::string content() const {
        std::ifstream file(entry(), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void set_content(const std::string& content) const {
        std::ofstream(entry(), std::ios::binary) << content;
    }
    void store() const {
        AnswerCache cache = look();
        REQUIRE(cache.answers() == nullptr);
        REQUIRE(cache.store(invented(), device));
    }

    /// The entry is not used, for a reason with these words, and another takes its place.
    void check_replaced(const std::string& words) const {
        AnswerCache cache = look();
        CHECK(cache.answers() == nullptr);
        CHECK_FALSE(cache.is_due());
        CHECK_THAT(cache.why(), Contains(words));
        CHECK(cache.store(invented(), device));
        CHECK(look().answers() != nullptr);
    }
    void check_unused(const std::string& words) const {
        AnswerCache cache = look();
        CHECK(cache.answers() == nullptr);
        CHECK_THAT(cache.why(), Contains(words));
        CHECK_FALSE(cache.store(invented(), device));
        CHECK(cache.answers() != nullptr);
    }

    fs::path root;
    AnswerPlaces places;
    UniqueFd device;
};

}  // namespace

TEST_CASE("the next boot finds the stored answers", "[answer_cache]") {
    const Host host;
    AnswerCache first = host.look();
    CHECK(first.answers() == nullptr);
    CHECK(first.why().empty());
    CHECK(first.store(invented(), host.device));
    CHECK(mean_the_same(*first.answers(), *invented()));

    const AnswerCache second = host.look();
    REQUIRE(second.answers() != nullptr);
    CHECK(mean_the_same(*second.answers(), *invented()));
    CHECK(second.answers()->host == invented()->host);
    CHECK(second.answers()->cpuid.entries().size() == 5);
    CHECK_FALSE(second.is_due());
    struct stat directory {};
    struct stat entry {};
    REQUIRE(::stat(host.places.directory.c_str(), &directory) == 0);
    REQUIRE(::stat(host.entry().c_str(), &entry) == 0);
    CHECK((directory.st_mode & 07777) == 0700);
    CHECK((entry.st_mode & 07777) == 0600);
}

TEST_CASE("an entry is valid for one boot of the host, one device and one module", "[answer_cache]") {
    Host host;
    host.store();
    SECTION("boot") { host.set_boot_id('2'); }
    SECTION("module") {
        // Loaded anew; the other directory keeps the new one from getting the old inode number.
        fs::create_directory(host.root / "module/other");
        fs::remove(host.root / "module/kvm_amd");
        fs::create_directory(host.root / "module/kvm_amd");
    }
    SECTION("device") {
        std::ofstream(host.root / "other") << "another";
        host.device = open_file(host.root / "other");
    }
    host.check_replaced("of another KVM");
}

TEST_CASE("with an unknown part of the key nothing is kept", "[answer_cache]") {
    const Host host;
    SECTION("boot") { fs::remove(host.root / "boot_id"); }
    SECTION("boot, cut short") { std::ofstream(host.root / "boot_id") << "1234"; }
    SECTION("module") { fs::remove(host.root / "module/kvm_amd"); }
    AnswerCache cache = host.look();
    CHECK_FALSE(cache.store(invented(), host.device));
    CHECK(host.content().empty());
    CHECK(host.look().answers() == nullptr);
}

TEST_CASE("with an unknown vendor nothing is kept", "[answer_cache]") {
    const Host host;
    AnswerCache cache = host.look();
    auto answers = invented();
    answers->host.flavour = KvmFlavour::Unknown;
    CHECK_FALSE(cache.store(std::move(answers), host.device));
    CHECK(host.content().empty());
}

TEST_CASE("an entry with a wrong byte is not used", "[answer_cache]") {
    const Host host;
    host.store();
    const std::string good = host.content();
    REQUIRE(good.size() > 5 * 40);
    std::size_t used = 0;
    for (std::size_t at = 0; at != good.size(); ++at) {
        // The time of confirmation is not summed: other boots write it while we read.
        if (at >= kConfirmedAt && at < kConfirmedAt + kConfirmedBytes) continue;
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 0x10);
        host.set_content(bad);
        used += host.look().answers() != nullptr;
    }
    CHECK(used == 0);
    host.check_replaced("damaged");
}

TEST_CASE("an entry that is too short or too long is not used", "[answer_cache]") {
    const Host host;
    host.store();
    const std::string good = host.content();
    std::size_t used = 0;
    for (std::size_t size = 0; size != good.size(); ++size) {
        host.set_content(good.substr(0, size));
        used += host.look().answers() != nullptr;
    }
    for (const std::size_t more : {1U, 40U, 20000U}) {
        host.set_content(good + std::string(more, '\0'));
        used += host.look().answers() != nullptr;
    }
    CHECK(used == 0);
    host.check_replaced("damaged");
}

TEST_CASE("a directory that others can write to is not used", "[answer_cache]") {
    const Host host;
    host.store();
    const auto mode = GENERATE(0720U, 0702U, 0777U);
    fs::permissions(host.places.directory, fs::perms(mode));
    host.check_unused("others may write to it");
}

TEST_CASE("a link or a file in the directory's place is not used", "[answer_cache]") {
    Host host;
    SECTION("link") {
        fs::create_directory(host.root / "real");
        fs::create_directory_symlink(host.root / "real", host.places.directory);
    }
    SECTION("file") { std::ofstream(host.places.directory) << "a file"; }
    host.check_unused("not a directory");
}

TEST_CASE("in the entry's place, only a regular file is used, and nothing is waited for", "[answer_cache]") {
    Host host;
    fs::create_directory(host.places.directory);
    SECTION("link") {
        std::ofstream(host.root / "elsewhere") << "theirs";
        fs::create_symlink(host.root / "elsewhere", host.entry());
    }
    SECTION("FIFO") { REQUIRE(::mkfifo(host.entry().c_str(), 0600) == 0); }
    SECTION("directory") { fs::create_directory(host.entry()); }
    AnswerCache cache = host.look();
    CHECK(cache.answers() == nullptr);
    CHECK_FALSE(cache.store(invented(), host.device));
    if (fs::exists(host.root / "elsewhere")) CHECK(fs::file_size(host.root / "elsewhere") == 6);
}

TEST_CASE("without a directory nothing is cached", "[answer_cache]") {
    Host host;
    SECTION("none is named") { host.places.directory.clear(); }
    SECTION("nor can it be made") { host.places.directory = host.root / "missing/run"; }
    AnswerCache cache = host.look();
    CHECK_FALSE(cache.store(invented(), host.device));
    CHECK(cache.answers() != nullptr);
}

TEST_CASE("an entry is due for a comparison a second after the last", "[answer_cache]") {
    const Host host;
    host.store();
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    const u64 now_ns = static_cast<u64>(now.tv_sec) * kSecondNs + static_cast<u64>(now.tv_nsec);
    const u64 confirmed_ns = GENERATE_COPY(u64{0}, now_ns - 2 * kSecondNs, now_ns + 100 * kSecondNs, ~u64{0});
    std::string old = host.content();
    std::memcpy(old.data() + kConfirmedAt, &confirmed_ns, sizeof confirmed_ns);
    host.set_content(old);
    const AnswerCache cache = host.look();
    CHECK(cache.answers() != nullptr);
    CHECK(cache.is_due());
    cache.confirm();
    CHECK(host.look().answers() != nullptr);
    CHECK_FALSE(host.look().is_due());
}

TEST_CASE("a removed entry is not found", "[answer_cache]") {
    const Host host;
    host.store();
    const AnswerCache user = host.look();
    AnswerCache other = host.look();
    user.forget();
    CHECK(host.content().empty());
    AnswerCache next = host.look();
    CHECK(next.answers() == nullptr);
    CHECK(next.why().empty());
    // A boot that had the entry open may confirm it, which does not restore it.
    other.confirm();
    CHECK(host.look().answers() == nullptr);
    CHECK(next.store(invented(), host.device));
    CHECK(host.look().answers() != nullptr);
}
