#include "bench/load/workload.h"

#include <fmt/format.h>

#include <cassert>

namespace quartet::load {

namespace {

constexpr size_t kDigits = 12;

void write_digits(uint64_t number, char* out) {
  for (size_t i = kDigits; i-- > 0; number /= 10) out[i] = static_cast<char>('0' + number % 10);
}

}  // namespace

std::vector<Case> all_cases() {
  return {
      {"PING", {"PING"}},
      {"SET", {"SET", "key:#", "$"}},
      {"GET", {"GET", "key:#"}},
      {"MGET", {"MGET", "key:#", "key:#", "key:#", "key:#", "key:#", "key:#", "key:#", "key:#", "key:#", "key:#"}},
      {"INCR", {"INCR", "counter:#"}},
      {"LPUSH", {"LPUSH", "mylist", "$"}},
      {"RPOP", {"RPOP", "mylist"}},
      {"HSET", {"HSET", "myhash", "element:#", "$"}},
      {"SADD", {"SADD", "myset", "element:#"}},
      {"ZADD", {"ZADD", "myzset", "#", "element:#"}},
      {"ZRANGE", {"ZRANGE", "myzset", "0", "9"}},
  };
}

std::optional<Case> find_case(std::string_view name) {
  for (Case& one : all_cases())
    if (one.name == name) return std::move(one);
  return std::nullopt;
}

RequestBuffer::RequestBuffer(const Case& of, size_t value_size, size_t requests) {
  std::string request = fmt::format("*{}\r\n", of.words.size());
  for (const std::string_view word : of.words) {
    std::string argument;
    size_t digits = std::string::npos;
    for (const char c : word) {
      if (c == '#') {
        digits = argument.size();
        argument.append(kDigits, '0');
      } else if (c == '$') {
        argument.append(value_size, 'x');
      } else {
        argument += c;
      }
    }
    request += fmt::format("${}\r\n", argument.size());
    if (digits != std::string::npos) digits_.push_back(request.size() + digits);
    request += argument + "\r\n";
  }
  request_size_ = request.size();
  bytes_.reserve(request_size_ * requests);
  for (size_t i = 0; i < requests; ++i) bytes_ += request;
}

std::string_view RequestBuffer::renew(Numbers& numbers, size_t requests) {
  assert(requests * request_size_ <= bytes_.size());
  for (size_t i = 0; i < requests; ++i)
    for (const size_t at : digits_) write_digits(numbers.next(), bytes_.data() + i * request_size_ + at);
  return std::string_view(bytes_).substr(0, requests * request_size_);
}

}  // namespace quartet::load
