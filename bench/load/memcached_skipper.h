#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace quartet::load {

/// Counts the replies of memcached's text protocol in a stream of bytes that arrives in pieces: any number of
/// `VALUE <key> <flags> <bytes>` with their blocks and then `END`, or `STORED`. Every other line is an error.
class MemcachedSkipper {
 public:
  /// Takes the next bytes. False where they are not of the protocol.
  bool feed(std::string_view bytes) {
    while (!bytes.empty()) {
      if (block_left_ > 0) {
        const uint64_t skipped = std::min<uint64_t>(block_left_, bytes.size());
        block_left_ -= skipped;
        bytes.remove_prefix(skipped);
        continue;
      }
      const size_t newline = bytes.find('\n');
      const std::string_view piece = bytes.substr(0, newline == std::string_view::npos ? newline : newline + 1);
      bytes.remove_prefix(piece.size());
      if (piece.back() == '\n' && line_.empty()) {
        if (!end_line(piece)) return false;
        continue;
      }
      if (line_.size() + piece.size() > kLongestLine) return false;
      line_ += piece;
      if (piece.back() == '\n') {
        if (!end_line(line_)) return false;
        line_.clear();
      }
    }
    return true;
  }

  uint64_t replies() const { return replies_; }
  uint64_t errors() const { return errors_; }

 private:
  static constexpr size_t kLongestLine = 512;

  bool end_line(std::string_view line) {
    if (line.starts_with("VALUE ")) {
      const std::string_view length = line.substr(line.rfind(' ') + 1);
      if (std::from_chars(length.data(), length.data() + length.size(), block_left_).ec != std::errc()) return false;
      block_left_ += 2;  // its CRLF
      return true;
    }
    ++replies_;
    if (line != "END\r\n" && line != "STORED\r\n") ++errors_;
    return true;
  }

  std::string line_;         // the part of a line that came with earlier bytes
  uint64_t block_left_ = 0;  // bytes
  uint64_t replies_ = 0;
  uint64_t errors_ = 0;
};

}  // namespace quartet::load
