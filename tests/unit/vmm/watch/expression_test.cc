// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/expression.h"

#include <algorithm>
#include <regex.h>
#include <string>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

bool matches(const std::string& expression, std::string_view line, TextEnds ends = {}) {
    Result<Expression> compiled = Expression::compile("--expect", expression);
    REQUIRE(compiled);
    return compiled->matches(line, ends);
}

std::string refusal(const std::string& expression) {
    const Result<Expression> compiled = Expression::compile("--expect", expression);
    REQUIRE_FALSE(compiled);
    CHECK(compiled.error().kind() == ErrorKind::Invalid);
    return compiled.error().message();
}

}  // namespace

TEST_CASE("expressions are POSIX extended ones, matched anywhere in a line") {
    CHECK(matches("login: $", "debian login: "));
    CHECK(matches("^(a|bc)+[[:digit:]]{2,3}$", "abca042"));
    CHECK_FALSE(matches("^(a|bc)+[[:digit:]]{2,3}$", "abca0421"));
    CHECK(matches("^$", ""));
    CHECK_FALSE(matches("x", ""));
}

TEST_CASE("a NUL or a byte that is not UTF-8 does not end or hide a line") {
    CHECK(matches("end$", std::string_view("a\0b end", 7)));
    CHECK(matches("^a[^b]b", std::string_view("a\0b end", 7)));
    CHECK(matches("a.b",
                  "a\xff"
                  "b"));
    CHECK(matches("caf\xc3\xa9", "a caf\xc3\xa9"));
}

TEST_CASE("a part of a line has a start or end only at the line's own") {
    CHECK_FALSE(matches("^abc", "abc", {.is_line_start = false, .is_line_end = true}));
    CHECK_FALSE(matches("abc$", "abc", {.is_line_start = true, .is_line_end = false}));
    CHECK(matches("abc", "abc", {.is_line_start = false, .is_line_end = false}));
}

TEST_CASE("an invalid expression is refused with the expression and the reason") {
    CHECK_THAT(refusal("(ab"), Catch::Contains("--expect '(ab' is not a regular expression: Unmatched ("));
    CHECK_THAT(refusal("[a"), Catch::Contains("--expect '[a' is not a regular expression"));
    CHECK_THAT(refusal("a{2,1}"), Catch::Contains("a{2,1}"));
    CHECK_THAT(refusal(""), Catch::Contains("--expect is empty"));
}

TEST_CASE(
    "an expression that matches an empty text in the middle of a line is refused, since it matches every "
    "line") {
    for (const char* expression : {"a*", "panic|", "|panic", "()", "(oops)?", "a{,3}", "a||b", "(a|b*)c?",
                                   "(^|x?)", "\\b", "\\<|$", "\\B", "(a{0,9}){0,9}", "^|a*", "(x*$)?"})
        CHECK_THAT(refusal(expression),
                   Catch::Contains(std::string("--expect '") + expression +
                                   "' matches an empty text: it would match every line"));
    for (const char* expression :
         {"^", "$", "^$", "^a*$", "^a*", "a*$", "^|x", "(^|b)*c", "a+", "a\\b", "(|a)b"})
        CHECK(Expression::compile("--expect", expression));
}

