#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace quartet::storage {

/// A sorted array of different integers in one block, all of the width that the widest of them needs:
///
///   [ width in bytes: 2, 4 or 8 ][ integer ] [ integer ] ...       little endian, ascending, not aligned
///
/// The functions read and write blocks; where a block lies and how it grows is the caller's.
namespace intset {

inline constexpr size_t kHeaderBytes = 1;

/// Where an integer is, or where it belongs.
struct Position {
  size_t index;
  bool found;
};

inline int width(std::string_view block) { return block[0]; }
inline size_t count(std::string_view block) {
  return (block.size() - kHeaderBytes) / static_cast<size_t>(width(block));
}
/// Bytes of the narrowest width that holds `value`.
int width_for(int64_t value);

int64_t get(std::string_view block, size_t index);
Position find(std::string_view block, int64_t value);

/// Writes the header of a block.
inline void set_width(char* block, int width) { block[0] = static_cast<char>(width); }
/// Writes an integer into a block of this width. REQUIRES: it fits.
void put(char* block, int width, size_t index, int64_t value);

}  // namespace intset

}  // namespace quartet::storage
