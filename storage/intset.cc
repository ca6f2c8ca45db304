#include "storage/intset.h"

namespace quartet::storage::intset {

namespace {

template <class T>
T load(std::string_view block, size_t index) {
  T value;
  std::memcpy(&value, block.data() + kHeaderBytes + index * sizeof value, sizeof value);
  return value;
}

template <class T>
void store(char* block, size_t index, int64_t value) {
  const T narrow = static_cast<T>(value);
  std::memcpy(block + kHeaderBytes + index * sizeof narrow, &narrow, sizeof narrow);
}

template <class T>
Position search(std::string_view block, int64_t value) {
  size_t low = 0, high = (block.size() - kHeaderBytes) / sizeof(T);
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (load<T>(block, middle) < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return {low, low < (block.size() - kHeaderBytes) / sizeof(T) && load<T>(block, low) == value};
}

}  // namespace

int width_for(int64_t value) {
  if (value >= INT16_MIN && value <= INT16_MAX) return 2;
  return value >= INT32_MIN && value <= INT32_MAX ? 4 : 8;
}

int64_t get(std::string_view block, size_t index) {
  switch (width(block)) {
    case 2: return load<int16_t>(block, index);
    case 4: return load<int32_t>(block, index);
    default: return load<int64_t>(block, index);
  }
}

Position find(std::string_view block, int64_t value) {
  switch (width(block)) {
    case 2: return search<int16_t>(block, value);
    case 4: return search<int32_t>(block, value);
    default: return search<int64_t>(block, value);
  }
}

void put(char* block, int width, size_t index, int64_t value) {
  switch (width) {
    case 2: return store<int16_t>(block, index, value);
    case 4: return store<int32_t>(block, index, value);
    default: return store<int64_t>(block, index, value);
  }
}

}  // namespace quartet::storage::intset
