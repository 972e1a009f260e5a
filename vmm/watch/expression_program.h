// SPDX-License-Identifier: Apache-2.0
// ExpressionProgram: a regular expression as instructions for a machine that follows all paths at once.
//
// A character costs at most one step per instruction, and matching allocates nothing: so neither an
// expression nor a guest's text can make a match expensive. It tells only whether an expression matches, not
// where. Thread: one at a time.
#pragma once

#include <array>
#include <functional>
#include <string_view>
#include <vector>

#include "vmm/error/ints.h"

namespace mayfly {

/// A byte outside any UTF-8 character is a character of its own: this and the byte.
constexpr u32 kStrayByte = 0x110000;
/// Takes the first character off `text`.
[[nodiscard]] u32 take_character(std::string_view& text);

class CharacterSet {
  public:
    void add(u32 first, u32 last);
    void negate();
    [[nodiscard]] bool has(u32 character) const;

  private:
    struct Range {
        u32 first;
        u32 last;
    };
    std::array<u64, 2> ascii_{};
    std::vector<Range> others_;
    bool is_negated_ = false;
};

struct Instruction {
    enum class Kind : u8 {
        Character,  ///< value
        Any,
        Set,    ///< value: its index
        Split,  ///< continues at `offset` and at `other`
        Jump,   ///< continues at `offset`
        LineStart,
        LineEnd,
        WordEdge,
        NoWordEdge,
        WordStart,
        WordEnd,
        Match,
    };
    Kind kind = Kind::Match;
    u32 value = 0;
    i32 offset = 0;  ///< from this instruction, so that code can be copied
    i32 other = 0;
};

/// The place of a text in its line.
struct TextEnds {
    bool is_line_start = true;  ///< '^' may match; else the text continues the last one
    bool is_line_end = true;    ///< '$' may match; else another text may follow
};

class ExpressionProgram {
  public:
    ExpressionProgram(std::vector<Instruction> code, std::vector<CharacterSet> sets);

    /// `gives_up`, if given, is called every few hundred characters: if true, the match fails.
    [[nodiscard]] bool matches(std::string_view text, TextEnds ends,
                               const std::function<bool()>& gives_up = {});
    [[nodiscard]] std::size_t size() const { return code_.size(); }
    /// Whether an empty text may be a match that is neither at a line's start nor at its end.
    [[nodiscard]] bool may_be_empty();

  private:
    enum class Side : u8 { Edge, Word, Other, Unknown };
    /// A set of instructions.
    class Places {
      public:
        explicit Places(std::size_t size) : where_(size), list_(size) {}
        void clear() { count_ = 0; }
        bool add(u32 place);
        [[nodiscard]] std::size_t size() const { return count_; }
        [[nodiscard]] u32 operator[](std::size_t index) const { return list_[index]; }

      private:
        std::vector<u32> where_;
        std::vector<u32> list_;
        std::size_t count_ = 0;
    };
    /// In the middle of a line.
    struct State {
        std::vector<u32> places;  ///< where paths continue at the next character
        Side before = Side::Other;
    };

    static Side side_of(u32 character);
    [[nodiscard]] static bool holds(Instruction::Kind kind, Side before, Side after);
    [[nodiscard]] bool accepts(const Instruction& instruction, u32 character) const;
    /// Follows every path from `now_` to the point where it needs a character, given both neighbours.
    /// \returns whether one is a match.
    bool follow(Side before, Side after);
    void find_first_characters();

    std::vector<Instruction> code_;
    std::vector<CharacterSet> sets_;
    /// The ASCII characters that a match may begin with; all, where a match may be empty.
    std::array<bool, 0x80> may_begin_{};
    std::vector<u32> now_;   // where paths continue
    std::vector<u32> todo_;  // while they are followed
    Places seen_;
    Places next_;
    State kept_;
};

}  // namespace mayfly
