#include "server/command_syntax.h"

#include <catch2/catch.hpp>

using quartet::server::Command;
using quartet::server::KeySpec;
using quartet::server::SyntaxArgument;

namespace {

constexpr KeySpec kOneKey[] = {quartet::server::key_at(1, quartet::server::kKeyRO)};

/// A tree of arguments as a line: type:name, with the token before and the flags (o, m, t) behind.
std::string line(const std::vector<SyntaxArgument>& arguments) {
  std::string text;
  for (const SyntaxArgument& argument : arguments) {
    if (!text.empty()) text += ' ';
    if (!argument.token.empty()) text += std::string(argument.token) + "=";
    text += argument.type;
    if (argument.arguments.empty()) {
      text += ":" + argument.name;
    } else {
      text += "(" + line(argument.arguments) + ")";
    }
    if (argument.optional) text += "+o";
    if (argument.multiple) text += "+m";
    if (argument.multiple_token) text += "+t";
  }
  return text;
}

std::string parsed(std::string_view syntax, std::string_view name = "x") {
  Command command{};
  command.name = name;
  command.syntax = syntax;
  command.keys = kOneKey;
  return line(quartet::server::parse_syntax(command));
}

}  // namespace

TEST_CASE("syntax: words get their types from their names") {
  CHECK(parsed("key seconds value") == "key:key integer:seconds string:value");
  CHECK(parsed("key increment", "incrbyfloat") == "key:key double:increment");
  CHECK(parsed("") == "");
}

TEST_CASE("syntax: options, choices and tokens") {
  CHECK(parsed("[NX | XX] [EX seconds | KEEPTTL]") ==
        "oneof(NX=pure-token:nx XX=pure-token:xx)+o oneof(EX=integer:seconds KEEPTTL=pure-token:keepttl)+o");
  CHECK(parsed("[LIMIT offset count]") == "LIMIT=block(integer:offset integer:count)+o");
  CHECK(parsed("[AGGREGATE SUM | MIN]") == "AGGREGATE=oneof(SUM=pure-token:sum MIN=pure-token:min)+o");
  CHECK(parsed("<LEFT | RIGHT>") == "oneof(LEFT=pure-token:left RIGHT=pure-token:right)");
  CHECK(parsed("[start end [BYTE | BIT]]") ==
        "block(integer:start integer:end oneof(BYTE=pure-token:byte BIT=pure-token:bit)+o)+o");
}

TEST_CASE("syntax: repetition") {
  CHECK(parsed("key [key ...]") == "key:key+m");
  CHECK(parsed("[key [key ...]]") == "key:key+o+m");
  CHECK(parsed("field value [field value ...]") == "block(string:field string:value)+m");
  CHECK(parsed("[WEIGHTS weight [weight ...]]") == "WEIGHTS=integer:weight+o+m");
  CHECK(parsed("[GET pattern [GET pattern ...]]") == "GET=pattern:pattern+o+m+t");
  CHECK(parsed("[GET offset | SET value [GET offset | SET value ...]]") == "oneof(GET=integer:offset SET=string:value)+o+m");
}
