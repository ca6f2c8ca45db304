// The spec layer's own tests: above all that an expectation fails when it must.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#include "cursor.h"
#include "expectation.h"
#include "reply.h"
#include "spec_file.h"

using namespace quartet::test;

namespace {

Reply reply_of(std::string_view bytes) {
  ReplyReader reader;
  reader.feed(bytes);
  const auto reply = reader.next();
  REQUIRE(reply);
  REQUIRE(reader.pending().empty());
  return *reply;
}

bool fits(std::string_view expectation, std::string_view bytes) {
  Variables variables;
  return matches(parse_expectation(expectation), reply_of(bytes), variables);
}

}  // namespace

TEST_CASE("the reader takes replies that arrive byte by byte") {
  const std::string_view bytes = "*2\r\n$3\r\na\r\n\r\n%1\r\n+k\r\n,1.5\r\n:7\r\n";
  ReplyReader reader;
  std::vector<Reply> replies;
  for (char c : bytes) {
    reader.feed({&c, 1});
    while (auto reply = reader.next()) replies.push_back(*reply);
  }
  REQUIRE(replies.size() == 2);
  CHECK(to_text(replies[0]) == "[ \"a\\r\\n\" { +k ,1.5 } ]");
  CHECK(to_text(replies[1]) == ":7");
}

TEST_CASE("the reader refuses what is not RESP") {
  for (const char* bytes : {"$x\r\n", "$-2\r\n", "?\r\n", "\r\n", "$1\r\nabc\r\n", "%-1\r\n"}) {
    ReplyReader reader;
    reader.feed(bytes);
    CHECK_FALSE(reader.next());
    CHECK(reader.broken());
  }
}

TEST_CASE("every reply matches its own text and no other's") {
  const std::vector<std::string> replies = {
      "+OK\r\n", "-OK\r\n", "$2\r\nOK\r\n", "=6\r\ntxt:OK\r\n", ":1\r\n", ",1\r\n", "(1\r\n", "#t\r\n", "#f\r\n",
      "_\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "~0\r\n", ">0\r\n", "%0\r\n", "$0\r\n\r\n", "*1\r\n:1\r\n",
      "*1\r\n*1\r\n:1\r\n", "-ERR value is [not] {an} \"integer\"\r\n", std::string("$4\r\n\x00\xff\"\\\r\n", 10)};
  for (const auto& one : replies)
    for (const auto& other : replies) {
      INFO(expectation_text(reply_of(one)));
      CHECK(fits(expectation_text(reply_of(one)), other) == (one == other));
    }
}

TEST_CASE("patterns, ranges and kinds") {
  CHECK(fits("$/^a(b|c)$/", "$2\r\nac\r\n"));
  CHECK_FALSE(fits("$/^a(b|c)$/", "$2\r\nad\r\n"));
  CHECK_FALSE(fits("$/a/", "+a\r\n"));
  CHECK(fits("-/^ERR/", "-ERR no\r\n"));
  CHECK(fits("=txt/# Server/", "=12\r\ntxt:# Server\r\n"));
  CHECK(fits(":1..3", ":3\r\n"));
  CHECK_FALSE(fits(":1..3", ":4\r\n"));
  CHECK_FALSE(fits(":1..3", "$1\r\n2\r\n"));
  CHECK(fits(":any", ":-9\r\n"));
  CHECK_FALSE(fits(":any", ",9\r\n"));
  CHECK(fits(",0.5..1.5", ",1\r\n"));
}

TEST_CASE("order matters in arrays, not in sets, maps and unordered arrays") {
  CHECK_FALSE(fits("[ :1 :2 ]", "*2\r\n:2\r\n:1\r\n"));
  CHECK(fits("unordered [ :1 :2 ]", "*2\r\n:2\r\n:1\r\n"));
  CHECK_FALSE(fits("unordered [ :1 :1 ]", "*2\r\n:2\r\n:1\r\n"));
  CHECK(fits("~[ :1 :2 ]", "~2\r\n:2\r\n:1\r\n"));
  CHECK(fits("{ :1 :2 :3 :4 }", "%2\r\n:3\r\n:4\r\n:1\r\n:2\r\n"));
  CHECK_FALSE(fits("{ :1 :4 :3 :2 }", "%2\r\n:3\r\n:4\r\n:1\r\n:2\r\n"));
  CHECK(fits("pairs [ :1 :2 :3 :4 ]", "*4\r\n:3\r\n:4\r\n:1\r\n:2\r\n"));
  CHECK(fits("[ :1 ... ]", "*2\r\n:1\r\n:9\r\n"));
  CHECK_FALSE(fits("[ :1 ... ]", "*0\r\n"));
}

TEST_CASE("a variable is bound by the scalar in its place") {
  Variables variables;
  CHECK(matches(parse_expectation("[ :$id $name ]"), reply_of("*2\r\n:5\r\n$1\r\nx\r\n"), variables));
  CHECK(variables == Variables{{"id", "5"}, {"name", "x"}});
  CHECK_FALSE(matches(parse_expectation(":$id"), reply_of("$1\r\n5\r\n"), variables));
}

TEST_CASE("a file becomes cases and steps") {
  const SpecFile file = parse_spec("f", "# top\n== one\n> SET k \"a\\x00\"*2 {1..3} $id\n< +OK\nb>> 'x' \"\\r\\n\"\n"
                                   "b< [ :1\n  :2 ]\n@advance 20ms\n== two\n@differs why\n");
  REQUIRE(file.cases.size() == 2);
  const auto& steps = file.cases[0].steps;
  REQUIRE(steps.size() == 5);
  REQUIRE(steps[0].arguments.size() == 7);
  CHECK(steps[0].arguments[2].text == std::string("a\0a\0", 4));
  CHECK(steps[0].arguments[5].text == "3");
  CHECK(steps[0].arguments[6].is_variable);
  CHECK(steps[2].client == "b");
  CHECK(steps[2].bytes == "x\r\n");
  CHECK(steps[3].last_line == 7);
  CHECK(steps[4].time == std::chrono::milliseconds(20));
  CHECK(file.cases[1].audience == Case::Audience::reference_only);
}

TEST_CASE("a mistake in a file names its place") {
  for (const char* text :
       {"== a\nGET k\n", "> GET k\n", "== a\n@nonsense\n", "== a\n< what\n", "== a\n< [ :1\n", "== a\n> \"x\n"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_spec("f", text), SpecError);
    CHECK_THROWS_WITH(parse_spec("f", text), Catch::StartsWith("f:"));
  }
}
