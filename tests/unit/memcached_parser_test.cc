#include "protocol/memcached_parser.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/base64.h"

using namespace quartet;
using protocol::MemcachedLimits;
using protocol::MemcachedParser;
using Status = MemcachedParser::Status;

namespace {

/// What a whole input comes to, as text: each request as its words in brackets, `large` in front of one that is too large, errors
/// as they are, and `...` where a request is not finished.
std::string outcome(std::string_view input, const MemcachedLimits& limits = {}, size_t piece = std::string_view::npos) {
  MemcachedParser parser;
  std::string text, buffer;
  while (true) {
    std::vector<std::string_view> words;
    const Status status = parser.next(buffer, limits, words);
    const auto say = [&](std::string_view what) { text += (text.empty() ? "" : " ") + std::string(what); };
    switch (status) {
      case Status::Complete:
      case Status::TooLarge: {
        std::string request = status == Status::TooLarge ? "large[" : "[";
        for (size_t i = 0; i < words.size(); ++i) request += (i == 0 ? "" : "|") + std::string(words[i]);
        say(request + "]");
        break;
      }
      case Status::Refused: say(parser.error()); break;
      case Status::Empty: break;
      case Status::Error: say(parser.binary() ? "binary" : parser.http() ? "http" : parser.error()); return text;
      case Status::Incomplete:
        CHECK(words.empty());
        CHECK(parser.needed() > buffer.size());
        if (input.empty()) return buffer.empty() ? text : text + " ...";
        buffer += input.substr(0, piece);
        input.remove_prefix(std::min(piece, input.size()));
        continue;
    }
    if (status != Status::Complete) CHECK((status == Status::TooLarge || words.empty()));
    buffer.erase(0, parser.consumed());
  }
}

}  // namespace

TEST_CASE("requests of memcached's protocol mean the same however they are cut", "[memcached]") {
  const std::pair<std::string, std::string> cases[] = {
      {"get a\r\n", "[get|a]"},
      {"get a\n", "[get|a]"},
      {"  get   a  b \r\n", "[get|a|b]"},
      {"get a\tb\r\n", "[get|a\tb]"},
      {"get a\rb\r\n", "[get|a\rb]"},
      {"\r\n \n", "ERROR ERROR"},
      {"foo\r\nmn\r\n", "[foo] [mn]"},
      {"set k 0 0 5\r\nhello\r\nget k\r\n", "[set|k|0|0|5|hello] [get|k]"},
      {"set k 0 0 5 noreply\r\nhello\r\n", "[set|k|0|0|5|noreply|hello]"},
      {"add k 0 0 0\r\n\r\n", "[add|k|0|0|0|]"},
      {"set k 0 0 4\n\r\n\r\n\r\n", "[set|k|0|0|4|\r\n\r\n]"},
      {"cas k 0 0 2 7\r\nhi\r\n", "[cas|k|0|0|2|7|hi]"},
      {"cas k 0 0 2\r\nhi\r\n", "ERROR [hi]"},
      {"set k 0 0\r\nhi\r\n", "ERROR [hi]"},
      {"set k 0 0 2 a b\r\nhi\r\n", "ERROR [hi]"},
      {"set k x 0 2\r\nhi\r\n", "CLIENT_ERROR bad command line format [hi]"},
      {"set k 0 x 2\r\nhi\r\n", "CLIENT_ERROR bad command line format [hi]"},
      {"set k 0 0 -2\r\nhi\r\n", "CLIENT_ERROR bad command line format [hi]"},
      {"set k 0 0 2147483646\r\nhi\r\n", "CLIENT_ERROR bad command line format [hi]"},
      {"set k 0 0 x noreply\r\nhi\r\n", "[hi]"},
      {"set " + std::string(251, 'k') + " 0 0 2\r\nhi\r\n", "CLIENT_ERROR bad command line format [hi]"},
      {"set k 0 0 2\r\nhixx\r\n", "CLIENT_ERROR bad data chunk ERROR"},
      {"set k 0 0 2\r\nhiXYget k\r\n", "CLIENT_ERROR bad data chunk [get|k]"},
      {"set k 0 0 2 noreply\r\nhiXYget k\r\n", "[get|k]"},
      {"ms k 2 T5\r\nhi\r\nmn\r\n", "[ms|k|2|T5|hi] [mn]"},
      {"ms\r\nms k\r\nms k T5\r\n", "ERROR CLIENT_ERROR bad command line format CLIENT_ERROR bad command line format"},
      {"ms Zm9v 2 b\r\nhi\r\n", "[ms|foo|2|b|hi]"},
      {"mg Zm9v v b\r\nmg Zm9v v\r\n", "[mg|foo|v|b] [mg|Zm9v|v]"},
      {"mg Zm9 b\r\n", "[mg||b]"},
      {"ms k 3\r\nhi", " ..."},
      {"get k", " ..."},
  };
  for (const auto& [input, expected] : cases) {
    CAPTURE(input);
    for (const size_t piece : {std::string::npos, size_t{1}, size_t{2}, size_t{7}}) CHECK(outcome(input, {}, piece) == expected);
  }
}

