#pragma once

#include <cassert>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace quartet::storage {

/// Small collections lie in one block of elements, one behind the other. An element is laid out as in a listpack
/// (https://github.com/antirez/listpack/blob/master/listpack.md), so that both directions can be walked and integers
/// take few bytes; the count stands in front, and there is no terminator:
///
///   [ count: 16, little endian; 65535 = walk to count ] [ element ] [ element ] ...
///   element: [ encoding + length ][ bytes, or integer ][ length of the two before, read backwards ]
///
///   0xxxxxxx                      integer 0..127
///   10xxxxxx                      bytes, length 0..63
///   110xxxxx +1                   integer of 13 bits, big endian
///   1110xxxx +1                   bytes, length of 12 bits, big endian
///   11110000 +4                   bytes, length of 32 bits, little endian
///   11110001 +2, 11110010 +3, 11110011 +4, 11110100 +8      integer of so many bytes, little endian
///
/// The functions below read blocks and write elements; they allocate nothing. Where the block lies and how it grows is
/// the caller's (see packed_value.h). Offsets count from the block's beginning. `read_element`, `skip`, `previous` and
/// `find` look at nothing but elements and work on runs of elements without a header too (the nodes of a list).
namespace packed {

/// A decoded element: bytes within the block, or an integer.
struct Element {
  std::string_view bytes;  // data() is null where the element is an integer
  int64_t integer = 0;
  bool is_integer() const { return bytes.data() == nullptr; }
  /// The element as text; `scratch` holds at least 32 bytes and is used for integers.
  std::string_view text(char* scratch) const;
  /// Length of the text, in bytes.
  size_t text_size() const;
  /// Whether it is the same value as `other`, an arbitrary string. `other_integer` is parse_int(other), computed once by the caller.
  bool equals(std::string_view other, const std::optional<int64_t>& other_integer) const {
    return is_integer() ? other_integer && *other_integer == integer : bytes == other;
  }
};

inline constexpr size_t kHeaderBytes = 2;
inline constexpr size_t kNotFound = static_cast<size_t>(-1);
/// Whatever the thresholds say, a block grows no longer than this, in bytes: lengths inside an entry are 32 bits wide.
inline constexpr size_t kMaxBlockBytes = 64 * 1024 * 1024;

size_t count(std::string_view block);
/// Writes the count into a block.
void set_count(char* block, size_t count);

/// Bytes that `value` takes as an element, integers recognised. REQUIRES: value is shorter than 4 GB.
size_t element_size(std::string_view value);
/// Writes `value` as an element at `out`, and returns the address behind it.
char* write_element(char* out, std::string_view value);
/// The same two where the caller has parsed the value already (`integer` is parse_int(value)).
size_t element_size(std::string_view value, const std::optional<int64_t>& integer);
char* write_element(char* out, std::string_view value, const std::optional<int64_t>& integer);

/// Decodes the element at `offset`, and gives the offset behind it.
Element read_element(std::string_view block, size_t offset, size_t& next);
/// The offset of the element that ends right before `offset`. REQUIRES: there is one.
size_t previous(std::string_view block, size_t offset);
/// The offset of the element behind the one at `offset`.
size_t skip(std::string_view block, size_t offset);

/// The offset of the first element equal to `value` at or behind `offset`, looking at every `stride`th element; kNotFound where
/// there is none. `integer` is parse_int(value).
size_t find(std::string_view block, size_t offset, std::string_view value, const std::optional<int64_t>& integer,
            size_t stride);

}  // namespace packed

}  // namespace quartet::storage
