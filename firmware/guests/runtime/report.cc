// SPDX-License-Identifier: Apache-2.0
// Lines, numbers and verdicts; and functions that the compiler calls implicitly (memcpy and memset).
#include "firmware/guests/runtime/report.h"

namespace guest {
namespace {

constinit u32 failures = 0;

}  // namespace

void print(Text text) {
    const char* from = text.data;
    u64 count = text.size_bytes;
    asm volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(kSerialPort) : "memory");
}

Line& Line::add(Text text) {
    u64 count = text.size_bytes;
    if (count > kCapacity - used_) count = kCapacity - used_;
    char* to = text_ + used_;
    const char* from = text.data;
    used_ += count;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    return *this;
}

Line& Line::add_decimal(u64 value) {
    char digits[20];
    u64 first = sizeof digits;
    do {
        digits[--first] = static_cast<char>('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return add({digits + first, sizeof digits - first});
}

Line& Line::add_hex(u64 value) {
    char digits[16];
    u64 first = sizeof digits;
    do {
        digits[--first] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value != 0);
    return add("0x").add({digits + first, sizeof digits - first});
}

Line& Line::pad_to(u64 column) {
    while (used_ < column && used_ < kCapacity) text_[used_++] = ' ';
    return *this;
}

void Line::print_line() {
    text_[used_++] = '\n';
    print(text());
    used_ = 0;
}

void pass(Text name) { Line{}.add("ok ").add(name).print_line(); }

void fail(Text text) {
    ++failures;
    Line{}.add("FAIL ").add(text).print_line();
}

void expect(Text name, bool good) {
    if (good) {
        pass(name);
    } else {
        fail(name);
    }
}

void expect_equal(Text name, u64 expected, u64 got) {
    if (expected == got) return pass(name);
    ++failures;
    Line{}
        .add("FAIL ")
        .add(name)
        .add(": expected ")
        .add_hex(expected)
        .add(", got ")
        .add_hex(got)
        .print_line();
}

void expect_between(Text name, u64 least, u64 most, u64 got) {
    if (least <= got && got <= most) return pass(name);
    ++failures;
    Line line;
    line.add("FAIL ").add(name).add(": expected ").add_decimal(least).add(" to ").add_decimal(most);
    line.add(", got ").add_decimal(got).print_line();
}

u32 failure_count() { return failures < 100 ? failures : 100; }

}  // namespace guest

extern "C" {

void* memcpy(void* to, const void* from, std::size_t count);
void* memset(void* to, int value, std::size_t count);

void* memcpy(void* to, const void* from, std::size_t count) {
    void* const result = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    return result;
}

void* memset(void* to, int value, std::size_t count) {
    void* const result = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
    return result;
}

}  // extern "C"
