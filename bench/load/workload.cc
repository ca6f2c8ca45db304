#include "bench/load/workload.h"

#include <fmt/format.h>

#include <cassert>
#include <utility>

namespace quartet::load {

namespace {

constexpr size_t kNumberDigits = 12;
constexpr size_t kManyKeys = 100;

/// A window of requests as an application counts it: three calls. The load knows the script's SHA-1 beforehand; with
/// another one the server would answer NOSCRIPT, and the run would fail.
constexpr std::string_view kScript =
    "local count = redis.call('INCR', KEYS[1]) "
    "redis.call('EXPIRE', KEYS[1], ARGV[1]) "
    "return {count, redis.call('TTL', KEYS[1])}";
constexpr std::string_view kScriptSha1 = "666b2ba6bd4d7783b3d1288793993f3867e929a2";

void write_digits(uint64_t number, char* out, size_t count) {
  for (size_t i = count; i-- > 0; number /= 10) out[i] = static_cast<char>('0' + number % 10);
}

size_t digits_of(uint64_t number) { return fmt::formatted_size("{}", number); }

Words repeated(std::string_view command, const Words& words, size_t times) {
  Words all{command};
  for (size_t i = 0; i < times; ++i) all.insert(all.end(), words.begin(), words.end());
  return all;
}

Case memcached(std::string_view name, Words words) {
  return {name, std::move(words), Protocol::Memcached, {"get", "key:#"}};
}

}  // namespace

std::vector<Case> all_cases() {
  return {
      {"PING", {"PING"}},
      {"SET", {"SET", "key:#", "$"}},
      {"GET", {"GET", "key:#"}},
      {"MGET", repeated("MGET", {"key:#"}, 10)},
      {"MGET_100", repeated("MGET", {"key:#"}, kManyKeys)},
      {"MSET_100", repeated("MSET", {"key:#", "$"}, kManyKeys)},
      {"INCR", {"INCR", "counter:#"}},
      {"LPUSH", {"LPUSH", "mylist", "$"}},
      {"RPOP", {"RPOP", "mylist"}},
      {"LRANGE_600", {"LRANGE", "mylist", "0", "599"}},
      {"HSET", {"HSET", "myhash", "element:#", "$"}},
      {"HGETALL", {"HGETALL", "myhash"}},
      {"SADD", {"SADD", "myset", "element:#"}},
      {"SMEMBERS", {"SMEMBERS", "myset"}},
      {"ZADD", {"ZADD", "myzset", "#", "element:#"}},
      {"ZRANGE", {"ZRANGE", "myzset", "0", "9"}},
      {"ZRANGE_RANK", {"ZRANGE", "myzset", "@", "@"}},
      {"ZRANGE_SCORE", {"ZRANGE", "myzset", "#", "+inf", "BYSCORE", "LIMIT", "0", "10"}},
      {"EVALSHA", {"EVALSHA", kScriptSha1, "1", "counter:#", "100000"}, Protocol::Resp, {"SCRIPT", "LOAD", kScript}},
      memcached("MC_GET", {"get", "key:#"}),
      memcached("MC_SET", {"set", "key:#", "0", "0", "$"}),
      memcached("MC_GET_100", repeated("get", {"key:#"}, kManyKeys)),
  };
}

std::optional<Case> find_case(std::string_view name) {
  for (Case& one : all_cases())
    if (one.name == name) return std::move(one);
  return std::nullopt;
}

Numbers::Numbers(uint64_t bound, bool sequential, uint64_t seed)
    : bound_(bound), sequential_(sequential), random_(seed) {
  least_position_ = 1;
  while (least_position_ <= (bound - 1) / 10) least_position_ *= 10;
  if (least_position_ == 1) least_position_ = 0;
  positions_ = bound > least_position_ + 9 ? bound - least_position_ - 9 : 1;
}

RequestBuffer::RequestBuffer(const Words& words, Protocol protocol, uint64_t keys, size_t value_size, size_t requests) {
  const bool resp = protocol == Protocol::Resp;
  std::string request = resp ? fmt::format("*{}\r\n", words.size()) : "";
  for (const std::string_view word : words) {
    const size_t noted = digits_.size();
    const std::string argument = expand(word, protocol, keys, value_size);
    if (resp) {
      request += fmt::format("${}\r\n", argument.size());
    } else if (!request.empty()) {
      request += ' ';
    }
    for (size_t i = noted; i < digits_.size(); ++i) digits_[i].at += request.size();
    request += argument;
    if (resp) request += "\r\n";
  }
  if (!resp) request += "\r\n";
  request_size_ = request.size();
  bytes_.reserve(request_size_ * requests);
  for (size_t i = 0; i < requests; ++i) bytes_ += request;
}

std::string RequestBuffer::expand(std::string_view word, Protocol protocol, uint64_t keys, size_t value_size) {
  std::string text;
  const auto note = [&](size_t count, auto kind) {
    digits_.push_back({text.size(), count, kind});
    text.append(count, '0');
  };
  for (const char c : word) {
    if (c == '#') {
      note(kNumberDigits, Digits::Number);
    } else if (c == '@') {
      const bool behind = !digits_.empty() && digits_.back().kind == Digits::Position;
      note(digits_of(keys - 1), behind ? Digits::PositionBehind : Digits::Position);
    } else if (c == '$') {
      if (protocol == Protocol::Memcached) text += fmt::format("{}\r\n", value_size);
      text.append(value_size, 'x');
    } else {
      text += c;
    }
  }
  return text;
}

std::string_view RequestBuffer::renew(Numbers& numbers, size_t requests) {
  assert(requests * request_size_ <= bytes_.size());
  uint64_t position = 0;
  for (size_t i = 0; i < requests; ++i) {
    for (const Digits& digits : digits_) {
      uint64_t number = 0;
      switch (digits.kind) {
        case Digits::Number: number = numbers.next(); break;
        case Digits::Position: number = position = numbers.position(); break;
        case Digits::PositionBehind: number = position + 9; break;
      }
      write_digits(number, bytes_.data() + i * request_size_ + digits.at, digits.count);
    }
    numbers.next_request();
  }
  return std::string_view(bytes_).substr(0, requests * request_size_);
}

}  // namespace quartet::load
