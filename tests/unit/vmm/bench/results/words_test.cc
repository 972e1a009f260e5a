// SPDX-License-Identifier: Apache-2.0
// Command lines to words and back.
#include "vmm/bench/results/words.h"

#include <catch2/catch.hpp>

using namespace mayfly;

using Words = std::vector<std::string>;

TEST_CASE("words split at blanks and quotes hold them together", "[words]") {
    CHECK(split_command("a b  c\td").value() == Words{"a", "b", "c", "d"});
    CHECK(split_command("sh -c 'echo $x | cat'").value() == Words{"sh", "-c", "echo $x | cat"});
    CHECK(split_command(R"(a "b c" d\ e "f\"g" "h\i")").value() == Words{"a", "b c", "d e", "f\"g", "h\\i"});
    CHECK(split_command("a '' \"\"").value() == Words{"a", "", ""});
    CHECK(split_command("a'b'\"c\"").value() == Words{"abc"});
}

TEST_CASE("shell features are refused", "[words]") {
    for (const char* text : {"a | b", "a > b", "a $b", "a `b`", "a *", "a; b", "a &", "\"$a\"", "a #b"}) {
        const Result<Words> words = split_command(text);
        REQUIRE_FALSE(words);
        CHECK(words.error().message().find("needs a shell") != std::string::npos);
    }
}

TEST_CASE("an open quote and no word at all are refused", "[words]") {
    for (const char* text : {"a 'b", "a \"b", "", "   "}) CHECK_FALSE(split_command(text));
}

TEST_CASE("joined words split into the same words again", "[words]") {
    const Words words{"prog", "", "a b", "it's", "\"q\"", "$x", "--a=b,c", "back\\slash", "*?"};
    CHECK(split_command(join_command(words)).value() == words);
    CHECK(join_command(Words{"qemu", "-m", "128M", "a b"}) == "qemu -m 128M 'a b'");
}
