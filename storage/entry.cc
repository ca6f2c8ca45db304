#include "storage/entry.h"

namespace quartet::storage {

void Entry::format(size_t key_bytes, const Shape& shape) {
  type_ = static_cast<uint32_t>(shape.type);
  encoding_ = static_cast<uint32_t>(shape.encoding);
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

std::string_view type_name(Type type) {
  static constexpr std::string_view kNames[] = {"string", "list", "set", "hash", "zset"};
  return kNames[static_cast<int>(type)];
}

}  // namespace quartet::storage
