// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/expression_parser.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

namespace mayfly {

namespace {

using Kind = Instruction::Kind;

constexpr std::size_t kDepthMax = 200;
constexpr u32 kRepeatsMax = 32767;  // RE_DUP_MAX of the C library's

constexpr std::string_view kTooLong = "write fewer or smaller repetitions {}";
constexpr std::string_view kNoQuantifier =
    "whether a line matches does not depend on greed: leave the second one out, or put the first into ( )";

struct ClassRange {
    std::string_view name;
    u8 first;
    u8 last;
};
/// POSIX.1-2017 7.3.1 "LC_CTYPE", of the POSIX locale.
constexpr std::array kClasses{
    ClassRange{"alnum", '0', '9'},  ClassRange{"alnum", 'A', 'Z'},   ClassRange{"alnum", 'a', 'z'},
    ClassRange{"alpha", 'A', 'Z'},  ClassRange{"alpha", 'a', 'z'},   ClassRange{"blank", '\t', '\t'},
    ClassRange{"blank", ' ', ' '},  ClassRange{"cntrl", 0, 0x1f},    ClassRange{"cntrl", 0x7f, 0x7f},
    ClassRange{"digit", '0', '9'},  ClassRange{"graph", 0x21, 0x7e}, ClassRange{"lower", 'a', 'z'},
    ClassRange{"print", ' ', 0x7e}, ClassRange{"punct", '!', '/'},   ClassRange{"punct", ':', '@'},
    ClassRange{"punct", '[', '`'},  ClassRange{"punct", '{', '~'},   ClassRange{"space", '\t', '\r'},
    ClassRange{"space", ' ', ' '},  ClassRange{"upper", 'A', 'Z'},   ClassRange{"xdigit", '0', '9'},
    ClassRange{"xdigit", 'A', 'F'}, ClassRange{"xdigit", 'a', 'f'},
};

/// An assertion about words, after a backslash.
bool is_edge(char letter) { return letter == 'b' || letter == 'B' || letter == '<' || letter == '>'; }

bool add_class(std::string_view name, CharacterSet& set) {
    bool is_known = false;
    for (const ClassRange& range : kClasses) {
        if (range.name != name) continue;
        set.add(range.first, range.last);
        is_known = true;
    }
    return is_known;
}

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The remedy for an escape of other languages.
std::string_view cure_of_escape(char letter) {
    switch (letter) {
        case 'd': return "write [0-9]";
        case 'D': return "write [^0-9]";
        case 'h': return "write [[:blank:]]";
        case 'H': return "write [^[:blank:]]";
        case 't': return "write [[:blank:]], or a tab itself";
        case 'n':
        case 'r':
        case 'R': return "lines are matched one by one, without their ends; $ is where one ends";
        case 'A':
        case '`': return "write ^";
        case 'z':
        case 'Z':
        case '\'': return "write $ for a line's end, ' for an apostrophe";
        case 'Q':
        case 'E': return "write a backslash before each special character";
        case 'v':
        case 'f': return "write [[:space:]]";
        case 'x':
        case 'u':
        case 'U':
        case 'N':
        case 'o': return "write the character itself";
        case 'p':
        case 'P': return "write the characters themselves, [a-zé]; [[:alpha:]] is ASCII's letters";
        default:
            return "a backslash makes a special character an ordinary one; of letters, \\w \\s \\b are known";
    }
}

class Parser {
  public:
    explicit Parser(std::string_view text) : rest_(text) {}

    std::variant<ExpressionProgram, ExpressionFault> run() {
        if (parse_alternatives() && !rest_.empty()) refuse("has a ) without its (", "\\) is a parenthesis");
        if (fault_) return std::move(*fault_);
        emit(Kind::Match);
        return ExpressionProgram(std::move(code_), std::move(sets_));
    }

