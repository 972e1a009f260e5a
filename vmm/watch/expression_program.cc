// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/expression_program.h"

#include <algorithm>
#include <utility>

#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

constexpr u32 kAscii = 0x80;
/// Some ten milliseconds for the largest expression.
constexpr unsigned kCharactersUnasked = 256;

using Kind = Instruction::Kind;

u32 at(u32 place, i32 offset) { return static_cast<u32>(static_cast<i32>(place) + offset); }

}  // namespace

u32 take_character(std::string_view& text) {
    const auto [length, value] = first_utf8(text);
    const u32 character = length == 0 ? kStrayByte + static_cast<u8>(text[0]) : value;
    text.remove_prefix(length == 0 ? 1 : length);
    return character;
}

void CharacterSet::add(u32 first, u32 last) {
    for (u32 c = first; c <= last && c < kAscii; ++c) ascii_[c / 64] |= u64{1} << c % 64;
    if (last >= kAscii) others_.push_back({first, last});
}

void CharacterSet::negate() { is_negated_ = !is_negated_; }

bool CharacterSet::has(u32 character) const {
    bool is_in = false;
    if (character < kAscii) {
        is_in = (ascii_[character / 64] >> character % 64 & 1) != 0;
    } else {
        is_in = std::ranges::any_of(
            others_, [&](const Range& range) { return character >= range.first && character <= range.last; });
    }
    return is_in != is_negated_;
}

bool ExpressionProgram::Places::add(u32 place) {
    const u32 where = where_[place];
    if (where < count_ && list_[where] == place) return false;
    where_[place] = static_cast<u32>(count_);
    list_[count_++] = place;
    return true;
}

ExpressionProgram::ExpressionProgram(std::vector<Instruction> code, std::vector<CharacterSet> sets)
    : code_(std::move(code)), sets_(std::move(sets)), seen_(code_.size()), next_(code_.size()) {
    now_.reserve(code_.size() + 1);
    todo_.reserve(2 * code_.size() + 1);
    kept_.places.reserve(code_.size());
    find_first_characters();
}

ExpressionProgram::Side ExpressionProgram::side_of(u32 character) {
    const bool is_word = (character >= '0' && character <= '9') || (character >= 'A' && character <= 'Z') ||
                         (character >= 'a' && character <= 'z') || character == '_';
    return is_word ? Side::Word : Side::Other;
}

bool ExpressionProgram::holds(Kind kind, Side before, Side after) {
    if (kind == Kind::LineStart) return before == Side::Edge;
    if (after == Side::Unknown) return false;
    if (kind == Kind::LineEnd) return after == Side::Edge;
    const bool is_behind_word = before == Side::Word;
    const bool is_before_word = after == Side::Word;
    switch (kind) {
        case Kind::WordEdge: return is_behind_word != is_before_word;
        case Kind::NoWordEdge: return is_behind_word == is_before_word;
        case Kind::WordStart: return !is_behind_word && is_before_word;
        case Kind::WordEnd: return is_behind_word && !is_before_word;
        default: return false;
    }
}

bool ExpressionProgram::accepts(const Instruction& instruction, u32 character) const {
    switch (instruction.kind) {
        case Kind::Character: return instruction.value == character;
        case Kind::Any: return true;
        case Kind::Set: return sets_[instruction.value].has(character);
        default: return false;
    }
}

bool ExpressionProgram::follow(Side before, Side after) {
    seen_.clear();
    std::swap(todo_, now_);
    while (!todo_.empty()) {
        const u32 place = todo_.back();
        todo_.pop_back();
        if (!seen_.add(place)) continue;
        const Instruction& instruction = code_[place];
        switch (instruction.kind) {
            case Kind::Match: return true;
            case Kind::Split: todo_.push_back(at(place, instruction.other)); [[fallthrough]];
            case Kind::Jump: todo_.push_back(at(place, instruction.offset)); break;
            case Kind::Character:
            case Kind::Any:
            case Kind::Set: break;
            default:
                if (holds(instruction.kind, before, after)) todo_.push_back(place + 1);
        }
    }
    return false;
}

void ExpressionProgram::find_first_characters() {
    // Whatever is asserted may hold somewhere.
    std::vector<Instruction> code = code_;
    for (Instruction& instruction : code)
        if (instruction.kind >= Kind::LineStart && instruction.kind != Kind::Match)
            instruction = {.kind = Kind::Jump, .value = 0, .offset = 1, .other = 0};
    std::swap(code, code_);
    now_.assign(1, 0);
    const bool may_be_empty = follow(Side::Other, Side::Other);
    for (u32 c = 0; c < kAscii; ++c) {
        may_begin_[c] = may_be_empty;
        for (std::size_t i = 0; i < seen_.size() && !may_begin_[c]; ++i)
            may_begin_[c] = accepts(code_[seen_[i]], c);
    }
    std::swap(code, code_);
    now_.clear();
    todo_.clear();
}

bool ExpressionProgram::may_be_empty() {
    bool may_be = false;
    for (const Side before : {Side::Word, Side::Other}) {
        for (const Side after : {Side::Word, Side::Other}) {
            now_.assign(1, 0);
            may_be |= follow(before, after);
            todo_.clear();
        }
    }
    now_.clear();
    return may_be;
}

bool ExpressionProgram::matches(std::string_view text, TextEnds ends, const std::function<bool()>& gives_up) {
    now_.clear();
    todo_.clear();
    Side before = Side::Edge;
    unsigned unasked = 0;
    if (!ends.is_line_start) {
        now_.assign(kept_.places.begin(), kept_.places.end());
        before = kept_.before;
    }
    while (!text.empty()) {
        const auto byte = static_cast<u8>(text[0]);
        u32 character = byte;
        if (byte < kAscii) {
            text.remove_prefix(1);
            if (now_.empty() && !may_begin_[byte]) {
                before = side_of(byte);
                continue;
            }
        } else {
            character = take_character(text);
        }
        if (gives_up && ++unasked % kCharactersUnasked == 0 && gives_up()) return false;
        const Side after = side_of(character);
        now_.push_back(0);  // a match may begin anywhere
        if (follow(before, after)) return true;
        next_.clear();
        for (std::size_t i = 0; i < seen_.size(); ++i)
            if (accepts(code_[seen_[i]], character)) (void)next_.add(seen_[i] + 1);
        now_.clear();
        for (std::size_t i = 0; i < next_.size(); ++i) now_.push_back(next_[i]);
        before = after;
    }
    if (!ends.is_line_end) kept_ = {.places = now_, .before = before};
    now_.push_back(0);
    return follow(before, ends.is_line_end ? Side::Edge : Side::Unknown);
}

}  // namespace mayfly
