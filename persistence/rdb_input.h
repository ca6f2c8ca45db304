#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "persistence/rdb_format.h"

namespace quartet::persistence {

/// Where an RDB file cannot be read, in bytes from its beginning, and why.
struct RdbError {
  uint64_t offset;
  std::string text;
};

/// The bytes of an RDB file, taken from the front to the back, with the format's lengths and strings. It remembers the
/// first error; from then on whatever is read is 0 or empty, so that a caller asks once for several reads. No length
/// that the file tells is believed before so many bytes have arrived: memory is bounded by a small multiple of those.
///
/// Views given out are good until the next read.
class RdbInput {
 public:
  /// Reads at most so many bytes of a file from `offset` on; 0 is the end.
  using ReadAt = std::function<Result<size_t>(uint64_t offset, std::span<char> into)>;

  /// Bytes in memory, which outlive the input.
  explicit RdbInput(std::string_view bytes);
  /// A file, in chunks.
  explicit RdbInput(ReadAt read);
  RdbInput(const RdbInput&) = delete;
  RdbInput& operator=(const RdbInput&) = delete;

  bool ok() const { return !error_; }
  const std::optional<RdbError>& error() const { return error_; }
  /// An error at the place where the last string began, or, if none was read since, the last read of any kind.
  void fail(std::string text) { fail_at(mark_, std::move(text)); }
  void fail_at(uint64_t offset, std::string text);

  /// How many bytes have been taken.
  uint64_t offset() const { return end_offset_ - static_cast<uint64_t>(end_ - at_); }
  /// Whether nothing is left in memory to be taken. Of a file that may be known only after a read.
  bool exhausted() const { return at_ == end_; }
  /// CRC-64 of all bytes taken.
  uint64_t checksum();

  /// The next bytes, contiguous.
  std::string_view take(size_t bytes) {
    if (bytes > static_cast<size_t>(end_ - at_)) return take_more(bytes);
    const std::string_view taken(at_, bytes);
    at_ += bytes;
    return taken;
  }
  /// A number of `sizeof(T)` bytes, little endian.
  template <class T>
  T number() {
    mark_ = offset();
    const std::string_view bytes = take(sizeof(T));
    T value{};
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  uint8_t byte() { return number<uint8_t>(); }
  uint64_t length();
  std::string_view string();

 private:
  std::string_view take_more(size_t bytes);
  /// The length, or in `encoding` what kind of encoded string follows.
  uint64_t length_or_encoding(uint8_t& encoding);
  std::string_view integer_text(int64_t value);
  std::string_view compressed();

  const ReadAt read_;
  std::string buffer_;         // of a file: what has been read and not been taken
  const char* at_;
  const char* end_;
  const char* summed_;         // up to here bytes are in crc_
  uint64_t end_offset_;        // of end_ in the file
  uint64_t mark_ = 0;
  uint64_t crc_ = 0;
  std::string text_;           // of a string that was encoded
  std::optional<RdbError> error_;
};

}  // namespace quartet::persistence