  private:
    // Each of these returns false after an error.
    bool refuse(std::string what, std::string_view cure) {
        if (!fault_) fault_ = ExpressionFault{std::move(what), std::string(cure)};
        return false;
    }
    bool refuse_size() {
        return refuse(
            fmt::format("has more than {} characters once its repetitions are written out", kInstructionsMax),
            kTooLong);
    }
    bool emit(Kind kind, u32 value = 0, i32 offset = 0, i32 other = 0) {
        if (code_.size() >= kInstructionsMax) return refuse_size();
        code_.push_back({kind, value, offset, other});
        return true;
    }
    bool insert(std::size_t at, const Instruction& instruction) {
        if (code_.size() >= kInstructionsMax) return refuse_size();
        code_.insert(code_.begin() + static_cast<std::ptrdiff_t>(at), instruction);
        return true;
    }
    [[nodiscard]] i32 distance(std::size_t from, std::size_t to) const {
        return static_cast<i32>(to) - static_cast<i32>(from);
    }
    [[nodiscard]] char peek(std::size_t ahead = 0) const {
        return ahead < rest_.size() ? rest_[ahead] : '\0';
    }
    bool take(char c) {
        if (rest_.empty() || rest_[0] != c) return false;
        rest_.remove_prefix(1);
        return true;
    }

    bool parse_alternatives();
    bool parse_branch();
    bool parse_piece();
    enum class Atom : u8 { Refused, Repeatable, Unrepeatable };
    static Atom repeatable(bool is_parsed) { return is_parsed ? Atom::Repeatable : Atom::Refused; }
    static Atom unrepeatable(bool is_parsed) { return is_parsed ? Atom::Unrepeatable : Atom::Refused; }
    Atom parse_atom();
    bool parse_group();
    bool parse_edge();
    bool parse_escape();
    bool parse_character();
    bool parse_repetition(std::size_t start);
    bool parse_interval(std::size_t start);
    std::optional<u32> parse_number();
    bool repeat(std::size_t start, u32 least, std::optional<u32> most);
    bool parse_bracket();
    bool parse_bracket_item(CharacterSet& set);
    std::optional<u32> parse_bracket_end();
    std::optional<u32> parse_bracket_symbol();
    bool emit_set(CharacterSet set) {
        sets_.push_back(std::move(set));
        return emit(Kind::Set, static_cast<u32>(sets_.size() - 1));
    }

