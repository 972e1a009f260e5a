// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/merge/json_reader.h"

#include <charconv>

namespace mayfly {

namespace {

/// Reports need six, and a few thousand.
constexpr u32 kDepthMax = 32;
constexpr u32 kValuesMax = 1 << 20;

constexpr std::string_view kBlank = " \t\n\r";

class JsonReader {
  public:
    JsonReader(std::string_view text, std::string_view unwanted) : text_(text), unwanted_(unwanted) {}

    JsonReading read() {
        JsonValue root;
        if (!value(&root, 0)) return {std::nullopt, at_};
        skip_blank();
        if (at_ != text_.size()) return {std::nullopt, at_};
        return {std::move(root), at_};
    }

  private:
    /// Each reads one thing, into `into` unless that is null. False: there is none at at_.
    bool value(JsonValue* into, u32 depth);
    bool members(JsonValue* into, u32 depth);
    bool elements(JsonValue* into, u32 depth);
    bool string(std::string& into);
    bool escape(std::string& into);
    bool code_unit(u32& unit);
    bool number(JsonValue* into);
    bool digits();
    bool word(std::string_view expected);

    void skip_blank() {
        while (at_ < text_.size() && kBlank.find(text_[at_]) != std::string_view::npos) ++at_;
    }
    [[nodiscard]] bool is_next(char c) const { return at_ < text_.size() && text_[at_] == c; }
    bool take(char c) {
        if (!is_next(c)) return false;
        ++at_;
        return true;
    }
    [[nodiscard]] static bool keep(JsonValue* into, JsonValue::Kind kind) {
        if (into != nullptr) into->kind = kind;
        return true;
    }

    const std::string_view text_;
    const std::string_view unwanted_;
    std::size_t at_ = 0;
    u32 values_ = 0;
};

bool JsonReader::value(JsonValue* into, u32 depth) {
    using Kind = JsonValue::Kind;
    skip_blank();
    if (at_ == text_.size() || depth == kDepthMax) return false;
    if (into != nullptr && ++values_ > kValuesMax) return false;
    switch (text_[at_]) {
        case '{': return keep(into, Kind::Object) && members(into, depth + 1);
        case '[': return keep(into, Kind::Array) && elements(into, depth + 1);
        case '"': {
            std::string text;
            if (!string(text)) return false;
            if (into != nullptr) into->text = std::move(text);
            return keep(into, Kind::Text);
        }
        case 'n': return word("null");
        case 't': return keep(into, Kind::Boolean) && word("true");
        case 'f': return keep(into, Kind::Boolean) && word("false");
        default: return number(into);
    }
}

bool JsonReader::members(JsonValue* into, u32 depth) {
    ++at_;
    skip_blank();
    if (take('}')) return true;
    do {
        skip_blank();
        std::string name;
        if (!string(name)) return false;
        skip_blank();
        if (!take(':')) return false;
        const bool is_kept = into != nullptr && (depth != 1 || name != unwanted_);
        if (is_kept) {
            into->names.push_back(std::move(name));
            into->items.emplace_back();
        }
        if (!value(is_kept ? &into->items.back() : nullptr, depth)) return false;
        skip_blank();
    } while (take(','));
    return take('}');
}

bool JsonReader::elements(JsonValue* into, u32 depth) {
    ++at_;
    skip_blank();
    if (take(']')) return true;
    do {
        if (into != nullptr) into->items.emplace_back();
        if (!value(into == nullptr ? nullptr : &into->items.back(), depth)) return false;
        skip_blank();
    } while (take(','));
    return take(']');
}

bool JsonReader::string(std::string& into) {
    if (!take('"')) return false;
    while (at_ < text_.size()) {
        const char c = text_[at_];
        if (static_cast<unsigned char>(c) < 0x20) return false;
        ++at_;
        if (c == '"') return true;
        if (c != '\\')
            into += c;
        else if (!escape(into))
            return false;
    }
    return false;
}

/// Behind the backslash.
bool JsonReader::escape(std::string& into) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (at_ == text_.size()) return false;
    if (const std::size_t letter = kLetters.find(text_[at_]); letter != std::string_view::npos) {
        ++at_;
        into += kMeanings[letter];
        return true;
    }
    u32 code = 0;
    if (!code_unit(code)) return false;
    // RFC 8259, 7 "Strings": beyond the basic plane by two, a surrogate pair.
    if (code >= 0xd800 && code < 0xdc00) {
        u32 low = 0;
        if (!take('\\') || !code_unit(low) || low < 0xdc00 || low >= 0xe000) return false;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return false;
    }
    const auto add = [&](u32 bits) { into += static_cast<char>(bits); };
    const auto add_rest = [&](u32 shift) { add(0x80 | (code >> shift & 0x3f)); };
    if (code < 0x80) {
        add(code);
    } else if (code < 0x800) {
        add(0xc0 | code >> 6);
        add_rest(0);
    } else if (code < 0x10000) {
        add(0xe0 | code >> 12);
        add_rest(6);
        add_rest(0);
    } else {
        add(0xf0 | code >> 18);
        add_rest(12);
        add_rest(6);
        add_rest(0);
    }
    return true;
}

/// "u" and four hexadecimal digits.
bool JsonReader::code_unit(u32& unit) {
    constexpr std::size_t kDigits = 4;
    if (!take('u')) return false;
    if (text_.size() - at_ < kDigits) {
        at_ = text_.size();
        return false;
    }
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, begin + kDigits, unit, 16);
    if (error != std::errc() || end != begin + kDigits) return false;
    at_ += kDigits;
    return true;
}

bool JsonReader::number(JsonValue* into) {
    const std::size_t begin = at_;
    (void)take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (is_next('e') || is_next('E')) {
        ++at_;
        if (!take('+')) (void)take('-');
        if (!digits()) return false;
    }
    if (into != nullptr) into->text = text_.substr(begin, at_ - begin);
    return keep(into, JsonValue::Kind::Number);
}

bool JsonReader::digits() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ != begin;
}

bool JsonReader::word(std::string_view expected) {
    for (const char c : expected) {
        if (!take(c)) return false;
    }
    return true;
}

}  // namespace

const JsonValue* JsonValue::find(std::string_view name) const {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == name) return &items[i];
    }
    return nullptr;
}

std::optional<u64> JsonValue::number() const {
    if (kind != Kind::Number) return std::nullopt;
    u64 number = 0;
    const char* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stopped != end) return std::nullopt;
    return number;
}

JsonReading read_json(std::string_view text, std::string_view unwanted) {
    return JsonReader(text, unwanted).read();
}

}  // namespace mayfly