TEST_CASE("a refusal is one line whatever the expression has in it") {
    for (const char* expression : {"a\nb", "a\r", "\x1b[1m(", "\x01*", "[\n", "[:\n:]", "\xc2\x9b("}) {
        const std::string text = refusal(expression);
        INFO(text);
        for (const char c : text) CHECK((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
        CHECK(text.find("\xc2\x9b") == std::string::npos);
    }
}

TEST_CASE("a match checks often whether to give up, and then fails") {
    Result<Expression> compiled = Expression::compile("--expect", "(.?){1000}z");
    REQUIRE(compiled);
    const std::string text = std::string(1 << 12, 'a') + "z";
    int asked = 0;
    CHECK(compiled->matches(text, {}, [&] { return ++asked < 0; }));
    CHECK(asked >= 15);
    asked = 0;
    CHECK_FALSE(compiled->matches(text, {}, [&] { return ++asked == 2; }));
    CHECK(asked == 2);
    CHECK(compiled->matches("z", {}));
}

TEST_CASE("back-references are refused, and lookalikes are not") {
    for (const char* expression : {"(a*)*\\1", "(a)\\1", "(a)[b]\\1", "(a)[]\\\\]\\1", "(x)\\\\\\1"})
        CHECK_THAT(refusal(expression), Catch::Contains("has a back-reference"));
    CHECK(matches("(a)\\\\1", "a\\1"));
    CHECK(matches("^[\\\\1]+$", "\\1"));
    CHECK(matches("[^]1]x", "bx"));
    CHECK(matches("[[.-.]1]z", "1z"));
    CHECK(matches("[[=a=]b-]z", "-z"));
    CHECK(matches("\\.\\(\\/\\]\\}\\-", ".(/]}-"));
}

TEST_CASE("syntax of other languages is refused, with a replacement") {
    struct Row {
        const char* expression;
        const char* what;
        const char* cure;
    };
    for (const Row& row :
         {Row{"\\d+", "has \\d, which POSIX expressions lack", "write [0-9]"},
          Row{"x\\D", "has \\D,", "write [^0-9]"},
          Row{"a\\tb", "has \\t,", "[[:blank:]]"},
          Row{"a\\n", "has \\n,", "lines are matched one by one"},
          Row{"\\x41", "has \\x,", "the character itself"},
          Row{"\\Qa.b\\E", "has \\Q,", "a backslash before each"},
          Row{"\\p{L}", "has \\p,", "write the characters themselves, [a-zé]; [[:alpha:]] is ASCII's"},
          Row{"\\u00e9", "has \\u,", "the character itself"},
          Row{"\\Aa\\z", "has \\A,", "write ^"},
          Row{"a\\Z", "has \\Z,", "write $"},
          Row{"\\`a", "has \\`,", "write ^"},
          Row{"can\\'t", "has \\',", "' for an apostrophe"},
          Row{"\\hx", "has \\h,", "[[:blank:]]"},
          Row{"\\0", "has \\0,", "\\w \\s \\b"},
          Row{"\\e[31m", "has \\e,", "\\w \\s \\b"},
          Row{"(?:a|b)", "has (?:", "write ( )"},
          Row{"(?i)oops", "has flags (?", "[Oo]ops"},
          Row{"a(?=b)", "has a look-around", "two expressions"},
          Row{"a(?!b)", "has a look-around", "two expressions"},
          Row{"(?<=a)b", "has a look-around", "two expressions"},
          Row{"(?<name>b)", "has a (? group", "write ( )"},
          Row{"(?P<name>b)", "has a (? group", "write ( )"},
          Row{"(*UTF8)a", "has a * after nothing", "a backslash"},
          Row{"a.*?b", "has a ? after a *", "greed"},
          Row{"a+?", "has a ? after a +", "greed"},
          Row{"a++b", "has a + after a +", "greed"},
          Row{"a{2}?", "has a ? after a }", "greed"},
          Row{"a{2}{3}", "has a { after a }", "( )"},
          Row{"a**", "has a * after a *", "( )"},
          Row{"*a", "has a * after nothing", "a backslash"},
          Row{"a|+b", "has a + after nothing", "a backslash"},
          Row{"^*a", "has a * after nothing", "a backslash"},
          Row{"\\b+a", "has a + after nothing", "a backslash"},
          Row{"{\"ready\":1}", "has a { after nothing", "a backslash"},
          Row{"a{x}", "Invalid content of {}", "\\{ is a brace"},
          Row{"a{2,1}", "Invalid content of {}", "{2,5}"},
          Row{"a{", "Invalid content of {}", "\\{ is a brace"},
          Row{"[\\d]", "a backslash in brackets", "write [0-9]"},
          Row{"[\\w.]", "a backslash in brackets", "\\w \\s \\b"},
          Row{"[^\\]]", "a backslash in brackets", "] goes first"},
          Row{"[a\\-z]", "a backslash in brackets", "- last"},
          Row{"[:alpha:]", "has [:alpha:], which is a set of these characters", "[[:alpha:]]"},
          Row{"[[:letter:]]", "Invalid character class name", "xdigit"},
          Row{"[[.hyphen.]]", "Invalid collation character", "itself"},
          Row{"[z-a]", "Invalid range end", "first or last"},
          Row{"[a-c-e]", "Invalid range end", "first or last"},
          Row{"a\nb", "has a line's end in it", "for each"},
          Row{"\x1b[31m", "has an escape character", "escape sequences are removed"},
          Row{"a\\", "ends in a backslash", "is a backslash"}}) {
        INFO(row.expression);
        CHECK_THAT(refusal(row.expression), Catch::Contains(row.what));
        CHECK_THAT(refusal(row.expression), Catch::Contains(row.cure));
    }
}

TEST_CASE("the escapes of GNU tools are known") {
    CHECK(matches("^\\w+\\s\\W\\S$", "a_1\t-x"));
    CHECK_FALSE(matches("\\s", "a_1-x"));
    CHECK(matches("\\boops\\b", "an oops!"));
    CHECK_FALSE(matches("\\boops\\b", "an oopsy"));
    CHECK(matches("\\<oops\\>", "oops"));
    CHECK_FALSE(matches("\\>oops", "oops"));
    CHECK(matches("o\\Bops", "oops"));
    CHECK_FALSE(matches("\\Boops", "oops"));
    CHECK(matches("^a{,2}b$", "aab"));
    CHECK(matches("^a{0}b{2,}$", "bbb"));
    CHECK(matches("^(|a)b(|x)$", "ab"));
}

TEST_CASE("a character of UTF-8 is one, in and out of brackets, in any locale") {
    CHECK(matches("^caf.$", "caf\xc3\xa9"));
    CHECK(matches("^.{3}$", "\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9"));
    CHECK(matches("^[\xc3\xa9\xc3\xa8]$", "\xc3\xa8"));
    CHECK_FALSE(matches("[\xc3\xa9\xc3\xa8]", "\xc3\xa7 \xc3"));
    CHECK(matches("^[^\xc3\xa9]$", "\xe2\x82\xac"));
    CHECK_FALSE(matches("[^\xc3\xa9]", "\xc3\xa9"));
    CHECK(matches("^[\xc3\xa0-\xc3\xbc]+$", "\xc3\xa9\xc3\xb6"));
    CHECK(matches("^\xc3\xa9{2}$", "\xc3\xa9\xc3\xa9"));
    CHECK(matches("^\\\xc3\xa9$", "\xc3\xa9"));
}

TEST_CASE("a byte that is not UTF-8, or a NUL, is a character like others") {
    const std::string junk("\xff\xc3\0\xed\xa0\x80", 6);
    CHECK(matches("^a.{6}b$", "a" + junk + "b"));
    CHECK(matches("fatal", junk + "fatal" + junk));
    CHECK(matches("fatal.*error", "fatal" + junk + "error"));
    CHECK(matches("fatal[^x]*error", "fatal" + junk + "error"));
    CHECK(matches("\xe9t\xe9", "l'\xe9t\xe9 in Latin 1"));
    CHECK_FALSE(matches("\xe9", "\xc3\xa9"));
}

TEST_CASE("a parenthesis that closes nothing is refused, unless it is only a character") {
    CHECK_THAT(refusal("a)b"), Catch::Contains("has a ) without its ("));
    CHECK_THAT(refusal("(a))|(b"), Catch::Contains("(a))|(b"));
    CHECK(matches("a\\)b", "a)b"));
    CHECK(matches("a[)]b", "a)b"));
    CHECK(matches("(a|(b))c|d", "d"));
}

TEST_CASE("alternatives keep their anchors") {
    CHECK(matches("^one|two$", "one three"));
    CHECK(matches("^one|two$", "three two"));
    CHECK_FALSE(matches("^one|two$", "three one"));
    CHECK_FALSE(matches("^one|two$", "two three"));
    CHECK(matches("a|^$", ""));
}

TEST_CASE("long lines that nearly match take time in proportion to their length") {
    // Each would take a second or more if the expression were tried from each byte of the line anew.
    const std::string line(1 << 20, 'a');
    for (const char* expression : {"(a|aa)*b", "(a*)*b", "(a|a?)+b", "a.*b", "(a+a+)+b"})
        CHECK_FALSE(matches(expression, line));
}

TEST_CASE("an expression goes on matching after any amount of text") {
    Result<Expression> compiled = Expression::compile("--expect", "needle [0-9]+");
    REQUIRE(compiled);
    const std::string hay(4000, 'n');
    for (int i = 0; i < 100; ++i) {
        CHECK_FALSE(compiled->matches(hay, {}));
        CHECK(compiled->matches("needle 42", {}));
    }
}

TEST_CASE("no text makes a match expensive") {
    // The work for a text is at most its length times the expression's: far below a limit of some seconds,
    // which exponential or quadratic work would far exceed.
    const std::string same(1 << 14, 'a');
    std::string mixed;
    unsigned state = 1;
    for (int i = 0; i < 1 << 14; ++i) {
        state = state * 1664525 + 1013904223;
        mixed += (state >> 24 & 1) != 0 ? 'a' : 'b';
    }
    for (const char* expression :
         {"(a*)*c", "(a|aa)+$c", "(.*)*c", "(.*.*.*.*)*c", "((a*)*)*c", "(a|b)*a(a|b){19}c",
          "(a?){100}a{100}c", "(.*a){20}c", "(([ab]*)+)+[^ab]", "^(a+)+$c", "(^|b)*c$x"}) {
        CHECK_FALSE(matches(expression, same));
        CHECK_FALSE(matches(expression, mixed));
    }
}

TEST_CASE("an expression that is too large once it is written out is refused at once") {
    for (const char* expression :
         {"((a{1,255}){1,255}){1,255}", "a{20000}", "(a{0,300}){300}", "((((.{200}){9}){9}){9}){9}"})
        CHECK_THAT(refusal(expression), Catch::Contains("has more than 5000 characters once"));
    CHECK_THAT(refusal("a{99999999999}"), Catch::Contains("repeats more than 32767 times"));
    CHECK_THAT(refusal(std::string(60'000, '(')), Catch::Contains("more than 200 deep"));
    CHECK_THAT(refusal(std::string(60'000, 'x')), Catch::Contains("has more than 5000 characters"));
    CHECK(matches("x((((((((){32767}){32767}){32767}){32767}){32767}){32767}){32767}){32767}", "x"));
    CHECK(matches("^(a{1,40}){1,50}$", std::string(2000, 'a')));
}

TEST_CASE("a line that comes in pieces is matched as a whole") {
    const std::string line = "one \xc3\xa9 word-and more of them";
    for (const char* expression : {"^one.*them$", "\xc3\xa9 w", "\\bword\\b", "d.*o.*e", "[^a-z]and", "m$"}) {
        for (std::size_t cut = 1; cut < line.size(); ++cut) {
            if ((static_cast<unsigned char>(line[cut]) & 0xc0) == 0x80) continue;
            Result<Expression> compiled = Expression::compile("--expect", expression);
            REQUIRE(compiled);
            const bool in_first = compiled->matches(std::string_view(line).substr(0, cut),
                                                    {.is_line_start = true, .is_line_end = false});
            // A test of the unfinished line changes nothing.
            (void)compiled->matches("xx", {.is_line_start = false, .is_line_end = true});
            INFO(expression << " cut at " << cut);
            CHECK((in_first || compiled->matches(std::string_view(line).substr(cut),
                                                 {.is_line_start = false, .is_line_end = true})));
        }
    }
    Result<Expression> compiled = Expression::compile("--expect", "^two|one two");
    REQUIRE(compiled);
    CHECK_FALSE(compiled->matches("one ", {.is_line_start = true, .is_line_end = false}));
    CHECK_FALSE(compiled->matches("three", {.is_line_start = false, .is_line_end = true}));
    CHECK_FALSE(compiled->matches("one", {}));
    CHECK(compiled->matches("two", {}));
}

TEST_CASE("the C library agrees on every expression that both accept") {
    constexpr std::string_view kPieces[] = {
        "a",     "b",    ".", "[ab]", "[^a]",         "(",   ")",   "|",   "*",   "+",   "?", "{2}",
        "{0,2}", "{1,}", "^", "$",    "[[:alpha:]-]", "\\b", "\\<", "\\>", "\\w", "\\W", "-", "c"};
    unsigned state = 7;
    const auto next = [&](unsigned below) {
        state = state * 1664525 + 1013904223;
        return (state >> 16) % below;
    };
    int compared = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::string text;
        for (unsigned i = next(9) + 1; i > 0; --i) text += kPieces[next(std::size(kPieces))];
        Result<Expression> ours = Expression::compile("--expect", text);
        if (!ours) continue;
        regex_t theirs{};
        INFO(text);
        REQUIRE(::regcomp(&theirs, text.c_str(), REG_EXTENDED | REG_NOSUB) == 0);
        for (int line = 0; line < 8; ++line) {
            std::string words;
            for (unsigned i = next(7); i > 0; --i) words += "abc-"[next(4)];
            INFO(words);
            CHECK(ours->matches(words, {}) == (::regexec(&theirs, words.c_str(), 0, nullptr, 0) == 0));
        }
        ::regfree(&theirs);
        ++compared;
    }
    CHECK(compared > 2000);
}
