#include "server/commands/bits.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace quartet::server::bits {

namespace {

uint64_t load_word(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// The bits of a byte from `bit` on.
uint8_t from_bit(int64_t bit) { return static_cast<uint8_t>(0xff >> (bit & 7)); }
/// The bits of a byte up to and with `bit`.
uint8_t to_bit(int64_t bit) { return static_cast<uint8_t>(0xff << (7 - (bit & 7))); }

/// Compiled twice, because the processors that Quartet is built for need not have the instruction, but nearly all have.
__attribute__((target_clones("popcnt", "default"))) int64_t count_bytes(const char* at, size_t size) {
  int64_t total = 0;
  for (; size >= 32; at += 32, size -= 32)
    total += std::popcount(load_word(at)) + std::popcount(load_word(at + 8)) + std::popcount(load_word(at + 16)) +
             std::popcount(load_word(at + 24));
  for (; size >= 8; at += 8, size -= 8) total += std::popcount(load_word(at));
  for (; size > 0; ++at, --size) total += std::popcount(static_cast<uint8_t>(*at));
  return total;
}

/// The bytes of a field, at most 9, as one number, the first byte highest.
__extension__ typedef unsigned __int128 Window;
constexpr size_t kWindowBytes = 9;

}  // namespace

int64_t count(std::string_view bytes, int64_t first, int64_t last) {
  const auto at = static_cast<size_t>(first / 8), end = static_cast<size_t>(last / 8);
  int64_t total = count_bytes(bytes.data() + at, end - at + 1);
  total -= std::popcount(static_cast<uint8_t>(bytes[at] & ~from_bit(first)));
  total -= std::popcount(static_cast<uint8_t>(bytes[end] & ~to_bit(last)));
  return total;
}

int64_t find(std::string_view bytes, bool bit, int64_t first, int64_t last) {
  // Looking for a zero is looking for a one in the inverted bytes.
  const uint64_t inversion = bit ? 0 : ~uint64_t{0};
  size_t at = static_cast<size_t>(first / 8);
  const size_t end = static_cast<size_t>(last / 8) + 1;
  auto byte = static_cast<uint8_t>((static_cast<uint8_t>(bytes[at]) ^ inversion) & from_bit(first));
  if (byte == 0) {
    for (++at; at + 8 <= end && load_word(bytes.data() + at) == inversion; at += 8) {
    }
    for (; at < end; ++at) {
      byte = static_cast<uint8_t>(static_cast<uint8_t>(bytes[at]) ^ inversion);
      if (byte) break;
    }
    if (byte == 0) return -1;
  }
  const int64_t found = static_cast<int64_t>(at) * 8 + std::countl_zero(byte);
  return found <= last ? found : -1;
}

void combine(Operation operation, std::span<char> result, std::string_view other) {
  const size_t size = std::min(result.size(), other.size());
  char* const to = result.data();
  const char* const from = other.data();
  // Plain loops: the compiler makes vector instructions of them.
  switch (operation) {
    case Operation::And:
      for (size_t i = 0; i < size; ++i) to[i] = static_cast<char>(to[i] & from[i]);
      std::fill(result.begin() + static_cast<ptrdiff_t>(size), result.end(), '\0');
      return;
    case Operation::Or:
      for (size_t i = 0; i < size; ++i) to[i] = static_cast<char>(to[i] | from[i]);
      return;
    case Operation::Xor:
      for (size_t i = 0; i < size; ++i) to[i] = static_cast<char>(to[i] ^ from[i]);
      return;
    case Operation::Not: return;
  }
}

void invert(std::span<char> bytes) {
  for (char& byte : bytes) byte = static_cast<char>(~byte);
}

int64_t Field::extended(uint64_t raw) const {
  if (!is_signed) return static_cast<int64_t>(raw);
  const int unused = 64 - width;
  return static_cast<int64_t>(raw << unused) >> unused;
}

int64_t Field::get(std::string_view bytes) const {
  const size_t at = offset / 8;
  Window window = 0;
  for (size_t i = 0; i < kWindowBytes; ++i)
    window = window << 8 | (at + i < bytes.size() ? static_cast<uint8_t>(bytes[at + i]) : 0);
  const int behind = static_cast<int>(kWindowBytes) * 8 - static_cast<int>(offset % 8) - width;
  return extended(static_cast<uint64_t>(window >> behind) & mask());
}

void Field::set(char* bytes, int64_t value) const {
  const size_t at = offset / 8, touched = end_byte() - at;
  const int behind = static_cast<int>(touched) * 8 - static_cast<int>(offset % 8) - width;
  Window window = 0;
  for (size_t i = 0; i < touched; ++i) window = window << 8 | static_cast<uint8_t>(bytes[at + i]);
  window &= ~(Window{mask()} << behind);
  window |= Window{static_cast<uint64_t>(value) & mask()} << behind;
  for (size_t i = touched; i-- > 0; window >>= 8) bytes[at + i] = static_cast<char>(window & 0xff);
}

std::optional<int64_t> Field::fit(__int128 number, Overflow overflow) const {
  const __int128 low = is_signed ? -(__int128{1} << (width - 1)) : __int128{0};
  const __int128 high = (__int128{1} << (is_signed ? width - 1 : width)) - 1;
  if (number >= low && number <= high) return static_cast<int64_t>(number);
  switch (overflow) {
    case Overflow::Fail: return {};
    case Overflow::Saturate: return static_cast<int64_t>(number < low ? low : high);
    case Overflow::Wrap: break;
  }
  return extended(static_cast<uint64_t>(number) & mask());
}

}  // namespace quartet::server::bits
