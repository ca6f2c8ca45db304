// The protocol layer: output buffer, replies and request parser. Expected bytes and error texts are those that
// redis-server 7.0.15 sends.

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "base/random.h"
#include "output_fixture.h"
#include "protocol/output_buffer.h"
#include "protocol/reply.h"
#include "protocol/request_parser.h"
#include "random_history.h"

namespace {

using namespace std::literals;
using quartet::Random;
using quartet::SharedBytes;
using quartet::protocol::BlockPool;
using quartet::protocol::OutputBuffer;
using quartet::protocol::ParserLimits;
using quartet::protocol::Reply;
using quartet::protocol::RequestParser;
using quartet::protocol::split_arguments;
using quartet::test::gathered;
using Status = RequestParser::Status;
using Words = std::vector<std::string>;

std::string random_text(Random& random, size_t length) {
  std::string text(length, 0);
  for (char& c : text) c = static_cast<char>('a' + random.below(26));
  return text;
}

/// A length that is mostly small and now and then spans blocks.
size_t random_length(Random& random) {
  switch (random.below(8)) {
    case 0: return 0;
    case 1: return random.below(3 * BlockPool::kBlockBytes);
    case 2: return random.below(2000);
    default: return random.below(40);
  }
}

template <class Write>
std::string written(int version, Write write) {
  BlockPool pool;
  OutputBuffer out(pool);
  Reply reply(out, version);
  write(reply);
  return out.to_string();
}

struct Outcome {
  std::vector<Words> requests;  // an empty one stands for Status::Empty
  std::string error;
  size_t left = 0;
  bool operator==(const Outcome&) const = default;
};

/// Parses a stream of which ends[i] bytes have arrived at the i-th call, as a connection does.
Outcome parse(std::string_view stream, const std::vector<size_t>& ends, const ParserLimits& limits = {}) {
  // A copy of exact size lets the sanitizer see a read beyond the end; of a long stream it would cost too much.
  const bool exact = stream.size() < 2000;
  Outcome outcome;
  RequestParser parser;
  std::vector<std::string_view> arguments;
  size_t begin = 0;
  for (const size_t end : ends) {
    while (true) {
      std::string_view input = stream.substr(begin, end - begin);
      std::vector<char> copy;
      if (exact) {
        copy.assign(input.begin(), input.end());
        input = {copy.data(), copy.size()};
      }
      arguments.assign(1, "untouched");
      const Status status = parser.next(input, limits, arguments);
      const bool appended = arguments.size() != 1;
      if (arguments.at(0) != "untouched" || appended != (status == Status::Complete))
        FAIL("arguments after " << static_cast<int>(status));
      if (status == Status::Error) {
        outcome.error = parser.error();
        return outcome;
      }
      if (status == Status::Incomplete) {
        if (parser.needed() <= input.size()) FAIL("needed() " << parser.needed() << " of " << input.size());
        break;
      }
      outcome.requests.emplace_back(arguments.begin() + 1, arguments.end());
      begin += parser.consumed();
    }
  }
  outcome.left = ends.back() - begin;
  return outcome;
}

Outcome parse_whole(std::string_view stream, const ParserLimits& limits = {}) {
  return parse(stream, {stream.size()}, limits);
}

Outcome parse_bytewise(std::string_view stream, const ParserLimits& limits = {}) {
  std::vector<size_t> ends;
  for (size_t end = 1; end <= stream.size(); ++end) ends.push_back(end);
  return parse(stream, ends, limits);
}

/// The error that a stream ends in, the same whole and byte by byte; empty where there is none.
std::string error_of(std::string_view stream, const ParserLimits& limits = {}) {
  const Outcome whole = parse_whole(stream, limits);
  CHECK(parse_bytewise(stream, limits) == whole);
  return whole.error;
}

std::string encode(const Words& words) {
  std::string text = "*"s + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) text += "$"s + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return text;
}

ParserLimits unauthenticated() {
  ParserLimits limits;
  limits.authenticated = false;
  return limits;
}

}  // namespace

