#include "cursor.h"

#include <charconv>

namespace quartet::test {

namespace {

constexpr long max_repeat = 16L << 20;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  throw SpecError("\\x wants two hexadecimal digits");
}

}  // namespace

void Cursor::skip_spaces() {
  while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t' || rest_.front() == '\n'))
    rest_.remove_prefix(1);
}

bool Cursor::take(std::string_view prefix) {
  if (!rest_.starts_with(prefix)) return false;
  rest_.remove_prefix(prefix.size());
  return true;
}

std::string_view Cursor::word() {
  const std::string_view found = rest_.substr(0, rest_.find_first_of(" \t\n"));
  rest_.remove_prefix(found.size());
  return found;
}

std::string_view Cursor::all() {
  const std::string_view found = rest_;
  rest_ = {};
  return found;
}

char Cursor::escape() {
  const char c = peek();
  rest_.remove_prefix(rest_.empty() ? 0 : 1);
  switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case '"': return '"';
    case '\\': return '\\';
    case 'x': {
      if (rest_.size() < 2) throw SpecError("\\x wants two hexadecimal digits");
      const char value = static_cast<char>(hex_digit(rest_[0]) * 16 + hex_digit(rest_[1]));
      rest_.remove_prefix(2);
      return value;
    }
    default: throw SpecError("unknown escape");
  }
}

std::string Cursor::quoted_string() {
  const char quote = peek();
  rest_.remove_prefix(1);
  std::string out;
  while (peek() != quote || rest_.empty()) {
    if (rest_.empty()) throw SpecError("unfinished string");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    out += c == '\\' && quote == '"' ? escape() : c;
  }
  rest_.remove_prefix(1);
  if (!take("*")) return out;
  const long count = number();
  if (count < 0 || count > max_repeat) throw SpecError("too many repetitions");
  std::string repeated;
  for (long i = 0; i < count; ++i) repeated += out;
  return repeated;
}

std::string Cursor::slashed() {
  std::string out;
  while (!take("/")) {
    if (rest_.empty()) throw SpecError("unfinished regular expression");
    if (take("\\/")) {
      out += '/';
      continue;
    }
    // A backslash keeps the character after it, so that \\/ ends the expression.
    const std::size_t length = rest_.front() == '\\' && rest_.size() > 1 ? 2 : 1;
    out += rest_.substr(0, length);
    rest_.remove_prefix(length);
  }
  return out;
}

long Cursor::number() {
  long value = 0;
  const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
  if (error != std::errc()) throw SpecError("expected a number");
  rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
  return value;
}

}  // namespace quartet::test
