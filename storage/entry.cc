#include "storage/entry.h"

namespace quartet::storage {

namespace {

constexpr uint64_t kStale = uint64_t{1} << 62, kWon = uint64_t{1} << 63;
constexpr uint64_t kCas = kStale - 1;

}  // namespace

void Entry::format(size_t key_bytes, const Shape& shape) {
  type_ = static_cast<uint32_t>(shape.type);
  encoding_ = static_cast<uint32_t>(shape.encoding);
  fetched_ = 0;
  noted_ = shape.noted;
  flags_ = shape.expires ? kExpires : 0;
  key_length_ = 0;
  value_length_ = 0;
  if (wide(key_bytes, shape.value_bytes)) {
    flags_ |= kWide;
    lengths()[0] = static_cast<uint32_t>(key_bytes);
    lengths()[1] = static_cast<uint32_t>(shape.value_bytes);
  } else {
    key_length_ = static_cast<uint8_t>(key_bytes);
    value_length_ = static_cast<uint16_t>(shape.value_bytes);
  }
}

Note Entry::note() const {
  if (!noted_) return {};
  uint32_t client_flags;
  std::memcpy(&client_flags, note_place(), sizeof client_flags);
  const auto word = static_cast<uint64_t>(load(note_place() + sizeof client_flags));
  return {client_flags, word & kCas, (word & kStale) != 0, (word & kWon) != 0};
}

void Entry::store_note(const Note& note) {
  assert(noted_);
  const uint64_t word = (note.cas & kCas) | (note.stale ? kStale : 0) | (note.won ? kWon : 0);
  std::memcpy(note_place(), &note.client_flags, sizeof note.client_flags);
  store(note_place() + sizeof note.client_flags, static_cast<int64_t>(word));
}

void Entry::drop_cas() {
  Note changed = note();
  changed.cas = 0;
  store_note(changed);
}

}  // namespace quartet::storage
