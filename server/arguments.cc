#include "server/arguments.h"

#include <cmath>

#include "base/numbers.h"

namespace quartet::server {

std::string_view Arguments::next() {
  if (!more()) {
    fail(errors::kSyntax);
    return {};
  }
  return ctx_.args[at_++];
}

int64_t Arguments::integer(std::string_view error) {
  const std::string_view text = next();
  if (failed()) return 0;
  const auto value = parse_int(text);
  if (!value) fail(error);
  return value.value_or(0);
}

int64_t Arguments::integer_in(int64_t low, int64_t high, std::string_view out_of_range, std::string_view not_integer) {
  const int64_t value = integer(not_integer.empty() ? out_of_range : not_integer);
  if (!failed() && (value < low || value > high)) fail(out_of_range);
  return failed() ? 0 : value;
}

double Arguments::number(std::string_view error) {
  const std::string_view text = next();
  if (failed()) return 0;
  const auto value = parse_double(text);
  if (!value) fail(error);
  return value.value_or(0);
}

int64_t Arguments::timeout_seconds() {
  const std::string_view text = next();
  if (failed()) return 0;
  const auto seconds = parse_long_double(text, Overflow::ToInfinity);
  if (!seconds) {
    fail("ERR timeout is not a float or out of range");
    return 0;
  }
  // Redis computes in 64 bits: what does not fit at all comes out negative there, what does not fit behind "now" is
  // out of range.
  const long double ms = std::ceil(*seconds * 1000);
  if (ms < 0 || ms > static_cast<long double>(INT64_MAX)) {
    fail("ERR timeout is negative");
    return 0;
  }
  if (ms > static_cast<long double>(INT64_MAX - ctx_.now_ms())) {
    fail("ERR timeout is out of range");
    return 0;
  }
  return static_cast<int64_t>(ms);
}

Args Arguments::rest() {
  if (failed()) return {};
  const Args all = ctx_.args.subspan(at_);
  at_ = ctx_.args.size();
  return all;
}

Args Arguments::take(size_t count) {
  if (left() < count) {
    fail(errors::kSyntax);
    return {};
  }
  const Args taken = ctx_.args.subspan(at_, count);
  at_ += count;
  return taken;
}

bool Arguments::option(std::string_view word, size_t operands) {
  if (left() < 1 + operands || !equals_ignoring_case(ctx_.args[at_], word)) return false;
  ++at_;
  return true;
}

bool Arguments::ok() {
  if (error_.empty()) return true;
  ctx_.reply.error(error_);
  return false;
}

}  // namespace quartet::server
