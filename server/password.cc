#include "server/password.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <vector>

namespace quartet::server {

namespace {

constexpr std::string_view kHex = "0123456789abcdef";

void write_hex(const unsigned char* bytes, size_t digits, char* out) {
  for (size_t i = 0; i < digits; ++i) out[i] = kHex[i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15];
}

}  // namespace

PasswordHash PasswordHash::of(std::string_view password) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(password.data()), password.size(), digest);
  PasswordHash hash;
  write_hex(digest, kDigits, hash.digits_.data());
  return hash;
}

PasswordHash PasswordHash::from_digest(std::string_view digits) {
  assert(is_digest(digits));
  PasswordHash hash;
  std::copy(digits.begin(), digits.end(), hash.digits_.begin());
  return hash;
}

bool PasswordHash::is_digest(std::string_view text) {
  return text.size() == kDigits && text.find_first_not_of(kHex) == std::string_view::npos;
}

bool PasswordHash::same_as(const PasswordHash& other) const { return CRYPTO_memcmp(digits_.data(), other.digits_.data(), kDigits) == 0; }

std::string random_digits(size_t bits) {
  std::string digits((bits + 3) / 4, '0');
  std::vector<unsigned char> bytes((digits.size() + 1) / 2);
  // Secrets that can be guessed are worse than none.
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) std::abort();
  write_hex(bytes.data(), digits.size(), digits.data());
  return digits;
}

}  // namespace quartet::server