TEST_CASE("output buffer: appending across blocks keeps the order", "[protocol]") {
  BlockPool pool;
  OutputBuffer buffer(pool);
  CHECK(buffer.empty());
  CHECK(gathered(buffer).empty());
  buffer.append({});
  CHECK(buffer.memory() == 0);

  std::string expected;
  for (size_t i = 0; i < 100; ++i) {
    const std::string piece(i * 37, static_cast<char>('a' + i % 26));
    buffer.append(piece);
    expected += piece;
  }
  const std::string longer(3 * BlockPool::kBlockBytes + 5, 'L');
  buffer.append(longer);
  expected += longer;
  char* room = buffer.reserve(BlockPool::kBlockBytes);
  std::fill_n(room, BlockPool::kBlockBytes, 'r');
  buffer.commit(100);
  expected.append(100, 'r');

  CHECK(buffer.size() == expected.size());
  CHECK(buffer.to_string() == expected);
  CHECK(gathered(buffer) == expected);
  CHECK(buffer.memory() >= expected.size());
  iovec one;
  REQUIRE(buffer.gather(&one, 1) == 1);
  CHECK(expected.substr(0, one.iov_len) == std::string(static_cast<char*>(one.iov_base), one.iov_len));

  buffer.clear();
  CHECK(buffer.empty());
  CHECK(gathered(buffer).empty());
}

TEST_CASE("output buffer: a long value is referred to and a short one copied", "[protocol]") {
  BlockPool pool;
  OutputBuffer buffer(pool);
  const SharedBytes shorter = SharedBytes::copy_of(std::string(OutputBuffer::kReferenceBytes - 1, 's'));
  const SharedBytes longer = SharedBytes::copy_of(std::string(OutputBuffer::kReferenceBytes, 'l'));
  buffer.append_shared(shorter);
  CHECK(shorter.unique());
  buffer.append_shared(longer);
  CHECK_FALSE(longer.unique());
  const size_t memory = buffer.memory();
  buffer.append("tail");
  // What the block had left is used behind the reference.
  CHECK(buffer.memory() == memory);

  std::vector<iovec> vectors(8);
  REQUIRE(buffer.gather(vectors.data(), 8) == 3);
  CHECK(vectors[1].iov_base == longer.data());
  CHECK(buffer.to_string() == std::string(shorter.view()) + std::string(longer.view()) + "tail");

  buffer.consume(shorter.size() + longer.size() - 1);
  CHECK_FALSE(longer.unique());
  buffer.consume(1);
  CHECK(longer.unique());
  CHECK(buffer.to_string() == "tail");

  buffer.append_shared(longer);
  buffer.clear();
  CHECK(longer.unique());
}

TEST_CASE("output buffer: deferred places are filled in any order", "[protocol]") {
  BlockPool pool;
  OutputBuffer buffer(pool);
  const auto behind = GENERATE(as<size_t>{}, 0, 5, 1024, 1025, 20000);
  buffer.append("head ");
  const auto outer = buffer.defer();
  buffer.append("a");
  const auto inner = buffer.defer();
  const auto empty = buffer.defer();
  buffer.append(std::string(behind, 'b'));
  CHECK(buffer.to_string() == "head a" + std::string(behind, 'b'));
  SECTION("inside out") {
    buffer.fill(empty, "");
    buffer.fill(inner, "<inner>");
    buffer.fill(outer, std::string(OutputBuffer::kDeferredBytes, 'o'));
  }
  SECTION("outside in") {
    buffer.fill(outer, std::string(OutputBuffer::kDeferredBytes, 'o'));
    buffer.fill(inner, "<inner>");
    buffer.fill(empty, "");
  }
  buffer.append(" foot");
  const std::string expected = "head "s + std::string(OutputBuffer::kDeferredBytes, 'o') + "a<inner>" +
                               std::string(behind, 'b') + " foot";
  CHECK(buffer.size() == expected.size());
  CHECK(buffer.to_string() == expected);
  CHECK(gathered(buffer) == expected);
}

TEST_CASE("output buffer: a short deferred reply goes out as one piece", "[protocol]") {
  BlockPool pool;
  OutputBuffer buffer(pool);
  for (int i = 0; i < 20; ++i) {
    const auto place = buffer.defer();
    buffer.append("items");
    buffer.fill(place, "*1\r\n");
  }
  std::vector<iovec> vectors(8);
  CHECK(buffer.gather(vectors.data(), 8) == 1);
}

