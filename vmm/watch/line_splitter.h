// SPDX-License-Identifier: Apache-2.0
// LineSplitter: cuts a console's bytes into lines, for portions of any size.
//
// LF ends a line, and so does CR, alone or any number of them before an LF; a CR at the beginning of a line
// is ignored. A line longer than kPieceMax is handed over in pieces, so that memory is bounded and no byte
// lost; no piece ends within a character of UTF-8. Thread: one at a time.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace mayfly {

class LineSplitter {
  public:
    static constexpr std::size_t kPieceMax = 4096;

    /// A line, or a part of one; valid during the call only.
    struct Piece {
        std::string_view text;  ///< without the line's end
        bool is_start = true;
        bool is_end = true;
    };

    /// Calls `each(Piece)` for every piece that `bytes` complete.
    template <typename Each>
    void take(std::string_view bytes, Each&& each);
    /// Hands over the unfinished line, if there is one, as if it had ended.
    template <typename Each>
    void finish(Each&& each);

    /// The last piece of the line that has not ended; empty between lines.
    [[nodiscard]] Piece unfinished() const {
        return {.text = gathered_, .is_start = !is_continued_, .is_end = false};
    }

  private:
    /// Where a full piece may end: before a character that is still incomplete.
    [[nodiscard]] std::size_t whole_characters() const;
    [[nodiscard]] bool is_inside() const { return !gathered_.empty() || is_continued_; }
    template <typename Each>
    void gather(std::string_view text, Each&& each);
    template <typename Each>
    void end_line(std::string_view rest, Each&& each);

    std::string gathered_;
    bool is_continued_ = false;  // a piece of this line was handed over already
    bool has_return_ = false;    // a CR came, whose meaning depends on the next byte
};

inline std::size_t LineSplitter::whole_characters() const {
    // After its first byte, which tells its length, a character has at most three more.
    for (std::size_t back = 1; back <= 3; ++back) {
        const auto byte = static_cast<unsigned char>(gathered_[gathered_.size() - back]);
        if ((byte & 0xc0) == 0x80) continue;
        const std::size_t length = byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
        return length > back ? gathered_.size() - back : gathered_.size();
    }
    return gathered_.size();
}

template <typename Each>
void LineSplitter::gather(std::string_view text, Each&& each) {
    while (gathered_.size() + text.size() > kPieceMax) {
        const std::size_t room = kPieceMax - gathered_.size();
        gathered_.append(text.substr(0, room));
        text.remove_prefix(room);
        const std::size_t whole = whole_characters();
        each(Piece{.text = std::string_view(gathered_).substr(0, whole),
                   .is_start = !is_continued_,
                   .is_end = false});
        gathered_.erase(0, whole);
        is_continued_ = true;
    }
    gathered_.append(text);
}

template <typename Each>
void LineSplitter::end_line(std::string_view rest, Each&& each) {
    if (is_inside() || rest.size() > kPieceMax) {
        gather(rest, each);
        rest = gathered_;
    }
    each(Piece{.text = rest, .is_start = !is_continued_, .is_end = true});
    gathered_.clear();
    is_continued_ = false;
}

template <typename Each>
void LineSplitter::take(std::string_view bytes, Each&& each) {
    constexpr std::size_t kNone = std::string_view::npos;
    std::size_t at = 0;
    std::size_t feed = 0;  // the first LF at or behind `at`, once looked for
    bool is_feed_known = false;
    while (at < bytes.size()) {
        if (has_return_) {
            if (bytes[at] == '\r') {
                ++at;
                continue;
            }
            has_return_ = false;
            if (bytes[at] == '\n') {
                end_line({}, each);
                ++at;
                continue;
            }
            if (is_inside()) end_line({}, each);
        }
        if (!is_feed_known || (feed != kNone && feed < at)) {
            feed = bytes.find('\n', at);
            is_feed_known = true;
        }
        const std::string_view text = bytes.substr(at, feed == kNone ? kNone : feed - at);
        const std::size_t length = text.find('\r');
        if (length == kNone && feed == kNone) return gather(text, each);
        if (length == kNone) {
            end_line(text, each);
            at = feed + 1;
        } else if (length + 1 == text.size() && feed != kNone) {
            end_line(text.substr(0, length), each);  // CR LF, without a copy
            at = feed + 1;
        } else {
            gather(text.substr(0, length), each);
            has_return_ = true;
            at += length + 1;
        }
    }
}

template <typename Each>
void LineSplitter::finish(Each&& each) {
    if (is_inside()) end_line({}, each);
    has_return_ = false;
}

}  // namespace mayfly
