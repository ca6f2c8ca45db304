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
/// the caller's (see packed_value.h). A value has one form as an element, that which `write_element` gives it: equal
/// values are equal bytes. Offsets count from the block's beginning. `read_element`, `skip`, `previous` and `find` look
/// at nothing but elements and work on runs of elements without a header too (the nodes of a list).
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
  /// Whether it is the same value as `other`, an arbitrary string. `other_integer` is parse_int(other), computed once
  /// by the caller.
  bool equals(std::string_view other, const std::optional<int64_t>& other_integer) const {
    return is_integer() ? other_integer && *other_integer == integer : bytes == other;
  }
};

inline constexpr size_t kHeaderBytes = 2;
inline constexpr size_t kNotFound = static_cast<size_t>(-1);
/// Whatever the thresholds say, a block grows no longer than this, in bytes: lengths inside an entry are 32 bits wide.
inline constexpr size_t kMaxBlockBytes = 64 * 1024 * 1024;

/// The count that says nothing but that the elements must be counted.
inline constexpr size_t kCountToWalk = 65535;

size_t stored_count(std::string_view block);
/// Elements of a block, counted one by one where its header cannot hold their number.
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

/// The offset of the first element equal to `value` at or behind `offset`, looking at every `stride`th element;
/// kNotFound where there is none. `integer` is parse_int(value).
size_t find(std::string_view block, size_t offset, std::string_view value, const std::optional<int64_t>& integer,
            size_t stride);

/// Which equal elements `remove_equal` takes out of one run after the other.
struct Removal {
  std::string_view value;
  std::optional<int64_t> integer;  // parse_int(value)
  size_t skip;                     // this many more stay
  size_t most;                     // this many more go
};
/// Closes the gaps of the removed elements, within `bytes` bytes of elements, and returns how many bytes remain;
/// `removed` grows by the elements that went.
size_t remove_equal(char* elements, size_t bytes, Removal& removal, size_t& removed);

namespace detail {

inline constexpr uint8_t kInt16 = 0xf1, kInt24 = 0xf2, kInt32 = 0xf3, kInt64 = 0xf4;

/// Where the parts of an element lie, from its beginning.
struct Layout {
  size_t prefix;   // encoding and length
  size_t payload;  // bytes or integer
};

template <class T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

inline Layout layout(const char* element) {
  const auto first = static_cast<uint8_t>(*element);
  if (first < 0x80) return {1, 0};
  if (first < 0xc0) return {1, first & 0x3fu};
  if (first < 0xe0) return {2, 0};
  if (first < 0xf0) return {2, (first & 0x0fu) << 8 | static_cast<uint8_t>(element[1])};
  switch (first) {
    case kInt16: return {1, 2};
    case kInt24: return {1, 3};
    case kInt32: return {1, 4};
    case kInt64: return {1, 8};
    default: return {5, load<uint32_t>(element + 1)};
  }
}

/// Bytes that the length behind an element takes, which stands for `length` bytes.
inline size_t back_length_size(size_t length) {
  return length < 128 ? 1 : length < 16383 ? 2 : length < 2097151 ? 3 : length < 268435455 ? 4 : 5;
}

inline int64_t load_integer(const char* element) {
  const auto first = static_cast<uint8_t>(*element);
  if (first < 0x80) return first;
  if (first < 0xe0) {
    const int value = (first & 0x1f) << 8 | static_cast<uint8_t>(element[1]);
    return value < 1 << 12 ? value : value - (1 << 13);
  }
  switch (first) {
    case kInt16: return load<int16_t>(element + 1);
    case kInt24: return (load<uint16_t>(element + 1) | static_cast<int8_t>(element[3]) * (1 << 16));
    case kInt32: return load<int32_t>(element + 1);
    default: return load<int64_t>(element + 1);
  }
}

inline bool is_bytes(uint8_t first) { return (first & 0xc0) == 0x80 || (first & 0xf0) == 0xe0 || first == 0xf0; }

}  // namespace detail

inline size_t skip(std::string_view block, size_t offset) {
  assert(offset < block.size());
  // The two commonest kinds are told by branches, which are predicted, rather than by a look into memory.
  const auto first = static_cast<uint8_t>(block[offset]);
  if ((first & 0xc0) == 0x80) return offset + 1 + (first & 0x3f) + 1;
  if (first < 0x80) return offset + 2;
  const detail::Layout layout = detail::layout(block.data() + offset);
  const size_t length = layout.prefix + layout.payload;
  return offset + length + detail::back_length_size(length);
}

inline Element read_element(std::string_view block, size_t offset, size_t& next) {
  assert(offset < block.size());
  const char* element = block.data() + offset;
  const detail::Layout layout = detail::layout(element);
  const size_t length = layout.prefix + layout.payload;
  next = offset + length + detail::back_length_size(length);
  if (detail::is_bytes(static_cast<uint8_t>(*element))) return {{element + layout.prefix, layout.payload}, 0};
  return {{}, detail::load_integer(element)};
}

inline size_t previous(std::string_view block, size_t offset) {
  size_t length = 0;
  int shift = 0;
  size_t at = offset;
  uint8_t byte;
  do {
    assert(at > 0);
    byte = static_cast<uint8_t>(block[--at]);
    length |= static_cast<size_t>(byte & 0x7f) << shift;
    shift += 7;
  } while (byte & 0x80);
  return at - length;
}

}  // namespace packed

}  // namespace quartet::storage