    std::string_view rest_;
    std::vector<Instruction> code_;
    std::vector<CharacterSet> sets_;
    std::size_t depth_ = 0;
    std::optional<ExpressionFault> fault_;
};

bool Parser::parse_alternatives() {
    std::vector<std::size_t> ends;
    for (;;) {
        const std::size_t start = code_.size();
        if (!parse_branch()) return false;
        if (!take('|')) break;
        if (!insert(start, {Kind::Split, 0, 1, distance(start, code_.size() + 2)})) return false;
        ends.push_back(code_.size());
        if (!emit(Kind::Jump)) return false;
    }
    for (const std::size_t end : ends) code_[end].offset = distance(end, code_.size());
    return true;
}

bool Parser::parse_branch() {
    while (!rest_.empty() && peek() != '|' && peek() != ')')
        if (!parse_piece()) return false;
    return true;
}

bool Parser::parse_piece() {
    const std::size_t start = code_.size();
    const Atom atom = parse_atom();
    if (atom == Atom::Refused) return false;
    if (atom == Atom::Repeatable) return parse_repetition(start);
    if (rest_.empty() || std::string_view("*+?{").find(peek()) == std::string::npos) return true;
    return refuse(fmt::format("has a {} after nothing that it could repeat", peek()),
                  "a backslash makes it an ordinary character");
}

Parser::Atom Parser::parse_atom() {
    switch (peek()) {
        case '(': return repeatable(parse_group());
        case '[': return repeatable(parse_bracket());
        case '\\': return is_edge(peek(1)) ? unrepeatable(parse_edge()) : repeatable(parse_escape());
        case '.': rest_.remove_prefix(1); return repeatable(emit(Kind::Any));
        case '^': rest_.remove_prefix(1); return unrepeatable(emit(Kind::LineStart));
        case '$': rest_.remove_prefix(1); return unrepeatable(emit(Kind::LineEnd));
        case '*':
        case '+':
        case '?':
        case '{': return Atom::Unrepeatable;
        default: return repeatable(parse_character());
    }
}

bool Parser::parse_group() {
    rest_.remove_prefix(1);
    if (peek() == '?' && rest_.size() > 1) {
        const char kind = peek(1);
        if (kind == ':') return refuse("has (?:, which POSIX expressions lack", "write ( )");
        if (kind == '=' || kind == '!' || (kind == '<' && (peek(2) == '=' || peek(2) == '!')))
            return refuse("has a look-around (?, which POSIX expressions lack", "use two expressions");
        if (kind == '<' || kind == 'P' || kind == '\'' || kind == '|' || kind == '>')
            return refuse("has a (? group, which POSIX expressions lack", "write ( )");
        return refuse("has flags (?, which POSIX expressions lack", "write both cases, [Oo]ops");
    }
    if (++depth_ > kDepthMax)
        return refuse(fmt::format("has parentheses more than {} deep", kDepthMax), "write fewer");
    if (!parse_alternatives()) return false;
    --depth_;
    return take(')') || refuse("is not a regular expression: Unmatched (", "\\( is a parenthesis");
}

bool Parser::parse_edge() {
    const char letter = rest_[1];
    rest_.remove_prefix(2);
    return emit(letter == 'b'   ? Kind::WordEdge
                : letter == 'B' ? Kind::NoWordEdge
                : letter == '<' ? Kind::WordStart
                                : Kind::WordEnd);
}

bool Parser::parse_escape() {
    rest_.remove_prefix(1);
    if (rest_.empty())
        return refuse("is not a regular expression: it ends in a backslash", "\\\\ is a backslash");
    const char letter = rest_[0];
    CharacterSet set;
    switch (letter) {
        case 'w':
        case 'W':
            (void)add_class("alnum", set);
            set.add('_', '_');
            break;
        case 's':
        case 'S': (void)add_class("space", set); break;
        default:
            if (letter >= '1' && letter <= '9')
                return refuse("has a back-reference",
                              "it would let a guest make matching take forever; write what it refers to");
            if (is_alphanumeric(letter) || letter == '`' || letter == '\'')
                return refuse(fmt::format("has \\{}, which POSIX expressions lack", letter),
                              cure_of_escape(letter));
            return parse_character();
    }
    if (letter == 'W' || letter == 'S') set.negate();
    rest_.remove_prefix(1);
    return emit_set(std::move(set));
}

bool Parser::parse_character() {
    const u32 character = take_character(rest_);
    if (character == '\n' || character == '\r')
        return refuse("has a line's end in it", "lines are matched one by one; give an expression for each");
    if (character == 0x1b)
        return refuse("has an escape character in it",
                      "escape sequences are removed before lines are matched");
    return emit(Kind::Character, character);
}

bool Parser::parse_repetition(std::size_t start) {
    const char kind = rest_.empty() ? '\0' : rest_[0];
    if (kind == '*' || kind == '+' || kind == '?') {
        rest_.remove_prefix(1);
        if (kind == '*' && !repeat(start, 0, std::nullopt)) return false;
        if (kind == '+' && !repeat(start, 1, std::nullopt)) return false;
        if (kind == '?' && !repeat(start, 0, 1)) return false;
    } else if (kind == '{') {
        if (!parse_interval(start)) return false;
    } else {
        return true;
    }
    const char second = rest_.empty() ? '\0' : rest_[0];
    if (second != '*' && second != '+' && second != '?' && second != '{') return true;
    return refuse(
        fmt::format("has a {} after a {}, which POSIX expressions lack", second, kind == '{' ? '}' : kind),
        kNoQuantifier);
}

std::optional<u32> Parser::parse_number() {
    if (!is_digit(peek())) return std::nullopt;
    u32 number = 0;
    for (; is_digit(peek()); rest_.remove_prefix(1))
        number = std::min<u32>(number * 10 + static_cast<u32>(rest_[0] - '0'), kRepeatsMax + 1);
    return number;
}

bool Parser::parse_interval(std::size_t start) {
    rest_.remove_prefix(1);
    const std::optional<u32> first = parse_number();
    const bool has_least = first.has_value();
    const u32 least = first.value_or(0);
    const std::optional<u32> most = take(',') ? parse_number() : least;
    if ((!has_least && !most) || (!has_least && most == 0U && peek(0) != '}') || !take('}') ||
        (most && *most < least) || (!has_least && most == least))
        return refuse("is not a regular expression: Invalid content of {}",
                      "{2}, {2,} and {2,5} are repetitions; \\{ is a brace");
    if (std::max(least, most.value_or(0)) > kRepeatsMax)
        return refuse(fmt::format("repeats more than {} times", kRepeatsMax), kTooLong);
    return repeat(start, least, most);
}

/// Repeats the code after `start`.
bool Parser::repeat(std::size_t start, u32 least, std::optional<u32> most) {
    const std::vector<Instruction> once(code_.begin() + static_cast<std::ptrdiff_t>(start), code_.end());
    const i32 length = static_cast<i32>(once.size());
    if (length == 0) return true;
    code_.resize(start);
    const u64 copies = std::max(least, most.value_or(1));
    if (start + copies * (once.size() + 1) > kInstructionsMax) return refuse_size();
    const auto put = [&] { code_.insert(code_.end(), once.begin(), once.end()); };
    for (u32 i = 0; i < least; ++i) put();
    if (!most && least > 0) return emit(Kind::Split, 0, -length, 1);
    if (!most) {
        if (!emit(Kind::Split, 0, 1, length + 2)) return false;
        put();
        return emit(Kind::Jump, 0, -(length + 1));
    }
    for (u32 i = least; i < *most; ++i) {
        if (!emit(Kind::Split, 0, 1, length + 1)) return false;
        put();
    }
    return true;
}

bool Parser::parse_bracket() {
    const std::string_view whole = rest_;
    rest_.remove_prefix(1);
    CharacterSet set;
    if (take('^')) set.negate();
    if (peek() == ':' && rest_.size() > 1) {
        const std::size_t end = rest_.find(']');
        if (end != std::string_view::npos && end > 1 && rest_[end - 1] == ':')
            return refuse(fmt::format("has {}, which is a set of these characters", whole.substr(0, end + 2)),
                          fmt::format("write [{}]", whole.substr(0, end + 2)));
    }
    for (bool is_first = true; is_first || peek() != ']'; is_first = false) {
        if (rest_.empty()) return refuse("is not a regular expression: Unmatched [", "\\[ is a bracket");
        if (!parse_bracket_item(set)) return false;
    }
    rest_.remove_prefix(1);
    return emit_set(std::move(set));
}

bool Parser::parse_bracket_item(CharacterSet& set) {
    if (peek() == '[' && peek(1) == ':') {
        const std::size_t end = rest_.find(":]", 2);
        if (end == std::string_view::npos || !add_class(rest_.substr(2, end - 2), set))
            return refuse(
                "is not a regular expression: Invalid character class name",
                "alnum, alpha, blank, cntrl, digit, graph, lower, print, punct, space, upper, xdigit");
        rest_.remove_prefix(end + 2);
        return true;
    }
    const bool is_hyphen = peek() == '-';
    const std::optional<u32> first = parse_bracket_end();
    if (!first) return false;
    if (peek() != '-' || peek(1) == ']' || rest_.size() < 2) {
        set.add(*first, *first);
        return true;
    }
    rest_.remove_prefix(1);
    if (peek() == '[' && peek(1) == ':')
        return refuse("is not a regular expression: Invalid range end", "a class cannot end a range");
    const std::optional<u32> last = parse_bracket_end();
    if (!last) return false;
    if (*last < *first || (is_hyphen && *last == *first))
        return refuse("is not a regular expression: Invalid range end",
                      "put a - first or last in its brackets");
    if (peek() == '-' && peek(1) != ']')
        return refuse("is not a regular expression: Invalid range end",
                      "put a - first or last in its brackets");
    set.add(*first, *last);
    return true;
}

std::optional<u32> Parser::parse_bracket_end() {
    if (peek() == '[' && (peek(1) == '.' || peek(1) == '=')) return parse_bracket_symbol();
    if (peek() == '\\') {
        if (peek(1) != '\\') {
            refuse("has a backslash in brackets, where it makes nothing special or ordinary",
                   is_alphanumeric(peek(1))
                       ? cure_of_escape(peek(1))
                       : "leave it out; ] goes first, [^]...], - last; [\\\\] is a backslash");
            return std::nullopt;
        }
        rest_.remove_prefix(1);
    }
    return take_character(rest_);
}

/// [.x.] and [=x=]: of the POSIX locale, each is the character itself.
std::optional<u32> Parser::parse_bracket_symbol() {
    const std::array<char, 2> closing{rest_[1], ']'};
    rest_.remove_prefix(2);
    const u32 character = rest_.empty() ? 0 : take_character(rest_);
    if (!rest_.starts_with(std::string_view(closing.data(), closing.size()))) {
        refuse("is not a regular expression: Invalid collation character", "write the character itself");
        return std::nullopt;
    }
    rest_.remove_prefix(closing.size());
    return character;
}

}  // namespace

std::variant<ExpressionProgram, ExpressionFault> parse_expression(std::string_view text) {
    return Parser(text).run();
}

}  // namespace mayfly
