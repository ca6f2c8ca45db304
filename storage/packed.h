#pragma once

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
/// The functions below read blocks and write elements; they allocate nothing. Where the block lies and how it grows is the caller's.
namespace packed {

/// A decoded element: bytes within the block, or an integer.
struct Element {
  std::string_view bytes;  // data() is null where the element is an integer
  int64_t integer = 0;
  bool is_integer() const { return bytes.data() == nullptr; }
  /// The element as text; `scratch` holds at least 32 bytes and is used for integers.
  std::string_view text(char* scratch) const;
  /// Whether it is the same value as `other`, an arbitrary string. `other_integer` is parse_int(other), computed once by the caller.
  bool equals(std::string_view other, const std::optional<int64_t>& other_integer) const {
    return is_integer() ? other_integer && *other_integer == integer : bytes == other;
  }
};

inline constexpr size_t kHeaderBytes = 2;

size_t count(std::string_view block);
/// Writes the count into a block. 
void set_count(char* block, size_t count);

/// Bytes that `value` takes as an element, integers recognised.
size_t element_size(std::string_view value);
/// Writes `value` as an element at `out`, and returns the address behind it.
char* write_element(char* out, std::string_view value);
/// Decodes the element at `offset`, and gives the offset behind it.
Element read_element(std::string_view block, size_t offset, size_t& next);
/// The offset of the element that ends right before `offset`. REQUIRES: offset > kHeaderBytes.
size_t previous(std::string_view block, size_t offset);
/// The offset of the element behind the one at `offset`.
size_t skip(std::string_view block, size_t offset);

}  // namespace packed

}  // namespace quartet::storage
