// The values that fill the templates. Small pools, so that keys collide across types and members meet again;
// mostly sensible, now and then on a boundary or plain wrong.
#include <fmt/format.h>

#include <cctype>
#include <cstdlib>

#include "grammar.h"

namespace quartet::test {

namespace {

// A key's first letter is the type that mostly lives there: string, list, hash, set (u), sorted set.
constexpr std::string_view key_letters = "slhuz";
constexpr std::size_t keys_of_a_type = 4;

// Keys of sorted sets with one score, which only their own templates use.
constexpr char lexical_letter = 'x';

std::string key_of(char letter, Random& random) { return fmt::format("{}{}", letter, random.below(keys_of_a_type)); }

std::string any_key(Random& random) { return key_of(key_letters[random.below(key_letters.size())], random); }

std::string key(char letter, Random& random) { return random.percent(8) ? any_key(random) : key_of(letter, random); }

std::string boundary_integer(Random& random) {
  static constexpr std::string_view all[] = {
      "9223372036854775807", "-9223372036854775808", "9223372036854775808", "4294967296", "2147483648", "-2147483649",
      "0", "-0", "+1", "007", "1.5", "", " 1", "1 ", "abc", "0x10", "1e3", "99999999999999999999"};
  return std::string(random.pick(all));
}

std::string integer(Random& random) {
  return random.percent(6) ? boundary_integer(random) : std::to_string(random.between(-20, 100));
}

// For BITFIELD, whose computation overflows in redis-server where OVERFLOW SAT meets the least integer.
std::string field_value(Random& random) {
  const std::string value = integer(random);
  return value == "-9223372036854775808" ? "-2147483649" : value;
}

std::string text(Random& random) {
  static constexpr std::string_view all[] = {"", "a", "hello world", "3.0", "10", "-7", "1e3", "foobar", "Foobar", "01"};
  switch (random.below(12)) {
    case 0: return std::string(1 + random.below(100), static_cast<char>('a' + random.below(26)));
    case 1: return std::string(random.pick(all));
    case 2: return std::string("\x00\xff\r\n\x80", random.below(6));
    case 3: return boundary_integer(random);
    case 4: return fmt::format("{}.{}", random.between(-99, 99), random.below(1000));
    case 5: return std::string(random.percent(5) ? 3000 : 64 + random.below(2), 'x');
    default: return std::to_string(random.between(-100, 10000));
  }
}

// Without NUL, because SORT ALPHA compares up to the first one and leaves the order of the rest to chance.
std::string member_text(Random& random) {
  std::string value = text(random);
  std::erase(value, '\0');
  return value;
}

std::string member(Random& random) {
  switch (random.below(20)) {
    case 0: return member_text(random);
    case 1: return std::string(64 + random.below(2), static_cast<char>('a' + random.below(3)));
    case 2: case 3: case 4: return fmt::format("m{}", random.below(200));
    case 5: case 6: case 7: case 8: case 9: case 10: return std::to_string(random.below(40));
    default: return fmt::format("m{}", random.below(15));
  }
}

std::string real(Random& random) {
  static constexpr std::string_view all[] = {"inf", "-inf", "+inf", "nan", "abc", "", "1e308", "-1e308", "1e17", "1e-7",
                                             "0.1", "0.30000000000000004", "-0.0", "3.14159265358979", "12345678901234567"};
  if (random.percent(10)) return std::string(random.pick(all));
  if (random.percent(50)) return std::to_string(random.between(-10, 30));
  return fmt::format("{}.{}", random.between(-10, 30), random.below(1000));
}

std::string score_bound(Random& random) {
  if (random.percent(25)) return random.percent(50) ? "-inf" : "+inf";
  return (random.percent(25) ? "(" : "") + real(random);
}

std::string lex_bound(Random& random) {
  static constexpr std::string_view wrong[] = {"", "a", "(", "[", "-x", "++"};
  if (random.percent(5)) return std::string(random.pick(wrong));
  if (random.percent(25)) return random.percent(50) ? "-" : "+";
  return (random.percent(50) ? "(" : "[") + member(random);
}

// Times far away or in the past, never soon: both servers must see the same thing at slightly different times.
std::string relative_time(Random& random, long unit) {
  static constexpr std::string_view wrong[] = {"0", "-1", "abc", "", "1.5", "9223372036854775807", "-9223372036854775808"};
  if (random.percent(8)) return std::string(random.pick(wrong));
  return std::to_string(random.between(10000, 100000) * unit);
}

// Timeouts that no command waits for.
std::string refused_timeout(Random& random) {
  static constexpr std::string_view all[] = {"-1", "abc", "", "nan", "-0.5", "1e400", "99999999999999999999", "-inf", "1 "};
  return std::string(random.pick(all));
}

// For SET, which stores what has expired already: redis-server counts such a key in DBSIZE and MEMORY USAGE until it
// happens to remove it, Quartet does not.
std::string later_time(Random& random, long unit) {
  static constexpr std::string_view wrong[] = {"0", "-1", "abc", "9223372036854775807"};
  if (random.percent(8)) return std::string(random.pick(wrong));
  return std::to_string((33177117000 + random.between(0, 20)) * unit);
}

std::string absolute_time(Random& random, long unit) { return random.percent(2) ? "1" : later_time(random, unit); }

// Bit and byte offsets: small, or so large that they are refused; nothing between, which would take memory.
std::string offset(Random& random) {
  static constexpr std::string_view wrong[] = {"-1", "abc", "4294967296", "9223372036854775807", "", "-2147483648"};
  return random.percent(6) ? std::string(random.pick(wrong)) : std::to_string(random.below(300));
}

std::string count(Random& random) {
  static constexpr std::string_view wrong[] = {"0", "-1", "abc", "9223372036854775807", "-9223372036854775808", "1.5", ""};
  return random.percent(10) ? std::string(random.pick(wrong)) : std::to_string(random.between(1, 12));
}

std::string index(Random& random) { return random.percent(4) ? boundary_integer(random) : std::to_string(random.between(-30, 30)); }

std::string pattern(Random& random) {
  static constexpr std::string_view all[] = {"*", "s*", "?1", "[lh]*", "[^s]*", "*[0-2]", "none", "m*", "m1?", "*\\", "[a-", ""};
  return std::string(random.pick(all));
}

std::string bit_type(Random& random) {
  static constexpr std::string_view wrong[] = {"u64", "i65", "u0", "x8", "u", ""};
  if (random.percent(5)) return std::string(random.pick(wrong));
  return random.percent(50) ? fmt::format("u{}", 1 + random.below(63)) : fmt::format("i{}", 1 + random.below(64));
}

std::string database(Random& random) {
  static constexpr std::string_view wrong[] = {"16", "-1", "abc", ""};
  return random.percent(5) ? std::string(random.pick(wrong)) : std::to_string(random.below(3));
}

}  // namespace

bool Grammar::is_key(std::string_view text) {
  return text.size() == 2 && (key_letters.find(text[0]) != std::string_view::npos || text[0] == lexical_letter) &&
         text[1] >= '0' && static_cast<std::size_t>(text[1] - '0') < keys_of_a_type;
}

bool Grammar::is_lexical_key(std::string_view text) { return is_key(text) && text[0] == lexical_letter; }

std::string random_value(std::string_view sort, Random& random) {
  if (sort.size() == 1 && key_letters.find(sort[0]) != std::string_view::npos) return key(sort[0], random);
  if (sort == "x") return key_of(lexical_letter, random);
  if (sort == "k") return any_key(random);
  if (sort == "v") return text(random);
  if (sort == "m") return member(random);
  if (sort == "i") return integer(random);
  if (sort == "field") return field_value(random);
  if (sort == "f") return real(random);
  if (sort == "bound") return score_bound(random);
  if (sort == "lex") return lex_bound(random);
  if (sort == "ttl") return relative_time(random, 1);
  if (sort == "pttl") return relative_time(random, 1000);
  if (sort == "later") return later_time(random, 1);
  if (sort == "plater") return later_time(random, 1000);
  if (sort == "at") return absolute_time(random, 1);
  if (sort == "pat") return absolute_time(random, 1000);
  if (sort == "badtime") return refused_timeout(random);
  if (sort == "off") return offset(random);
  if (sort == "n") return count(random);
  if (sort == "idx") return index(random);
  if (sort == "glob") return pattern(random);
  if (sort == "bits") return bit_type(random);
  if (sort == "db") return database(random);
  if (sort == "end") return random.percent(97) ? (random.percent(50) ? "LEFT" : "RIGHT") : "UP";
  if (sort == "minmax") return random.percent(97) ? (random.percent(50) ? "MIN" : "MAX") : "MID";
  if (sort == "bit") return random.percent(97) ? (random.percent(50) ? "0" : "1") : "2";
  fmt::print(stderr, "no such sort of value: <{}>\n", sort);
  std::abort();
}

}  // namespace quartet::test
