#include "base/numbers.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace quartet {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

/// Longest text that is read as a floating point number, in bytes; strtod needs a terminated copy. The largest long
/// double has 4933 digits, and what INCRBYFLOAT has written must be read again.
constexpr size_t kFloatChars = 5119;

template <class Float>
std::optional<Float> parse_float(std::string_view text, Float (*convert)(const char*, char**), Overflow overflow) {
  if (text.empty() || text.size() > kFloatChars || std::isspace(static_cast<unsigned char>(text[0]))) return {};
  char copy[kFloatChars + 1];
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = 0;
  char* end;
  errno = 0;
  const Float value = convert(copy, &end);
  if (end != copy + text.size() || std::isnan(value)) return {};
  if (errno == ERANGE && (std::isinf(value) || value == 0) && overflow == Overflow::Refuse) return {};
  return value;
}

}  // namespace

std::optional<int64_t> parse_int(std::string_view text) {
  if (text.empty() || text.size() > 20) return {};
  // Only the canonical form counts: "-0", "007" and "+1" stay strings.
  const size_t digits = text[0] == '-' ? 1 : 0;
  if (digits == text.size()) return {};
  if (text[digits] == '0' && text.size() != 1) return {};
  int64_t value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::optional<uint64_t> parse_uint(std::string_view text) {
  if (text.empty() || (text[0] == '0' && text.size() > 1)) return {};
  uint64_t value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::optional<double> parse_double(std::string_view text) {
  return parse_float<double>(text, std::strtod, Overflow::Refuse);
}

std::optional<long double> parse_long_double(std::string_view text, Overflow overflow) {
  return parse_float<long double>(text, std::strtold, overflow);
}

size_t format_int(int64_t value, char* out) {
  return static_cast<size_t>(std::to_chars(out, out + kNumberChars, value).ptr - out);
}

size_t format_double(double value, char* out) {
  if (std::isinf(value)) {
    const std::string_view text = value > 0 ? "inf" : "-inf";
    std::memcpy(out, text.data(), text.size());
    return text.size();
  }
  if (std::isnan(value)) {
    std::memcpy(out, "nan", 3);
    return 3;
  }
  // Doubles hold integers exactly up to 2^53; their plain form is both shorter and faster to write.
  if (value == std::trunc(value) && std::fabs(value) < 9007199254740992.0 && !(value == 0 && std::signbit(value))) {
    return format_int(static_cast<int64_t>(value), out);
  }
  return static_cast<size_t>(std::snprintf(out, kNumberChars, "%.17g", value));
}

std::string format_double(double value) {
  char text[kNumberChars];
  return std::string(text, format_double(value, text));
}

std::string format_long_double(long double value) {
  // The longest finite long double has 4933 digits before the point.
  char text[5 * 1024];
  int length = std::snprintf(text, sizeof text, "%.17Lf", value);
  if (std::memchr(text, '.', static_cast<size_t>(length))) {
    while (text[length - 1] == '0') --length;
    if (text[length - 1] == '.') --length;
  }
  if (length == 2 && text[0] == '-' && text[1] == '0') return "0";
  return std::string(text, static_cast<size_t>(length));
}

std::optional<int64_t> parse_memory(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() &&
         (std::isdigit(static_cast<unsigned char>(text[digits])) || (digits == 0 && text[0] == '-')))
    ++digits;
  int64_t value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || digits == 0) return {};
  struct Unit {
    std::string_view name;
    int64_t bytes;
  };
  static constexpr Unit kUnits[] = {{"", 1},          {"b", 1},        {"k", 1000},          {"kb", 1024},
                                    {"m", 1000000},   {"mb", 1 << 20}, {"g", 1000000000},    {"gb", 1LL << 30},
                                    {"t", 1000000000000}, {"tb", 1LL << 40}};
  const std::string unit = to_lower(text.substr(digits));
  for (const Unit& known : kUnits) {
    if (unit != known.name) continue;
    int64_t bytes;
    if (__builtin_mul_overflow(value, known.bytes, &bytes)) return {};
    return bytes;
  }
  return {};
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

std::string to_upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = upper(c);
  return out;
}

std::string quoted_form(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '"': out += "\\\""; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\a': out += "\\a"; break;
      case '\b': out += "\\b"; break;
      default:
        if (c >= 0x20 && c < 0x7f) {
          out += c;
        } else {
          char escaped[5];
          std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
          out += escaped;
        }
    }
  }
  return out += '"';
}

}  // namespace quartet