TEST_CASE("data that are too large are passed over, and end where they end", "[memcached]") {
  const MemcachedLimits limits{.item_bytes = 10};
  const std::string large = "set k 0 0 11\r\n12345678901\r\nget k\r\n";
  for (const size_t piece : {std::string::npos, size_t{1}, size_t{5}}) {
    CHECK(outcome(large, limits, piece) == "large[set|k|0|0|11] [get|k]");
    CHECK(outcome("ms k 11 q\r\n12345678901\r\nmn\r\n", limits, piece) == "large[ms|k|11|q] [mn]");
    CHECK(outcome("set k 0 0 10\r\n1234567890\r\n", limits, piece) == "[set|k|0|0|10|1234567890]");
  }
  // A parser that begins anew passes them over anew.
  MemcachedParser parser;
  std::vector<std::string_view> words;
  REQUIRE(parser.next(large, limits, words) == Status::TooLarge);
  REQUIRE(parser.next(std::string_view(large).substr(parser.consumed(), 5), limits, words) == Status::Empty);
  parser.reset();
  words.clear();
  REQUIRE(parser.next(large, limits, words) == Status::TooLarge);
  CHECK(words.size() == 5);
}

TEST_CASE("lines have bounds, and a wider one where there are many keys", "[memcached]") {
  const MemcachedLimits limits{.line_bytes = 20, .keys_line_bytes = 40};
  for (const size_t piece : {std::string::npos, size_t{1}}) {
    CHECK(outcome(std::string(20, 'x') + "\n", limits, piece) == "[" + std::string(20, 'x') + "]");
    CHECK(outcome(std::string(21, 'x') + "\n", limits, piece) == "CLIENT_ERROR line too long");
    CHECK(outcome(std::string(21, 'x'), limits, piece) == "CLIENT_ERROR line too long");
    CHECK(outcome("get " + std::string(36, 'x') + "\n", limits, piece) == "[get|" + std::string(36, 'x') + "]");
    CHECK(outcome("gats " + std::string(36, 'x') + "\n", limits, piece) == "CLIENT_ERROR line too long");
    CHECK(outcome(std::string(41, ' '), limits, piece) == "CLIENT_ERROR line too long");
    CHECK(outcome(std::string(21, ' ') + "gats 1 a\n", limits, piece) == "CLIENT_ERROR line too long");
  }
}

TEST_CASE("a line that ends in the version of HTTP ends the connection", "[memcached]") {
  for (const char* line : {"POST / HTTP/1.1", "GET /a?b HTTP/1.0", "set / HTTP/1.1", "ms k HTTP/2", "x y z HTTP/1.1"}) {
    INFO(line);
    CHECK(outcome(std::string(line) + "\r\nset k 0 0 1\r\na\r\n") == "http");
  }
  for (const char* line : {"get HTTP/1.1", "get a HTTP/", "get a HTTP/1.x", "get a HTTP/1.1 b", "GET a http/1.1"}) {
    INFO(line);
    CHECK(outcome(std::string(line) + "\r\n") != "http");
  }
}

TEST_CASE("the binary protocol is told by the first byte", "[memcached]") {
  CHECK(outcome("\x80\x01") == "binary");
  CHECK(outcome("mn\r\n\x80\r\n") == "[mn] [\x80]");
}

TEST_CASE("numbers as memcached reads them", "[memcached]") {
  using protocol::parse_memcached_int;
  using protocol::parse_memcached_uint;
  for (const auto& [text, value] : std::initializer_list<std::pair<std::string_view, uint64_t>>{
           {"0", 0}, {"007", 7}, {"+5", 5}, {" 5", 5}, {"5 ", 5}, {"5\t6", 5}, {"-0", 0}, {"18446744073709551615", UINT64_MAX}, {{"5\0x", 3}, 5}})
    CHECK(parse_memcached_uint(text) == value);
  for (const auto* text : {"", " ", "+", "-", "-1", "x", "5x", "0x5", "1.5", "18446744073709551616", "99999999999999999999"})
    CHECK_FALSE(parse_memcached_uint(text));
  CHECK(parse_memcached_int("-9223372036854775808") == INT64_MIN);
  CHECK(parse_memcached_int("9223372036854775807") == INT64_MAX);
  CHECK(parse_memcached_int("-5") == -5);
  CHECK_FALSE(parse_memcached_int("9223372036854775808"));
  CHECK_FALSE(parse_memcached_int("-9223372036854775809"));
}

TEST_CASE("base64", "[base64]") {
  for (const auto& [bytes, text] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {{"\0\xff\x7f", 3}, "AP9/"}}) {
    CHECK(base64_encode(bytes) == text);
    CHECK(base64_decode(text) == bytes);
  }
  CHECK(base64_decode("Zh==") == "f");  // bits that are superfluous
  for (const auto* text : {"Z", "Zg", "Zg=", "Zm9", "====", "Zg===", "Z===", "=Zm9", "Zm=v", "Zg==Zg==", "Zm9-", "Zm 9"}) CHECK_FALSE(base64_decode(text));
}
