#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace quartet::server {

/// A password as the ACL keeps it: the SHA-256 of its bytes (FIPS 180-4), in 64 lower-case hexadecimal digits.
class PasswordHash {
 public:
  static constexpr size_t kDigits = 64;

  static PasswordHash of(std::string_view password);
  /// REQUIRES: is_digest(digits).
  static PasswordHash from_digest(std::string_view digits);
  /// Whether a text is such a hash.
  static bool is_digest(std::string_view text);

  std::string_view digits() const { return {digits_.data(), digits_.size()}; }
  /// Compares in a time that tells nothing of where the difference lies.
  bool same_as(const PasswordHash& other) const;

 private:
  std::array<char, kDigits> digits_;
};

/// So many bits of the operating system's entropy in hexadecimal digits, a part of one rounded up to a whole.
std::string random_digits(size_t bits);

}  // namespace quartet::server