TEST_CASE("output buffer: truncation keeps an open place at its edge", "[protocol]") {
  BlockPool pool;
  OutputBuffer buffer(pool);
  const SharedBytes value = SharedBytes::copy_of(std::string(20000, 'v'));
  buffer.append("head ");
  const auto place = buffer.defer();
  const size_t mark = buffer.size();
  SECTION("nothing") {}
  SECTION("a run") { buffer.append("forgotten"); }
  SECTION("runs and references") {
    buffer.append("forgotten");
    buffer.append_shared(value);
    buffer.append_shared(value);
    buffer.append(std::string(50000, 'f'));
  }
  SECTION("a reference alone") { buffer.append_shared(value); }
  buffer.truncate(mark);
  CHECK(value.unique());
  CHECK(buffer.to_string() == "head ");
  buffer.append("kept");
  buffer.fill(place, "0123456789012345678901234567890!");
  buffer.append(" foot");
  CHECK(buffer.to_string() == "head 0123456789012345678901234567890!kept foot");
}

TEST_CASE("output buffer: truncation within a reference", "[protocol]") {
  BlockPool pool;
  OutputBuffer buffer(pool);
  const SharedBytes value = SharedBytes::copy_of(std::string(20000, 'v'));
  buffer.append("a");
  buffer.append_shared(value);
  buffer.append("b");
  buffer.truncate(11);
  buffer.append("c");
  CHECK(buffer.to_string() == "a"s + std::string(10, 'v') + "c");
  buffer.truncate(0);
  CHECK(buffer.empty());
  CHECK(value.unique());
}

TEST_CASE("parser: what an unfinished request took is given back", "[protocol]") {
  RequestParser parser;
  std::vector<std::string_view> arguments;
  std::string request = "*10000\r\n";
  for (int i = 0; i < 9999; ++i) request += "$1\r\na\r\n";
  REQUIRE(parser.next(request, {}, arguments) == RequestParser::Status::Incomplete);
  CHECK(parser.memory() >= 9999 * 2 * sizeof(size_t));
  request += "$1\r\na\r\n";
  REQUIRE(parser.next(request, {}, arguments) == RequestParser::Status::Complete);
  CHECK(arguments.size() == 10000);
  CHECK(parser.memory() <= 1024);
  request = "ECHO \"" + std::string(10000, 'a') + "\"\r\n";
  arguments.clear();
  REQUIRE(parser.next(request, {}, arguments) == RequestParser::Status::Complete);
  CHECK(parser.memory() > 10000);
  arguments.clear();
  REQUIRE(parser.next("PING\r\n", {}, arguments) == RequestParser::Status::Complete);
  CHECK(parser.memory() < 10000);
}

TEST_CASE("output buffer: what many segments took is given back", "[protocol]") {
  BlockPool pool;
  OutputBuffer buffer(pool);
  const SharedBytes value = SharedBytes::copy_of(std::string(20000, 'v'));
  for (int i = 0; i < 1000; ++i) {
    buffer.append("a");
    buffer.append_shared(value);
  }
  buffer.clear();
  CHECK(buffer.memory() < 2 * BlockPool::kBlockBytes);
}

