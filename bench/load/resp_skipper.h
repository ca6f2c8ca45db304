#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace quartet::load {

/// Counts the RESP2 replies in a stream of bytes that arrives in pieces, without keeping any of it. It understands what
/// the load's own commands are answered with: lines, integers, errors, bulk strings and arrays of them. A request is an
/// array of bulk strings and so is counted as well.
class RespSkipper {
 public:
  /// Takes the next bytes. False where they are not RESP2.
  bool feed(std::string_view bytes) {
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    while (at != end) {
      if (bulk_left_ > 0) {
        const uint64_t skipped = std::min(bulk_left_, static_cast<uint64_t>(end - at));
        bulk_left_ -= skipped;
        at += skipped;
        if (bulk_left_ == 0) end_element();
        continue;
      }
      if (type_ == 0) {
        if (const char* next = after_whole_bulk(at, end)) {
          at = next;
          if (elements_left_ == 0) elements_left_ = 1;
          end_element();
        } else if (!begin_element(*at++)) {
          return false;
        }
        continue;
      }
      const char c = *at++;
      if (c == '\n') {
        end_line();
      } else if (c == '-') {
        negative_ = true;
      } else if (c >= '0' && c <= '9' && number_ < kLargestLength) {
        number_ = number_ * 10 + static_cast<uint64_t>(c - '0');
      }
    }
    return true;
  }

  uint64_t replies() const { return replies_; }
  uint64_t errors() const { return errors_; }

 private:
  static constexpr uint64_t kLargestLength = uint64_t{1} << 40;

  /// Behind the bulk string that begins at `at`, if all of it is here. Long arrays consist of these, and going through
  /// them must cost less than it cost the server to write them.
  static const char* after_whole_bulk(const char* at, const char* end) {
    if (*at != '$') return nullptr;
    uint64_t length = 0;
    for (++at; at != end && *at >= '0' && *at <= '9' && length < kLargestLength; ++at)
      length = length * 10 + static_cast<uint64_t>(*at - '0');
    if (at == end || *at != '\r' || static_cast<uint64_t>(end - at) < length + 4) return nullptr;
    return at + length + 4;  // the string and two CRLF
  }

  bool begin_element(char type) {
    if (std::string_view("+-:$*").find(type) == std::string_view::npos) return false;
    type_ = type;
    number_ = 0;
    negative_ = false;
    if (elements_left_ == 0) elements_left_ = 1;
    return true;
  }

  void end_line() {
    if (type_ == '-') ++errors_;
    if (type_ == '$' && !negative_) {
      bulk_left_ = number_ + 2;  // the string and its CRLF
      return;
    }
    if (type_ == '*' && !negative_) elements_left_ += number_;
    end_element();
  }

  void end_element() {
    type_ = 0;
    if (--elements_left_ == 0) ++replies_;
  }

  char type_ = 0;               // of the element whose line or string is being read; 0 between elements
  bool negative_ = false;       // of the number in the line
  uint64_t number_ = 0;         // in the line
  uint64_t bulk_left_ = 0;      // bytes
  uint64_t elements_left_ = 0;  // of the reply that is being read
  uint64_t replies_ = 0;
  uint64_t errors_ = 0;
};

}  // namespace quartet::load
