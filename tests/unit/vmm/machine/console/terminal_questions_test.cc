// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/terminal_questions.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

bool asks(TerminalQuestions& questions, std::string_view text) {
    return questions.take({reinterpret_cast<const u8*>(text.data()), text.size()});
}

bool asks(std::string_view text) {
    TerminalQuestions questions;
    return asks(questions, text);
}

}  // namespace

TEST_CASE("sequences that a terminal answers are questions") {
    for (const std::string_view text :
         {"\x1b[6n", "\x1b[5n", "\x1b[?6n", "\x1b[c", "\x1b[>c", "\x1b[=0c", "\x1bZ", "\x1b[18t", "\x1b[?1$p",
          "\x1b[?u", "\x1b]10;?\x07", "\x1b]4;1;?\x1b\\", "\x1bP$qm\x1b\\", "\x1bP+q544e\x1b\\"}) {
        CAPTURE(text.substr(1));
        CHECK(asks(text));
        CHECK(asks(std::string("login: ") + std::string(text) + "ok"));
        for (std::size_t cut = 1; cut < text.size(); ++cut) {
            TerminalQuestions questions;
            const bool at_first = asks(questions, text.substr(0, cut));
            CHECK((asks(questions, text.substr(cut)) || at_first));
        }
    }
}

TEST_CASE("text, colours and movements are not questions") {
    for (const std::string_view text :
         {"continue? [y/n] c n p t u x q Z", "\x1b[31mred\x1b[0m", "\x1b[2J\x1b[H", "\x1b[?25l",
          "\x1b[10;20H", "\x1b]0;title\x07 continue? quit", "\0337\0338", ""})
        CHECK_FALSE(asks(text));
}
