#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quartet {

/// The canonical decimal form of a 64-bit integer and nothing else: no sign but '-', no leading zero, no space.
std::optional<int64_t> parse_int(std::string_view text);
std::optional<uint64_t> parse_uint(std::string_view text);

/// A finite or infinite double as C's strtod reads it, over the whole of a non-empty text that does not begin with a
/// space. No value for NaN and for overflow.
std::optional<double> parse_double(std::string_view text);
/// The same for the 80-bit type that INCRBYFLOAT and HINCRBYFLOAT compute with.
enum class Overflow { Refuse, ToInfinity };
std::optional<long double> parse_long_double(std::string_view text, Overflow overflow = Overflow::Refuse);

/// A buffer long enough for any integer and any double formatted below.
inline constexpr size_t kNumberChars = 64;

/// Writes the decimal form of `value` at `out` (at least 20 bytes) and returns its length.
size_t format_int(int64_t value, char* out);

/// Writes `value` as replies show a double: integers in plain form, others with up to 17 significant digits (%.17g),
/// `inf`, `-inf`, `nan`. `out` holds at least kNumberChars bytes. Returns the length.
size_t format_double(double value, char* out);
std::string format_double(double value);

/// Writes a long double as INCRBYFLOAT shows it: fixed notation with 17 decimals, trailing zeros removed.
std::string format_long_double(long double value);

/// A memory size such as `100mb`, `1gb`, `1k` (1000) or `1kb` (1024), in bytes; case does not matter.
std::optional<int64_t> parse_memory(std::string_view text);

/// ASCII comparison without regard to case.
bool equals_ignoring_case(std::string_view a, std::string_view b);
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);

/// `text` in double quotes with control characters, quotes and backslashes escaped, as MONITOR and redis-cli show it.
std::string quoted_form(std::string_view text);

}  // namespace quartet