TEST_CASE("output buffer: random operations against a string", "[protocol]") {
  const uint64_t seed = quartet::test::history_seed();
  INFO("seed " << seed);
  Random random(seed);
  BlockPool pool;
  OutputBuffer buffer(pool);
  std::string model;
  const SharedBytes values[] = {SharedBytes::copy_of(random_text(random, 100)),
                                SharedBytes::copy_of(random_text(random, OutputBuffer::kReferenceBytes)),
                                SharedBytes::copy_of(random_text(random, 40000))};
  const auto append = [&] {
    if (random.below(4) == 0) {
      const SharedBytes& value = values[random.below(std::size(values))];
      buffer.append_shared(value);
      model += value.view();
    } else {
      const std::string piece = random_text(random, random_length(random));
      buffer.append(piece);
      model += piece;
    }
  };
  for (int step = 0; step < 4000; ++step) {
    switch (random.below(8)) {
      case 0: {
        const size_t n = random.below(8) == 0 ? model.size() : random.below(std::min<size_t>(model.size(), 60000) + 1);
        buffer.consume(n);
        model.erase(0, n);
        break;
      }
      case 1: {
        const size_t n = model.size() - random.below(std::min<size_t>(model.size(), 30000) + 1);
        buffer.truncate(n);
        model.resize(n);
        break;
      }
      case 2: {
        // Places opened one inside the other, filled inside out or outside in.
        struct Place {
          OutputBuffer::Place place;
          size_t at;
          std::string text;
        };
        std::vector<Place> places;
        for (size_t i = 0, count = 1 + random.below(3); i < count; ++i) {
          if (random.below(3)) append();
          places.push_back({buffer.defer(), model.size(), random_text(random, random.below(33))});
          if (random.below(3)) append();
          if (random.below(4) == 0) {
            const size_t kept = places.back().at + random.below(model.size() - places.back().at + 1);
            buffer.truncate(kept);
            model.resize(kept);
          }
        }
        if (random.below(2)) std::reverse(places.begin(), places.end());
        for (const Place& place : places) buffer.fill(place.place, place.text);
        std::sort(places.begin(), places.end(), [](const auto& a, const auto& b) { return a.place > b.place; });
        for (const Place& place : places) model.insert(place.at, place.text);
        break;
      }
      case 3: {
        OutputBuffer other(pool);
        for (size_t i = random.below(5); i > 0; --i) {
          const OutputBuffer::Place place = other.defer();
          const std::string piece = random_text(random, random_length(random)), head = random_text(random, random.below(33));
          other.append(piece);
          if (random.below(3) == 0) other.append_shared(values[2]);
          other.fill(place, head);
        }
        model += other.to_string();
        buffer.take(other);
        REQUIRE(other.empty());
        REQUIRE(other.memory() < BlockPool::kBlockBytes);
        break;
      }
      default: append();
    }
    REQUIRE(buffer.size() == model.size());
    REQUIRE(buffer.memory() >= model.size());
    if (step % 8 == 0) {
      REQUIRE(buffer.to_string() == model);
      REQUIRE(model.starts_with(gathered(buffer, 3)));
      REQUIRE(gathered(buffer, 10000) == model);
    }
  }
  buffer.clear();
  for (const SharedBytes& value : values) CHECK(value.unique());
}

TEST_CASE("reply: what both versions write alike", "[protocol]") {
  const int version = GENERATE(2, 3);
  const auto reply = [&](auto write) { return written(version, write); };
  CHECK(reply([](Reply& r) { r.ok(); }) == "+OK\r\n");
  CHECK(reply([](Reply& r) { r.simple("PONG"); }) == "+PONG\r\n");
  CHECK(reply([](Reply& r) { r.bulk("Hello World"); }) == "$11\r\nHello World\r\n");
  CHECK(reply([](Reply& r) { r.bulk(""sv); }) == "$0\r\n\r\n");
  CHECK(reply([](Reply& r) { r.bulk(std::string_view()); }) == "$0\r\n\r\n");
  CHECK(reply([](Reply& r) { r.bulk("a\0\r\nb"sv); }) == "$5\r\na\0\r\nb\r\n"s);
  CHECK(reply([](Reply& r) { r.bulk_integer(-120); }) == "$4\r\n-120\r\n");
  CHECK(reply([](Reply& r) { r.array(0); }) == "*0\r\n");
  CHECK(reply([](Reply& r) { r.array(1048576); }) == "*1048576\r\n");
  CHECK(reply([](Reply& r) { r.raw("*-1\r\n"); }) == "*-1\r\n");
  for (const int64_t value : {int64_t{0}, int64_t{9}, int64_t{10}, int64_t{99}, int64_t{100}, int64_t{-1}, int64_t{12345},
                              std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}) {
    CHECK(reply([&](Reply& r) { r.integer(value); }) == ":"s + std::to_string(value) + "\r\n");
  }
  for (const size_t length : {1023, 1024, 1025, 8191, 8192, 16384, 100000}) {
    const std::string text(length, 'x');
    const std::string expected = "$"s + std::to_string(length) + "\r\n" + text + "\r\n";
    CHECK(reply([&](Reply& r) { r.bulk(text); }) == expected);
    CHECK(reply([&](Reply& r) { r.bulk(SharedBytes::copy_of(text)); }) == expected);
  }
}

