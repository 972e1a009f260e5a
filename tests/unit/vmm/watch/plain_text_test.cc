// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/plain_text.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {
std::string stripped(std::string_view line) { return std::string(EscapeFilter().apply(line)); }
}  // namespace

TEST_CASE("colours, cursor movements, titles and character sets are taken out of a line") {
    CHECK(stripped("plain") == "plain");
    CHECK(stripped("[\x1b[0;32m  OK  \x1b[0m] Started") == "[  OK  ] Started");
    CHECK(stripped("\x1b[2J\x1b[1;1Hhome") == "home");
    CHECK(stripped("\x1b[?25lhidden\x1b[?25h") == "hidden");
    CHECK(stripped("\x1b]0;a title\x07name") == "name");
    CHECK(stripped("\x1b]0;a title\x1b\\name") == "name");
    CHECK(stripped("\x1bPdevice\x1b\\control") == "control");
    CHECK(stripped("\x1b(Bascii\x1b=keypad\x1b"
                   "7") == "asciikeypad");
}

TEST_CASE("an unterminated sequence does not swallow text") {
    CHECK(stripped("end\x1b") == "end");
    CHECK(stripped("end\x1b[") == "end");
    CHECK(stripped("end\x1b[31") == "end");
    CHECK(stripped("\x1b]0;panic") == "0;panic");
    CHECK(stripped("\x1b[\xff\x01text") == "\xff\x01text");
    CHECK(stripped("\x1b\x1b[1mbold") == "bold");
}

TEST_CASE("control strings that do not end, any number of them, take time in proportion to the text") {
    // Looking for the end of each would take some minutes.
    std::string line;
    for (int i = 0; i < 1 << 20; ++i) line += "\x1b]";
    CHECK(stripped(line).empty());
    CHECK(stripped("\x1b]a\x07\x1b]b\x1b\\c\x1b]d\x1b[me\x1b]f") == "cdef");
}

TEST_CASE("shown text is valid UTF-8 without control characters") {
    CHECK(shown("a\tb \xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9d") ==
          "a\tb \xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9d");
    const std::string bad = "\xef\xbf\xbd";
    CHECK(shown(std::string_view("a\0b", 3)) == "a" + bad + "b");
    CHECK(shown("\x01\x08\x0b\x7f\n\r") == bad + bad + bad + bad + bad + bad);
    CHECK(shown("\xff\xc3") == bad + bad);
    CHECK(shown("\xc0\xaf") == bad + bad);                      // overlong
    CHECK(shown("\xed\xa0\x80") == bad + bad + bad);            // a surrogate
    CHECK(shown("\xf4\x90\x80\x80") == bad + bad + bad + bad);  // above U+10FFFF
    CHECK(shown("\xef\xbf\xbe\xef\xbf\xbf") == bad + bad);      // noncharacters that XML forbids
    CHECK(shown("\xc2\x9b"
                "31m") == bad + "31m");  // a CSI of C1
    CHECK(shown("\x1b[31mred\x1b[m") == "red");
}

TEST_CASE("a user's text is visible on one line, in full") {
    CHECK(visible("a\nb\x1b[m \xc3\xa9") ==
          "a\xef\xbf\xbd"
          "b\xef\xbf\xbd[m \xc3\xa9");
}

TEST_CASE("XML's own characters are escaped") {
    CHECK(xml_escaped("a<b> & \"c\" 'd' ]]>") == "a&lt;b&gt; &amp; &quot;c&quot; 'd' ]]&gt;");
}
