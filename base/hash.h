#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace quartet {

/// The process's hash secret: random, constant from its first use on, so that a client cannot aim keys at one bucket.
uint64_t hash_secret();

namespace detail {

inline uint64_t load64(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, 8);
  return v;
}
inline uint64_t load32(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, 4);
  return v;
}
inline uint64_t mix(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace detail

/// A keyed 64-bit hash of bytes in the manner of wyhash (https://github.com/wangyi-fudan/wyhash): folded 128-bit
/// products of the input, xored with a secret.
inline uint64_t hash_bytes(std::string_view bytes, uint64_t secret) {
  using detail::load32;
  using detail::load64;
  using detail::mix;
  constexpr uint64_t k0 = 0xa0761d6478bd642f, k1 = 0xe7037ed1a0b428db, k2 = 0x8ebc6af09c88c6e3;
  const char* p = bytes.data();
  const size_t n = bytes.size();
  uint64_t seed = secret ^ k0;
  uint64_t a, b;
  if (n <= 16) {
    if (n >= 8) {
      a = load64(p);
      b = load64(p + n - 8);
    } else if (n >= 4) {
      a = load32(p);
      b = load32(p + n - 4);
    } else if (n > 0) {
      a = (uint64_t{static_cast<uint8_t>(p[0])} << 16) | (uint64_t{static_cast<uint8_t>(p[n >> 1])} << 8) |
          static_cast<uint8_t>(p[n - 1]);
      b = 0;
    } else {
      a = b = 0;
    }
  } else {
    size_t rest = n;
    while (rest > 16) {
      seed = mix(load64(p) ^ k1, load64(p + 8) ^ seed);
      p += 16;
      rest -= 16;
    }
    a = load64(p + rest - 16);
    b = load64(p + rest - 8);
  }
  return mix(k2 ^ secret ^ n, mix(a ^ k1, b ^ seed));
}

inline uint64_t hash_bytes(std::string_view bytes) { return hash_bytes(bytes, hash_secret()); }

}  // namespace quartet