TEST_CASE("reply: types that RESP2 lacks", "[protocol]") {
  struct Row {
    void (*write)(Reply&);
    std::string resp2, resp3;
  };
  const Row rows[] = {
      {[](Reply& r) { r.null(); }, "$-1\r\n", "_\r\n"},
      {[](Reply& r) { r.null_array(); }, "*-1\r\n", "_\r\n"},
      {[](Reply& r) { r.boolean(true); }, ":1\r\n", "#t\r\n"},
      {[](Reply& r) { r.boolean(false); }, ":0\r\n", "#f\r\n"},
      {[](Reply& r) { r.number(3.141); }, "$5\r\n3.141\r\n", ",3.141\r\n"},
      {[](Reply& r) { r.number(3); }, "$1\r\n3\r\n", ",3\r\n"},
      {[](Reply& r) { r.number(0.1); }, "$19\r\n0.10000000000000001\r\n", ",0.10000000000000001\r\n"},
      {[](Reply& r) { r.number(1e17); }, "$5\r\n1e+17\r\n", ",1e+17\r\n"},
      {[](Reply& r) { r.number(std::numeric_limits<double>::infinity()); }, "$3\r\ninf\r\n", ",inf\r\n"},
      {[](Reply& r) { r.number(-std::numeric_limits<double>::infinity()); }, "$4\r\n-inf\r\n", ",-inf\r\n"},
      {[](Reply& r) { r.big_number("1234567999999999999999999999999999999"); },
       "$37\r\n1234567999999999999999999999999999999\r\n", "(1234567999999999999999999999999999999\r\n"},
      {[](Reply& r) { r.verbatim("This is a verbatim\nstring"); }, "$25\r\nThis is a verbatim\nstring\r\n",
       "=29\r\ntxt:This is a verbatim\nstring\r\n"},
      {[](Reply& r) { r.verbatim("", "mkd"); }, "$0\r\n\r\n", "=4\r\nmkd:\r\n"},
      {[](Reply& r) { r.map(3); }, "*6\r\n", "%3\r\n"},
      {[](Reply& r) { r.set(12); }, "*12\r\n", "~12\r\n"},
      {[](Reply& r) { r.push(3); }, "*3\r\n", ">3\r\n"},
  };
  for (const Row& row : rows) {
    CHECK(written(2, row.write) == row.resp2);
    CHECK(written(3, row.write) == row.resp3);
  }
  CHECK(written(3, [](Reply& r) { r.attribute(1); }) == "|1\r\n");
}

TEST_CASE("reply: errors stay on one line and are counted", "[protocol]") {
  BlockPool pool;
  OutputBuffer out(pool);
  Reply reply(out);
  CHECK(reply.errors() == 0);
  CHECK(reply.last_error().empty());
  reply.error("ERR syntax error");
  CHECK(reply.last_error() == "ERR");
  reply.error("WRONGTYPE a\r\nb\nc\r");
  CHECK(reply.last_error() == "WRONGTYPE");
  // A text of one word has no code.
  reply.error("EXECABORT");
  CHECK(reply.last_error() == "ERR");
  const std::string longer(100, 'E');
  reply.error(longer);
  CHECK(reply.last_error() == "ERR");
  CHECK(reply.errors() == 4);
  CHECK(out.to_string() == "-ERR syntax error\r\n-WRONGTYPE a  b c \r\n-EXECABORT\r\n-" + longer + "\r\n");
}

TEST_CASE("reply: aggregates of a length known at their end", "[protocol]") {
  const auto write = [](Reply& r) {
    const auto outer = r.begin();
    const auto map = r.begin();
    r.bulk("k");
    r.integer(1);
    r.end_map(map, 1);
    const auto set = r.begin();
    r.end_set(set, 0);
    r.end_array(outer, 2);
    r.ok();
  };
  CHECK(written(2, write) == "*2\r\n*2\r\n$1\r\nk\r\n:1\r\n*0\r\n+OK\r\n");
  CHECK(written(3, write) == "*2\r\n%1\r\n$1\r\nk\r\n:1\r\n~0\r\n+OK\r\n");
}

TEST_CASE("request parser: multibulk requests are views into the input", "[protocol]") {
  RequestParser parser;
  std::vector<std::string_view> arguments;
  const std::string input = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n";
  REQUIRE(parser.next(input, {}, arguments) == Status::Complete);
  CHECK(parser.consumed() == 26);
  REQUIRE(arguments == std::vector<std::string_view>{"SET", "k", ""});
  CHECK(arguments[0].data() == input.data() + 8);
  // The next request is appended behind what is there.
  REQUIRE(parser.next(std::string_view(input).substr(26), {}, arguments) == Status::Complete);
  CHECK(arguments.size() == 4);
  CHECK(arguments[3] == "PING");
}

