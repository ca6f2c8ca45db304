#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

/// Strings as arrays of bits, as the bitmap commands see them: bit 0 is the highest bit of the first byte.
namespace quartet::server::bits {

/// How many bits from `first` to `last`, both included, are set. REQUIRES: 0 <= first <= last < 8 * bytes.size().
int64_t count(std::string_view bytes, int64_t first, int64_t last);

/// The first bit of this value from `first` to `last`, both included; -1 where there is none. REQUIRES: as for count.
int64_t find(std::string_view bytes, bool bit, int64_t first, int64_t last);

enum class Operation : uint8_t { And, Or, Xor, Not };

/// Combines `other`, as if zeros followed it, into `result`. REQUIRES: operation is not Not; result is not the shorter
/// one.
void combine(Operation operation, std::span<char> result, std::string_view other);
void invert(std::span<char> bytes);

/// What happens to a number that does not fit into its field.
enum class Overflow : uint8_t { Wrap, Saturate, Fail };

/// An integer of 1 to 64 bits (63 where unsigned) at any bit of a string, its highest bit first.
struct Field {
  uint64_t offset = 0;
  int width = 1;
  bool is_signed = false;

  /// The byte behind the last one that it touches.
  size_t end_byte() const { return (offset + static_cast<uint64_t>(width) + 7) / 8; }
  /// Bytes behind the end of the string count as zeros.
  int64_t get(std::string_view bytes) const;
  /// REQUIRES: end_byte() bytes are there.
  void set(char* bytes, int64_t value) const;
  /// An argument as the number that it is to the field: unsigned fields take a negative one for a very large one.
  __int128 whole(int64_t argument) const {
    return is_signed ? __int128{argument} : __int128{static_cast<uint64_t>(argument)};
  }
  /// The number as the field holds it; no value where it does not fit and `overflow` is Fail.
  std::optional<int64_t> fit(__int128 number, Overflow overflow) const;

 private:
  uint64_t mask() const { return ~uint64_t{0} >> (64 - width); }
  int64_t extended(uint64_t raw) const;
};

}  // namespace quartet::server::bits
