#include "base/pauses.h"

#include <algorithm>
#include <cstring>

namespace quartet {

namespace {

template <class Deal>
void in_pieces(size_t bytes, Pauses* pauses, Deal deal) {
  for (size_t at = 0; at < bytes; at += kPieceBytes) {
    const size_t piece = std::min(kPieceBytes, bytes - at);
    breathe(pauses, work_of_bytes(piece));
    deal(at, piece);
  }
}

}  // namespace

void copy_bytes(char* to, const char* from, size_t bytes, Pauses* pauses) {
  in_pieces(bytes, pauses, [&](size_t at, size_t piece) { std::memcpy(to + at, from + at, piece); });
}

void clear_bytes(char* to, size_t bytes, Pauses* pauses) {
  in_pieces(bytes, pauses, [&](size_t at, size_t piece) { std::memset(to + at, 0, piece); });
}

}  // namespace quartet
