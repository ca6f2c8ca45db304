#include "persistence/rdb_input.h"

#include <fmt/format.h>
#include <lzf.h>

#include <algorithm>

#include "base/limits.h"
#include "base/numbers.h"
#include "persistence/crc64.h"

namespace quartet::persistence {

RdbInput::RdbInput(std::string_view bytes)
    : at_(bytes.data()), end_(bytes.data() + bytes.size()), summed_(at_), end_offset_(bytes.size()) {}

RdbInput::RdbInput(ReadAt read)
    : read_(std::move(read)), at_(buffer_.data()), end_(at_), summed_(at_), end_offset_(0) {}

void RdbInput::fail_at(uint64_t offset, std::string text) {
  if (error_) return;
  error_ = RdbError{offset, std::move(text)};
  at_ = summed_ = end_;
}

uint64_t RdbInput::checksum() {
  crc_ = crc64(crc_, {summed_, static_cast<size_t>(at_ - summed_)});
  summed_ = at_;
  return crc_;
}

std::string_view RdbInput::take_more(size_t bytes) {
  if (error_) return {};
  if (!read_) {
    fail_at(end_offset_, "the file ends too early");
    return {};
  }
  checksum();
  auto kept = static_cast<size_t>(end_ - at_);
  if (buffer_.size() > 4 * limits::kRdbChunkBytes && std::max(kept, bytes) < limits::kRdbChunkBytes) {
    // The last string was a long one; its memory is not kept for the rest of the file.
    buffer_ = std::string(at_, kept);
  } else if (kept > 0) {
    std::memmove(buffer_.data(), at_, kept);
  }
  while (kept < bytes) {
    // What has arrived at least doubles with each read, so that a long string costs linear time and no more memory than
    // that.
    const size_t wanted = kept + std::max(limits::kRdbChunkBytes, std::min(kept, bytes - kept));
    if (buffer_.size() < wanted) buffer_.resize(wanted);
    const Result<size_t> read = read_(end_offset_, {buffer_.data() + kept, buffer_.size() - kept});
    const size_t arrived = read ? *read : 0;
    kept += arrived;
    end_offset_ += arrived;
    if (arrived == 0) {
      at_ = end_ = summed_ = buffer_.data();
      fail_at(end_offset_, read ? "the file ends too early" : read.error().text);
      return {};
    }
  }
  at_ = summed_ = buffer_.data();
  end_ = at_ + kept;
  return take(bytes);
}

uint64_t RdbInput::length_or_encoding(uint8_t& encoding) {
  encoding = 0;
  const uint8_t first = byte();
  switch (first >> 6) {
    case 0: return first;
    case 1: {
      const std::string_view next = take(1);
      return next.empty() ? 0 : uint64_t{first & 0x3fu} << 8 | static_cast<uint8_t>(next[0]);
    }
    case 3: encoding = first; return 0;
    default: break;
  }
  const uint64_t mark = mark_;
  uint64_t value = 0;
  if (first == rdb::kLength32) {
    value = __builtin_bswap32(number<uint32_t>());
  } else if (first == rdb::kLength64) {
    value = __builtin_bswap64(number<uint64_t>());
  } else {
    fail(fmt::format("no length begins with the byte 0x{:02x}", first));
  }
  mark_ = mark;
  return value;
}

uint64_t RdbInput::length() {
  uint8_t encoding;
  const uint64_t value = length_or_encoding(encoding);
  if (encoding != 0) fail("an encoded string stands where a length should be");
  return ok() ? value : 0;
}

std::string_view RdbInput::integer_text(int64_t value) {
  text_.resize(kNumberChars);
  return {text_.data(), format_int(value, text_.data())};
}

std::string_view RdbInput::string() {
  uint8_t encoding;
  const uint64_t size = length_or_encoding(encoding);
  const uint64_t mark = mark_;
  std::string_view value;
  switch (encoding) {
    case 0:
      if (size > limits::kStringBytes) {
        fail(fmt::format("a string of {} bytes is longer than any may be", size));
      } else {
        value = take(size);
      }
      break;
    case rdb::kInteger8: value = integer_text(number<int8_t>()); break;
    case rdb::kInteger16: value = integer_text(number<int16_t>()); break;
    case rdb::kInteger32: value = integer_text(number<int32_t>()); break;
    case rdb::kLzf: value = compressed(); break;
    default: fail(fmt::format("no string begins with the byte 0x{:02x}", encoding));
  }
  mark_ = mark;
  return ok() ? value : std::string_view();
}

std::string_view RdbInput::compressed() {
  constexpr uint64_t kHighestRatio = 88;  // three bytes of LZF make at most 264
  const uint64_t mark = mark_, size = length(), original = length();
  mark_ = mark;
  if (size > limits::kStringBytes || original > limits::kStringBytes || original == 0 ||
      original / kHighestRatio > size) {
    fail(fmt::format("{} bytes cannot be the compressed form of {}", size, original));
    return {};
  }
  const std::string_view bytes = take(size);
  if (bytes.empty()) {
    fail("a compressed string is empty");
    return {};
  }
  if (text_.capacity() > 4 * limits::kRdbChunkBytes && original < limits::kRdbChunkBytes) text_ = std::string();
  text_.resize(original);
  if (lzf_decompress(bytes.data(), static_cast<unsigned>(size), text_.data(), static_cast<unsigned>(original)) !=
      original) {
    fail("a compressed string is damaged");
    return {};
  }
  return text_;
}

}  // namespace quartet::persistence
