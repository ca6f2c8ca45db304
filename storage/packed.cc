#include "storage/packed.h"

#include "base/numbers.h"

namespace quartet::storage::packed {

namespace {

/// Bytes of prefix and payload.
size_t length_of_integer(int64_t value) {
  if (value >= 0 && value < 128) return 1;
  if (value >= -(1 << 12) && value < 1 << 12) return 2;
  if (value >= INT16_MIN && value <= INT16_MAX) return 3;
  if (value >= -(1 << 23) && value < 1 << 23) return 4;
  if (value >= INT32_MIN && value <= INT32_MAX) return 5;
  return 9;
}
size_t length_of_bytes(size_t size) { return size + (size < 64 ? 1 : size < 4096 ? 2 : 5); }

template <class T>
char* store(char* out, T value) {
  std::memcpy(out, &value, sizeof value);
  return out + sizeof value;
}

char* store_byte(char* out, size_t value) {
  *out = static_cast<char>(value);
  return out + 1;
}

char* write_integer(char* out, int64_t value) {
  switch (length_of_integer(value)) {
    case 1: return store_byte(out, static_cast<size_t>(value));
    case 2: {
      const auto bits = static_cast<size_t>(value) & 0x1fff;
      return store_byte(store_byte(out, 0xc0 | bits >> 8), bits);
    }
    case 3: return store(store_byte(out, detail::kInt16), static_cast<int16_t>(value));
    case 4:
      out = store(store_byte(out, detail::kInt24), static_cast<uint16_t>(value));
      return store_byte(out, static_cast<size_t>(value >> 16));
    case 5: return store(store_byte(out, detail::kInt32), static_cast<int32_t>(value));
    default: return store(store_byte(out, detail::kInt64), value);
  }
}

char* write_bytes_prefix(char* out, size_t size) {
  if (size < 64) return store_byte(out, 0x80 | size);
  if (size < 4096) return store_byte(store_byte(out, 0xe0 | size >> 8), size);
  return store(store_byte(out, 0xf0), static_cast<uint32_t>(size));
}

char* write_bytes(char* out, std::string_view value) {
  out = write_bytes_prefix(out, value.size());
  if (!value.empty()) std::memcpy(out, value.data(), value.size());
  return out + value.size();
}

/// The last byte is read first: it holds the lowest seven bits, and its top bit says that more lie before it.
char* write_back_length(char* out, size_t length) {
  const size_t bytes = detail::back_length_size(length);
  for (size_t i = 0; i < bytes; ++i) {
    const size_t bits = length >> (7 * i) & 0x7f;
    out[bytes - 1 - i] = static_cast<char>(i + 1 < bytes ? bits | 0x80 : bits);
  }
  return out + bytes;
}

}  // namespace

std::string_view Element::text(char* scratch) const {
  return is_integer() ? std::string_view(scratch, format_int(integer, scratch)) : bytes;
}

size_t Element::text_size() const {
  char scratch[kNumberChars];
  return text(scratch).size();
}

size_t stored_count(std::string_view block) { return detail::load<uint16_t>(block.data()); }

size_t count(std::string_view block) {
  const size_t stored = stored_count(block);
  if (stored != kCountToWalk) return stored;
  size_t elements = 0;
  for (size_t offset = kHeaderBytes; offset < block.size(); offset = skip(block, offset)) ++elements;
  return elements;
}

void set_count(char* block, size_t count) {
  store(block, static_cast<uint16_t>(count < kCountToWalk ? count : kCountToWalk));
}

size_t element_size(std::string_view value) { return element_size(value, parse_int(value)); }
size_t element_size(std::string_view value, const std::optional<int64_t>& integer) {
  const size_t length = integer ? length_of_integer(*integer) : length_of_bytes(value.size());
  return length + detail::back_length_size(length);
}

char* write_element(char* out, std::string_view value) { return write_element(out, value, parse_int(value)); }
char* write_element(char* out, std::string_view value, const std::optional<int64_t>& integer) {
  char* end = integer ? write_integer(out, *integer) : write_bytes(out, value);
  return write_back_length(end, static_cast<size_t>(end - out));
}

size_t find(std::string_view block, size_t offset, std::string_view value, const std::optional<int64_t>& integer,
            size_t stride) {
  // The value's own encoding is what is compared, its first byte first: that tells lengths apart without reading the
  // bytes.
  char prefix[9];
  const char* end = integer ? write_integer(prefix, *integer) : write_bytes_prefix(prefix, value.size());
  const auto prefix_bytes = static_cast<size_t>(end - prefix);
  const std::string_view rest = integer ? std::string_view() : value;
  while (offset < block.size()) {
    const char* element = block.data() + offset;
    if (*element == prefix[0] && std::memcmp(element, prefix, prefix_bytes) == 0 &&
        std::string_view(element + prefix_bytes, rest.size()) == rest)
      return offset;
    for (size_t skipped = 0; skipped < stride; ++skipped) offset = skip(block, offset);
  }
  return kNotFound;
}

size_t remove_equal(char* elements, size_t bytes, Removal& removal, size_t& removed) {
  const std::string_view run(elements, bytes);
  size_t kept = 0, from = 0;  // what lies from `from` on has not been moved to `kept` yet
  const auto keep_up_to = [&](size_t end) {
    if (kept != from) std::memmove(elements + kept, elements + from, end - from);
    kept += end - from;
  };
  for (size_t at = 0; removal.most > 0;) {
    at = find(run, at, removal.value, removal.integer, 1);
    if (at == kNotFound) break;
    const size_t behind = skip(run, at);
    if (removal.skip > 0) {
      --removal.skip;
    } else {
      keep_up_to(at);
      from = behind;
      ++removed;
      --removal.most;
    }
    at = behind;
  }
  keep_up_to(bytes);
  return kept;
}

}  // namespace quartet::storage::packed
