#pragma once

#include <cstdint>
#include <string_view>

namespace quartet::load {

/// Counts the RESP2 replies in a stream of bytes that arrives in pieces, without keeping any of it. It understands what
/// the load's own commands are answered with: lines, integers, errors, bulk strings and arrays of them.
class ReplySkipper {
 public:
  /// Takes the next bytes. False where they are not RESP2.
  bool feed(std::string_view bytes) {
    while (!bytes.empty()) {
      if (bulk_left_ > 0) {
        const uint64_t skipped = bulk_left_ < bytes.size() ? bulk_left_ : bytes.size();
        bulk_left_ -= skipped;
        bytes.remove_prefix(skipped);
        if (bulk_left_ == 0) end_element();
        continue;
      }
      const char c = bytes.front();
      bytes.remove_prefix(1);
      if (type_ == 0) {
        if (!begin_element(c)) return false;
      } else if (c == '\n') {
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