TEST_CASE("request parser: it tells how much it needs", "[protocol]") {
  RequestParser parser;
  std::vector<std::string_view> arguments;
  const std::string input = "*2\r\n$4\r\nECHO\r\n$1000\r\n" + std::string(1000, 'x') + "\r\n";
  CHECK(parser.next("", {}, arguments) == Status::Incomplete);
  CHECK(parser.needed() == 1);
  CHECK(parser.next(input.substr(0, 9), {}, arguments) == Status::Incomplete);
  CHECK(parser.needed() == 14);
  CHECK(parser.next(input.substr(0, 30), {}, arguments) == Status::Incomplete);
  CHECK(parser.needed() == input.size());
  CHECK(arguments.empty());
  REQUIRE(parser.next(input, {}, arguments) == Status::Complete);
  CHECK(parser.consumed() == input.size());
  CHECK(arguments == std::vector<std::string_view>{"ECHO", std::string_view(input).substr(21, 1000)});
}

TEST_CASE("request parser: requests cut at every byte", "[protocol]") {
  const std::string stream = encode({"SET", "key", "value"}) + "*0\r\n" + "PING\r\n" + "*-1\r\n" + "\r\n" +
                             "ECHO \"a\\x41 b\" \n" + encode({"", "\r\n", std::string(300, 'v')}) + "*1\rX$4\rXPING\rX";
  const Outcome expected{{{"SET", "key", "value"},
                          {},
                          {"PING"},
                          {},
                          {},
                          {"ECHO", "aA b"},
                          {"", "\r\n", std::string(300, 'v')},
                          {"PING"}},
                         "",
                         0};
  CHECK(parse_whole(stream) == expected);
  CHECK(parse_bytewise(stream) == expected);
  for (size_t cut = 1; cut < stream.size(); ++cut) {
    INFO("cut at " << cut);
    REQUIRE(parse(stream, {cut, stream.size()}) == expected);
  }
}

TEST_CASE("request parser: pipelines cut at random against a model", "[protocol]") {
  const uint64_t seed = quartet::test::history_seed();
  INFO("seed " << seed);
  Random random(seed);
  for (int round = 0; round < 200; ++round) {
    Outcome expected;
    std::string stream;
    for (size_t i = 0, count = 1 + random.below(30); i < count; ++i) {
      Words words;
      const bool is_inline = random.below(4) == 0;
      for (size_t j = 0, length = random.below(6); j < length; ++j)
        words.push_back(random_text(random, is_inline ? 1 + random.below(30) : random_length(random) / 16));
      if (is_inline) {
        for (const std::string& word : words) stream += word + (random.below(2) ? " " : "\t ");
        stream += random.below(2) ? "\r\n" : "\n";
      } else {
        stream += encode(words);
      }
      expected.requests.push_back(words);
    }
    std::vector<size_t> ends;
    for (size_t end = 0; end < stream.size();) {
      end = std::min(stream.size(), end + 1 + random.below(random.below(2) ? 20 : 3000));
      ends.push_back(end);
    }
    REQUIRE(parse(stream, ends) == expected);
  }
}

TEST_CASE("request parser: counts of arguments", "[protocol]") {
  const std::string invalid = "ERR Protocol error: invalid multibulk length";
  for (const auto count : {"abc", "", "2147483648", "-0", "+1", "01", " 1", "1 ", "9223372036854775808",
                           "10000000000000000000000", "1\n"}) {
    INFO(count);
    CHECK(error_of("*"s + count + "\r\n") == invalid);
  }
  for (const auto count : {"0", "-1", "-5", "-9223372036854775808"}) {
    const Outcome outcome = parse_whole("*"s + count + "\r\n");
    CHECK(outcome == Outcome{{{}}, "", 0});
  }
  for (const auto count : {"1048577", "2147483647", "1", "123456789"})
    CHECK(parse_whole("*"s + count + "\r\n") == Outcome{{}, "", std::string_view(count).size() + 3});
  // Nothing is judged before the byte behind the carriage return has come.
  CHECK(error_of("*abc\r").empty());
  CHECK(error_of("*1\n$4\nPING\n").empty());

  ParserLimits limits;
  limits.arguments = 3;
  CHECK(error_of("*4\r\n", limits) == invalid);
  CHECK(error_of("*3\r\n", limits).empty());
}

