// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/token_bucket.h"

#include <limits>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {
constexpr u64 kSecond = 1'000'000'000;
constexpr u64 kU64Max = std::numeric_limits<u64>::max();
}  // namespace

TEST_CASE("a bucket without a rate grants everything", "[token_bucket]") {
    TokenBucket bucket;
    REQUIRE_FALSE(bucket.is_limited());
    REQUIRE_FALSE(bucket.take(kU64Max, 0));
    REQUIRE_FALSE(bucket.take(kU64Max, 0));
}

TEST_CASE("a bucket begins full and grants its burst at once, then by its rate", "[token_bucket]") {
    TokenBucket bucket({.per_second = 1000, .burst = 10});
    for (int i = 0; i < 10; ++i) REQUIRE_FALSE(bucket.take(1, 5 * kSecond));
    REQUIRE(bucket.take(1, 5 * kSecond) == 5 * kSecond + 1'000'000);
    REQUIRE(bucket.take(1, 5 * kSecond + 999'999) == 5 * kSecond + 1'000'000);
    REQUIRE_FALSE(bucket.take(1, 5 * kSecond + 1'000'000));
}

TEST_CASE("a burst that was not given is a tenth of a second's worth, at least one", "[token_bucket]") {
    REQUIRE(TokenBucket({.per_second = 1000}).burst() == 100);
    REQUIRE(TokenBucket({.per_second = 3}).burst() == 1);
}

TEST_CASE("a pause fills a bucket no further than its burst", "[token_bucket]") {
    TokenBucket bucket({.per_second = 100, .burst = 5});
    REQUIRE_FALSE(bucket.take(5, kSecond));
    REQUIRE_FALSE(bucket.take(5, 1000 * kSecond));
    REQUIRE(bucket.take(1, 1000 * kSecond));
}

TEST_CASE("an amount above the burst is granted by a full bucket and paid for afterwards", "[token_bucket]") {
    TokenBucket bucket({.per_second = 100, .burst = 10});
    REQUIRE_FALSE(bucket.take(110, kSecond));
    // 100 tokens of debt take one second, one more token 10 ms.
    REQUIRE(bucket.take(1, kSecond) == 2 * kSecond + 10'000'000);
    // The next large amount waits for a full bucket, not for more than the bucket holds.
    REQUIRE(bucket.take(110, 2 * kSecond) == 2 * kSecond + 100'000'000);
    REQUIRE_FALSE(bucket.take(110, 2 * kSecond + 100'000'000));
}

TEST_CASE("a rate that no nanosecond divides does not drift", "[token_bucket]") {
    TokenBucket bucket({.per_second = 7, .burst = 1});
    u64 now = 0;
    u64 granted = 0;
    while (now <= 100 * kSecond) {
        const std::optional<u64> deadline = bucket.take(1, now);
        if (deadline) {
            REQUIRE(*deadline > now);
            now = *deadline;
        } else {
            ++granted;
        }
    }
    // One of the burst and 700 of the rate.
    REQUIRE(granted == 701);
}

TEST_CASE("checking often does not gain tokens", "[token_bucket]") {
    TokenBucket bucket({.per_second = 3, .burst = 1});
    REQUIRE_FALSE(bucket.take(1, 0));
    u64 granted = 0;
    for (u64 now = 0; now <= kSecond; now += 1000) granted += bucket.take(1, now) ? 0 : 1;
    REQUIRE(granted >= 2);
    REQUIRE(granted <= 3);
}

TEST_CASE("the largest rates, amounts and times neither wrap nor trap", "[token_bucket]") {
    TokenBucket bucket({.per_second = kU64Max, .burst = kU64Max});
    REQUIRE_FALSE(bucket.take(kU64Max, kU64Max));
    REQUIRE(bucket.take(1, kU64Max) == kU64Max);
    for (int i = 0; i < 100; ++i) bucket.spend(kU64Max, kU64Max);
    REQUIRE(bucket.take(1, kU64Max) == kU64Max);

    TokenBucket slow({.per_second = 1, .burst = 1});
    slow.spend(kU64Max, 0);
    REQUIRE(slow.take(1, 0) == kU64Max);
    for (int i = 0; i < 1000; ++i) slow.spend(kU64Max, 0);
    REQUIRE(slow.take(1, kU64Max) == kU64Max);
}

TEST_CASE("a clock that goes back neither grants nor takes away", "[token_bucket]") {
    TokenBucket bucket({.per_second = 1000, .burst = 1});
    REQUIRE_FALSE(bucket.take(1, 10 * kSecond));
    REQUIRE(bucket.take(1, 5 * kSecond) == 10 * kSecond + 1'000'000);
    REQUIRE_FALSE(bucket.take(1, 10 * kSecond + 1'000'000));
}

TEST_CASE("an amount is taken from both of two buckets or from neither", "[token_bucket]") {
    TokenBucket bytes({.per_second = 1000, .burst = 1000});
    TokenBucket packets({.per_second = 10, .burst = 1});
    REQUIRE_FALSE(take_from_both(bytes, 500, packets, 1, kSecond));
    REQUIRE(take_from_both(bytes, 500, packets, 1, kSecond) == kSecond + 100'000'000);
    // Nothing was taken from the bytes by the refusal.
    REQUIRE_FALSE(bytes.ready_at(500, kSecond));
    REQUIRE_FALSE(take_from_both(bytes, 500, packets, 1, kSecond + 100'000'000));
}

TEST_CASE("a level is carried to another bucket, with another clock", "[token_bucket]") {
    TokenBucket bucket({.per_second = 1000, .burst = 50});
    CHECK_FALSE(bucket.take(30, 1'000'000'000));
    CHECK(bucket.level(1'000'000'000) == 20);
    CHECK(bucket.level(1'010'000'000) == 30);
    TokenBucket other({.per_second = 1000, .burst = 50});
    other.set_level(30, 7);
    CHECK_FALSE(other.take(30, 7));
    CHECK(other.take(1, 7) == 7 + 1'000'000);
    other.spend(100, 7);
    CHECK(other.level(7) == -100);
    other.set_level(-100, 9);
    CHECK(other.level(9) == -100);
    other.set_level(1'000'000, 9);
    CHECK(other.level(9) == 50);
}