TEST_CASE("request parser: lengths of arguments", "[protocol]") {
  for (const auto length : {"-1", "-2", "abc", "", "536870913", "00", "+1", "-0", "99999999999999999999", "1 "}) {
    INFO(length);
    CHECK(error_of("*2\r\n$4\r\nECHO\r\n$"s + length + "\r\n") == "ERR Protocol error: invalid bulk length");
  }
  CHECK(error_of("*1\r\n$536870912\r\n").empty());
  CHECK(error_of("*1\r\n$abc\r").empty());
  ParserLimits limits;
  limits.bulk_bytes = 4;
  CHECK(error_of("*1\r\n$4\r\nPING\r\n", limits).empty());
  CHECK(error_of("*1\r\n$5\r\n", limits) == "ERR Protocol error: invalid bulk length");
}

TEST_CASE("request parser: something else than a bulk string", "[protocol]") {
  for (const std::string got : {"x", "*", "P", "\xff", "'", "\"", "\\", "\x01", "\n", " "}) {
    CHECK(error_of("*1\r\n" + got + "4\r\n") == "ERR Protocol error: expected '$', got '" + got + "'");
  }
  CHECK(error_of("*1\r\n\r\n") == "ERR Protocol error: expected '$', got '\r'");
  CHECK(error_of("*1\r\nx\r").empty());
  CHECK(error_of("*3\r\nPING\r\n") == "ERR Protocol error: expected '$', got 'P'");
  // Written as a reply the line end cannot do harm.
  CHECK(written(2, [](Reply& r) { r.error(parse_whole("*1\r\n\r\n").error); }) ==
        "-ERR Protocol error: expected '$', got ' '\r\n");
}

TEST_CASE("request parser: lines that do not end", "[protocol]") {
  struct Row {
    std::string before, begin, error;
  };
  const Row rows[] = {{"", "a", "ERR Protocol error: too big inline request"},
                      {"", "*", "ERR Protocol error: too big mbulk count string"},
                      {"*1\r\n", "$", "ERR Protocol error: too big bulk count string"},
                      {"*1\r\n", "x", "ERR Protocol error: too big bulk count string"},
                      {"*2\r\n$1\r\na\r\n", "$", "ERR Protocol error: too big bulk count string"}};
  for (const Row& row : rows) {
    const std::string longest = row.before + row.begin + std::string(65535, '1');
    CHECK(error_of(longest).empty());
    CHECK(error_of(longest + "1") == row.error);
    // However the bytes arrive, a longer line is refused even if its end is there already.
    CHECK(error_of(longest + "1\r\n") == row.error);
  }
  CHECK(error_of("*"s + std::string(65535, '1') + "\r\n") == "ERR Protocol error: invalid multibulk length");
  CHECK(error_of("*1\r\n$"s + std::string(65535, '1') + "\r\n") == "ERR Protocol error: invalid bulk length");
  const std::string word(65535 - 5, 'a');
  CHECK(parse_whole("ECHO " + word + "\r\n") == Outcome{{{"ECHO", word}}, "", 0});
}

TEST_CASE("request parser: a NUL hides the end of a line", "[protocol]") {
  const std::string filler(70000, 'a');
  for (const std::string& line : {"PING\0hello\r\n"s, "*1\0\r\n"s, "*1\r\n$1\0\r\n"s, "*1\r\n\0\r\n"s}) {
    CHECK(parse_whole(line) == Outcome{{}, "", line.size()});
    CHECK(error_of(line) == "");
    CHECK(error_of(line + filler).starts_with("ERR Protocol error: too big "));
  }
  CHECK(parse_whole("PING\r\n\0"s) == Outcome{{{"PING"}}, "", 1});
}

TEST_CASE("request parser: limits before authentication", "[protocol]") {
  const ParserLimits limits = unauthenticated();
  CHECK(error_of("*10\r\n", limits).empty());
  CHECK(error_of("*11\r\n", limits) == "ERR Protocol error: unauthenticated multibulk length");
  CHECK(error_of("*1048577\r\n", limits) == "ERR Protocol error: unauthenticated multibulk length");
  CHECK(error_of("*2147483648\r\n", limits) == "ERR Protocol error: invalid multibulk length");
  CHECK(error_of("*abc\r\n", limits) == "ERR Protocol error: invalid multibulk length");
  CHECK(error_of("*-1\r\n*0\r\n", limits).empty());
  CHECK(error_of("*1\r\n$16384\r\n", limits).empty());
  CHECK(error_of("*1\r\n$16385\r\n", limits) == "ERR Protocol error: unauthenticated bulk length");
  CHECK(error_of("*1\r\n$536870913\r\n", limits) == "ERR Protocol error: invalid bulk length");
  CHECK(error_of("*1\r\n$-1\r\n", limits) == "ERR Protocol error: invalid bulk length");
  // Inline requests have only their own limit.
  std::string words;
  for (int i = 0; i < 20; ++i) words += " a";
  CHECK(parse_whole("PING"s + words + "\r\n", limits).requests.at(0).size() == 21);
  CHECK(parse_whole("ECHO "s + std::string(17000, 'a') + "\r\n", limits).requests.at(0).size() == 2);
}

TEST_CASE("request parser: inline requests", "[protocol]") {
  struct Row {
    std::string line;
    Words words;
  };
  const Row rows[] = {
      {"PING", {"PING"}},
      {" PING \t hi ", {"PING", "hi"}},
      {"PI\rNG", {"PI", "NG"}},
      {"PING\r", {"PING"}},
      {"", {}},
      {"  \r", {}},
      {"\v", {}},
      {" \vPING", {"PING"}},
      {"ECHO\va", {"ECHO\va"}},
      {"ECHO a\xa0\x85 b", {"ECHO", "a\xa0\x85", "b"}},
      {"PING *1", {"PING", "*1"}},
      {" *1", {"*1"}},
      {R"(ECHO "a\x41\n\r\t\b\a\q\"\\")", {"ECHO", "aA\n\r\t\b\aq\"\\"}},
      {R"(ECHO 'a\x41\n\'')", {"ECHO", R"(a\x41\n')"}},
      {R"(ECHO \x41)", {"ECHO", R"(\x41)"}},
      {R"(ECHO abc"d e")", {"ECHO", "abcd e"}},
      {R"(ECHO a'b')", {"ECHO", "ab"}},
      {R"(ECHO 'a"b')", {"ECHO", "a\"b"}},
      {R"(ECHO a\"b")", {"ECHO", "a\\b"}},
      {R"(ECHO "\'")", {"ECHO", "'"}},
      {R"(ECHO "")", {"ECHO", ""}},
      {R"(ECHO '')", {"ECHO", ""}},
      {R"(ECHO "a\x4g\xZZ\x4")", {"ECHO", "ax4gxZZx4"}},
      {R"(ECHO "\xfF")", {"ECHO", "\xff"}},
      {"ECHO 'a\rb'", {"ECHO", "a\rb"}},
      {"ECHO \"a\"\r\r", {"ECHO", "a"}},
      {"ECHO 'a'\vb", {"ECHO", "a", "b"}},
  };
  for (const Row& row : rows) {
    INFO(row.line);
    CHECK(parse_whole(row.line + "\n") == Outcome{{row.words}, "", 0});
    CHECK(parse_bytewise(row.line + "\r\n") == Outcome{{row.words}, "", 0});
    Words words{"replaced"};
    CHECK(split_arguments(row.line, words));
    CHECK(words == row.words);
  }
}

TEST_CASE("request parser: unbalanced quotes", "[protocol]") {
  for (const std::string line : {R"(ECHO "abc)", R"(ECHO 'abc)", R"(ECHO "abc"d)", R"(ECHO 'abc'd)", R"(ECHO abc'd e'f)",
                                 R"(ECHO "a\)", R"(ECHO 'a''b')", R"(ECHO '\\')", R"(ECHO "a"'b')", R"(")", R"(')"}) {
    INFO(line);
    CHECK(error_of(line + "\r\n") == "ERR Protocol error: unbalanced quotes in request");
    CHECK(error_of(line).empty());
    Words words;
    CHECK_FALSE(split_arguments(line, words));
  }
}

TEST_CASE("request parser: it starts anew after a long request", "[protocol]") {
  RequestParser parser;
  std::vector<std::string_view> arguments;
  const Words words(5000, "w");
  const std::string request = encode(words);
  for (int round = 0; round < 3; ++round) {
    arguments.clear();
    REQUIRE(parser.next(request.substr(0, request.size() - 1), {}, arguments) == Status::Incomplete);
    // The bytes have moved since.
    const std::string moved = request;
    REQUIRE(parser.next(moved, {}, arguments) == Status::Complete);
    REQUIRE(Words(arguments.begin(), arguments.end()) == words);
  }
}
